"""The arena planner against tables of (start, end, size) and against every order of placement."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.arena import ArenaPlan, LiveTensor, plan_arena

TABLE = {
    "one": ([(0, 1, 7)], 7),
    "a chain: the larger neighbours": ([(0, 2, 4), (1, 3, 6), (2, 4, 5)], 11),
    "never alive together": ([(0, 1, 4), (1, 2, 9), (2, 3, 5)], 9),
    "all alive together": ([(0, 3, 1), (0, 3, 2), (1, 2, 3)], 6),
    "a residual branch": ([(0, 4, 5), (1, 2, 3), (2, 3, 3), (3, 4, 2)], 8),
    # 3 + 4 + 3 bytes are the most alive at once, but what comes and goes leaves the gaps in the wrong places
    "above the bound": ([(0, 3, 1), (0, 1, 2), (1, 4, 2), (3, 5, 2), (2, 3, 1), (4, 5, 2)], None),
}


def tensors(rows: list[tuple[int, int, int]]) -> list[LiveTensor]:
    return [LiveTensor(str(index), *row) for index, row in enumerate(rows)]


def assert_valid(live: list[LiveTensor], plan: ArenaPlan) -> None:
    for one, other in itertools.combinations(live, 2):
        if one.overlaps(other):
            low, high = sorted((one, other), key=lambda each: plan.offsets[each.name])
            assert plan.offsets[low.name] + low.size_bytes <= plan.offsets[high.name]
    assert plan.arena_bytes == max(plan.offsets[each.name] + each.size_bytes for each in live)
    assert plan.lower_bound_bytes <= plan.arena_bytes


def least_by_trying(live: list[LiveTensor]) -> int:
    """Some optimal plan is met by placing tensors in some order, each on top of all that it overlaps."""
    best = sum(each.size_bytes for each in live)
    for order in itertools.permutations(live):
        top: dict[str, int] = {}
        for place, each in enumerate(order):
            under = [top[other.name] for other in order[:place] if other.overlaps(each)]
            top[each.name] = max(under, default=0) + each.size_bytes
        best = min(best, max(top.values()))
    return best


@pytest.mark.parametrize("case", TABLE)
def test_tables(case: str) -> None:
    rows, peak = TABLE[case]
    live = tensors(rows)
    plan = plan_arena(live)
    assert_valid(live, plan)
    assert plan.arena_bytes == (least_by_trying(live) if peak is None else peak)
    assert plan.is_optimal


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5), st.integers(1, 9)), min_size=1, max_size=6))
def test_against_every_order(rows: list[tuple[int, int, int]]) -> None:
    live = tensors([(start, start + length, size) for start, length, size in rows])
    plan = plan_arena(live)
    assert_valid(live, plan)
    assert plan.arena_bytes == plan.lower_bound_bytes == least_by_trying(live)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=400))
def test_a_chain_reaches_its_bound(sizes: list[int]) -> None:
    live = tensors([(step, step + 2, size) for step, size in enumerate(sizes)])
    plan = plan_arena(live)
    assert_valid(live, plan)
    assert plan.arena_bytes == max(a + b for a, b in itertools.pairwise(sizes))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 1500)), min_size=2, max_size=100))
def test_a_chain_with_scratch_reaches_its_bound(sizes: list[tuple[int, int]]) -> None:
    """Each step holds what it reads, what it writes and its scratch; no search is needed."""
    last = len(sizes) - 1
    live = tensors([(max(step - 1, 0), min(step + 1, last), size) for step, (size, _) in enumerate(sizes)])
    scratch = [LiveTensor(f"s{step}", step, step + 1, size) for step, (_, size) in enumerate(sizes[1:]) if size]
    plan = plan_arena(live + scratch, max_nodes=0)
    assert_valid(live + scratch, plan)
    assert plan.arena_bytes == max(a + b + s for (a, _), (b, s) in itertools.pairwise(sizes))


def test_alignment() -> None:
    plan = plan_arena(tensors([(0, 2, 3), (1, 3, 5)]), alignment_bytes=4)
    assert all(offset % 4 == 0 for offset in plan.offsets.values())
    assert plan.arena_bytes == 12


def test_a_plan_that_is_small_enough_ends_the_search() -> None:
    rows, _ = TABLE["above the bound"]
    live = tensors(rows)
    least = least_by_trying(live)
    for enough in range(plan_arena(live).arena_bytes + 4):
        plan = plan_arena(live, enough_bytes=enough)
        assert_valid(live, plan)
        assert plan.lower_bound_bytes <= least
        assert plan.arena_bytes <= enough or plan.lower_bound_bytes > enough


def test_a_search_that_is_cut_short_says_so() -> None:
    rows, _ = TABLE["above the bound"]
    live = tensors(rows)
    plan = plan_arena(live, max_nodes=1)
    assert_valid(live, plan)
    assert plan.lower_bound_bytes <= least_by_trying(live) <= plan.arena_bytes
