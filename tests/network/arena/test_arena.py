"""The arena planner against tables of (start, end, size) and against every order of placement."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from network.arena.first_fit import Rectangle, neighbours_of
from network.arena.plan import ArenaPlan, LiveTensor, plan_arena
from network.arena.search import Search

TABLE = {
    "one": ([(0, 1, 7)], 7),
    "a chain: the larger neighbours": ([(0, 2, 4), (1, 3, 6), (2, 4, 5)], 11),
    "never alive together": ([(0, 1, 4), (1, 2, 9), (2, 3, 5)], 9),
    "all alive together": ([(0, 3, 1), (0, 3, 2), (1, 2, 3)], 6),
    "a residual branch": ([(0, 4, 5), (1, 2, 3), (2, 3, 3), (3, 4, 2)], 8),
    # 3 + 4 + 3 bytes are the most alive at once, but what comes and goes leaves the gaps in the wrong places
    "above the bound": ([(0, 3, 1), (0, 1, 2), (1, 4, 2), (3, 5, 2), (2, 3, 1), (4, 5, 2)], None),
}


ABOVE = [
    [(0, 4, 3), (3, 5, 2), (5, 7, 4), (0, 3, 4), (7, 9, 3), (8, 9, 3), (3, 6, 2), (6, 8, 2), (7, 9, 1), (4, 6, 1),
     (6, 8, 1)],
    [(6, 9, 4), (5, 7, 5), (2, 5, 3), (2, 6, 3), (7, 9, 5), (4, 6, 1), (4, 6, 1), (3, 5, 2), (6, 9, 1), (0, 1, 8),
     (1, 3, 4), (1, 2, 4)],
    [(1, 3, 2), (5, 7, 2), (6, 7, 1), (2, 5, 1), (4, 6, 2), (3, 4, 1), (3, 5, 1), (1, 2, 2), (0, 1, 1), (6, 7, 1),
     (2, 4, 1), (0, 1, 2)],
    [(5, 8, 6), (6, 8, 5), (3, 5, 4), (2, 4, 1), (3, 6, 2), (1, 2, 7), (4, 5, 2), (4, 6, 2), (1, 4, 4), (0, 1, 2),
     (0, 1, 6)],
]  # fmt: skip
"""No arena is as small as the most bytes that are alive at once."""

WITH_GAPS = [
    (7, [(2, 3, 6), (4, 10, 1), (3, 9, 1), (8, 10, 3), (7, 10, 2), (3, 6, 4), (1, 7, 1), (0, 2, 6)]),
    (27, [(2, 7, 4), (5, 10, 19), (2, 4, 4), (8, 10, 7), (3, 4, 11), (0, 3, 19), (3, 8, 4), (4, 5, 2)]),
    (25, [(8, 13, 17), (6, 8, 12), (10, 13, 8), (3, 6, 6), (0, 5, 8), (2, 8, 6), (9, 10, 5), (3, 6, 1), (5, 10, 2),
          (0, 1, 2), (1, 9, 4)]),
    (34, [(2, 5, 10), (1, 3, 9), (5, 6, 13), (2, 6, 4), (4, 6, 16), (0, 1, 6), (0, 2, 18), (1, 4, 2), (4, 5, 1),
          (3, 4, 5), (1, 5, 3), (0, 1, 6), (0, 1, 1), (2, 3, 6)]),
]  # fmt: skip
"""Plans of these heights leave gaps of exactly the right height in some steps."""


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


def most_alive(live: list[LiveTensor]) -> int:
    return max(sum(each.size_bytes for each in live if each.start <= step < each.end) for step in range(100))


def fits_by_integer_program(live: list[LiveTensor], arena_bytes: int) -> bool:
    """Whether a plan is so small: for each pair alive together, a switch says which of the two lies below."""
    pairs = [pair for pair in itertools.combinations(range(len(live)), 2) if live[pair[0]].overlaps(live[pair[1]])]
    columns = len(live) + len(pairs)
    rows, most = [], []
    for switch, (one, other) in enumerate(pairs, start=len(live)):
        for low, high, sign in ((one, other, 1), (other, one, -1)):
            row = np.zeros(columns)
            row[low], row[high], row[switch] = 1, -1, sign * arena_bytes
            rows.append(row)
            most.append((arena_bytes if sign == 1 else 0) - live[low].size_bytes)
    result = milp(
        np.zeros(columns),
        constraints=LinearConstraint(np.array(rows), -np.inf, np.array(most)),
        integrality=np.ones(columns),
        bounds=Bounds(0, [*(arena_bytes - each.size_bytes for each in live), *(1 for _ in pairs)]),
    )
    assert result.status in {0, 2}
    return bool(result.status == 0)


def cut_rectangle(count: int, steps: int, height: int, seed: int) -> list[tuple[int, int, int]]:
    """A full rectangle, cut until it has that many pieces: an arena of its height holds them, and no smaller one."""
    rng = np.random.default_rng(seed)
    pieces = [(0, steps, height)]
    while len(pieces) < count:
        start, end, size = pieces.pop(rng.integers(len(pieces)))
        if end - start > 1 and (size == 1 or rng.random() < 0.5):
            middle = int(rng.integers(start + 1, end))
            pieces += [(start, middle, size), (middle, end, size)]
        elif size > 1:
            part = int(rng.integers(1, size))
            pieces += [(start, end, part), (start, end, size - part)]
        else:
            pieces.append((start, end, size))
    return [pieces[index] for index in rng.permutation(count)]


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


@pytest.mark.parametrize("rows", ABOVE)
def test_above_the_most_alive(rows: list[tuple[int, int, int]]) -> None:
    live = tensors(rows)
    plan = plan_arena(live)
    assert_valid(live, plan)
    assert plan.is_optimal
    assert plan.arena_bytes > most_alive(live)
    assert not fits_by_integer_program(live, plan.arena_bytes - 1)
    assert fits_by_integer_program(live, plan.arena_bytes)
    enough = plan_arena(live, enough_bytes=plan.arena_bytes - 1)
    assert enough.lower_bound_bytes == plan.arena_bytes


@pytest.mark.parametrize(("height", "rows"), WITH_GAPS)
def test_gaps_are_left_where_a_plan_needs_them(height: int, rows: list[tuple[int, int, int]]) -> None:
    rectangles = [Rectangle(*row) for row in rows]
    search = Search(rectangles, neighbours_of(rectangles), height, 20_000)
    assert search.run() is not None
    assert plan_arena(tensors(rows)).arena_bytes <= height


@pytest.mark.parametrize("rows", ABOVE)
def test_what_failed_on_high_floors_is_tried_on_lower_ones(rows: list[tuple[int, int, int]]) -> None:
    least = plan_arena(tensors(rows)).arena_bytes
    rectangles = [Rectangle(*row) for row in rows]
    search = Search(rectangles, neighbours_of(rectangles), least, 20_000)
    search._run_nodes = 20_000
    order = sorted(range(len(rows)), key=lambda index: rectangles[index].start)
    steps = max(end for _, end, _ in rows)
    used = []
    for floor, fits in ((1, False), (0, True), (1, False)):
        nodes_before = search._run_nodes
        assert all(search._place(part, [floor] * steps) for part in search._parts(order)) is fits
        used.append(nodes_before - search._run_nodes)
    assert used[2] < used[0], "what failed before is not searched again"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ABOVE), st.lists(st.integers(-1, 1), min_size=12, max_size=12))
def test_around_those_against_an_integer_program(
    rows: list[tuple[int, int, int]], changes: list[int]
) -> None:  # fmt: skip
    live = tensors([(start, end, max(1, size + more)) for (start, end, size), more in zip(rows, changes, strict=False)])
    plan = plan_arena(live)
    assert_valid(live, plan)
    assert plan.is_optimal
    assert plan.arena_bytes == most_alive(live) or not fits_by_integer_program(live, plan.arena_bytes - 1)


@pytest.mark.parametrize(("count", "seed"), [(20, 1), (20, 2), (50, 1), (50, 2), (50, 3), (100, 1)])
def test_a_full_rectangle_is_put_together(count: int, seed: int) -> None:
    live = tensors(cut_rectangle(count, count, 1000, seed))
    plan = plan_arena(live)
    assert_valid(live, plan)
    assert plan.arena_bytes == plan.lower_bound_bytes == 1000


@settings(max_examples=60, deadline=None)
@given(st.integers(7, 30), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 50, 20_000]), st.sampled_from([1, 4, 16]))
def test_cut_short_or_not_a_plan_is_a_plan(count: int, seed: int, nodes: int, alignment: int) -> None:
    live = tensors(
        [(start, end, size * alignment) for start, end, size in cut_rectangle(count, 12, 40 * count, seed)]
    )  # fmt: skip
    plan = plan_arena(live, alignment_bytes=alignment, max_nodes=nodes)
    assert_valid(live, plan)
    assert all(offset % alignment == 0 for offset in plan.offsets.values())
    assert plan.lower_bound_bytes == 40 * count * alignment
    assert plan == plan_arena(live, alignment_bytes=alignment, max_nodes=nodes)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5), st.integers(1, 9)), min_size=2, max_size=6))
def test_parts_apart_in_time_are_as_large_as_the_largest(rows: list[tuple[int, int, int]]) -> None:
    """Names, a common factor and what lies elsewhere in time change nothing; an instance backwards is as large."""
    here = [(start, start + length, 16 * size) for start, length, size in rows]
    late = [(start + 50, end + 50, size // 16) for start, end, size in here]
    backwards = [(100 - end, 100 - start, size) for start, end, size in here]
    alone = plan_arena(tensors(here)).arena_bytes
    assert plan_arena(tensors(late + here)).arena_bytes == alone
    assert plan_arena(tensors(backwards)).arena_bytes == alone


def test_more_than_the_search_takes() -> None:
    live = tensors(cut_rectangle(400, 300, 10_000, 0))
    plan = plan_arena(live, max_nodes=200)
    assert_valid(live, plan)
    assert plan.lower_bound_bytes == 10_000


def test_nothing_takes_nothing() -> None:
    assert plan_arena([]) == ArenaPlan({}, 0, 0)


@pytest.mark.parametrize("count", [12, 20, 30])
def test_a_rectangle_with_holes_is_never_too_small(count: int) -> None:
    """Pieces that are gone or smaller leave gaps, which a plan may need: no proof that there is none may come out."""
    for seed in range(120):
        rng = np.random.default_rng(seed)
        pieces = cut_rectangle(count, count // 2, 30, seed)
        rows = []
        for start, end, size in pieces:
            change = rng.random()
            if change < 0.8:
                rows.append((start, end, size))
            elif change < 0.95 and size > 1:
                rows.append((start, end, size - 1))
        live = tensors(rows)
        plan = plan_arena(live)
        assert_valid(live, plan)
        assert plan.lower_bound_bytes <= 30
        rectangles = [Rectangle(*row) for row in rows]
        search = Search(rectangles, neighbours_of(rectangles), 30, 20_000)
        assert search.run() is not None or not search.is_complete
