"""The bisection that searches the smallest point of a front which satisfies a condition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.bisection import (
    NEIGHBOURS,
    expected_judgements,
    failing_above,
    least_passing,
    may_be_judged,
    next_to_judge,
)


def search(passes: list[bool], judged: dict[int, bool] | None = None) -> list[int]:
    """Return the numbers of the points in the order in which they are judged."""
    known = dict(judged or {})
    order = []
    while (number := next_to_judge(len(passes), known)) is not None:
        assert number not in known, "a point is judged twice"
        known[number] = passes[number]
        order.append(number)
    return order


@pytest.mark.parametrize(
    ("curve", "order", "result", "above"),
    [
        ("-", [0], None, ()),
        ("+", [0], 0, ()),
        ("-+", [1, 0], 1, ()),
        ("++", [1, 0], 0, ()),
        ("--------", [7], None, ()),
        ("++++++++", [7, 3, 1, 0], 0, ()),
        ("-----+++", [7, 3, 5, 4], 5, ()),
        ("-------+", [7, 3, 5, 6], 7, ()),
        ("------++", [7, 3, 5, 6, 4], 6, ()),
        ("-+++++++", [7, 3, 1, 0], 1, ()),
        ("----+-++", [7, 3, 5, 6, 4, 2], 4, (5,)),  # a neighbour below a failing point passes
        ("-++-+-++", [7, 3, 5, 6, 4, 2, 0, 1], 1, (3, 5)),
        ("+------+", [7, 3, 5, 6], 7, ()),  # what is far below is not looked for
        ("+++++++-", [7], None, ()),
    ],
)
def test_curves(curve: str, order: list[int], result: int | None, above: tuple[int, ...]) -> None:
    passes = [each == "+" for each in curve]
    found = search(passes)
    judged = {number: passes[number] for number in found}
    assert found == order
    assert least_passing(judged) == result
    assert failing_above(judged) == above


CURVES = st.lists(st.booleans(), min_size=1, max_size=80)


@given(CURVES)
def test_the_result_passes_and_is_the_least_of_the_judged_ones(passes: list[bool]) -> None:
    judged = {number: passes[number] for number in search(passes)}
    result = least_passing(judged)
    assert (result is None) is not passes[-1]
    if result is not None:
        assert passes[result]
        assert result == min(number for number in judged if passes[number])
        below = [number for number in range(result - NEIGHBOURS, result) if number >= 0]
        assert [judged[number] for number in below] == [False] * len(below), "the neighbours below are judged and fail"
        assert failing_above(judged) == tuple(sorted(n for n in judged if n > result and not passes[n]))


@given(st.integers(1, 500), st.integers(0, 500))
def test_on_a_monotonic_curve_the_result_is_the_least_of_all(count: int, failing: int) -> None:
    passes = [number >= failing for number in range(count)]
    judged = {number: passes[number] for number in search(passes)}
    assert least_passing(judged) == (failing if failing < count else None)
    assert len(judged) <= 1 + math.ceil(math.log2(count)) + NEIGHBOURS - 1
    assert failing_above(judged) == ()


@given(CURVES, st.data())
def test_an_interrupted_search_continues_as_if_it_had_not_been_interrupted(
    passes: list[bool], data: st.DataObject
) -> None:
    whole = search(passes)
    done = whole[: data.draw(st.integers(0, len(whole)))]
    assert search(passes, {number: passes[number] for number in done}) == whole[len(done) :]


@given(CURVES)
def test_the_expected_number_ends_at_zero_and_is_near(passes: list[bool]) -> None:
    judged: dict[int, bool] = {}
    assert expected_judgements(len(passes), judged) <= 2 + math.ceil(math.log2(len(passes))) + NEIGHBOURS
    for number in search(passes):
        assert expected_judgements(len(passes), judged) >= 1
        judged[number] = passes[number]
    assert expected_judgements(len(passes), judged) == 0


@given(CURVES, st.integers(1, 9))
def test_the_points_that_are_judged_together_have_the_next_ones_first(passes: list[bool], most: int) -> None:
    """However many are judged at once, the search asks for the same ones; the next one is always among them."""
    judged: dict[int, bool] = {}
    known: set[int] = set()
    rounds = 0
    for number in search(passes):
        together = may_be_judged(len(passes), judged, most)
        assert together[0] == number
        assert len(set(together)) == len(together) <= most
        assert not judged.keys() & set(together)
        if number not in known:
            rounds += 1
            known |= set(together)
        judged[number] = passes[number]
    assert may_be_judged(len(passes), judged, most) == []
    assert rounds <= len(judged)
    if most >= 3 and len(judged) >= 3:
        assert rounds < len(judged), "three at once hold the next point, and the one after it for both outcomes"
