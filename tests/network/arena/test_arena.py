"""Test the arena planner on tables of (start, end, size), against every order of placement and an integer program."""

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
    # The optimal plan is larger than the peak of live bytes: the gaps between live ranges do not match the sizes.
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
"""Instances whose optimal plan is larger than the peak of live bytes."""

WITH_GAPS = [
    (7, [(2, 3, 6), (4, 10, 1), (3, 9, 1), (8, 10, 3), (7, 10, 2), (3, 6, 4), (1, 7, 1), (0, 2, 6)]),
    (27, [(2, 7, 4), (5, 10, 19), (2, 4, 4), (8, 10, 7), (3, 4, 11), (0, 3, 19), (3, 8, 4), (4, 5, 2)]),
    (25, [(8, 13, 17), (6, 8, 12), (10, 13, 8), (3, 6, 6), (0, 5, 8), (2, 8, 6), (9, 10, 5), (3, 6, 1), (5, 10, 2),
          (0, 1, 2), (1, 9, 4)]),
    (34, [(2, 5, 10), (1, 3, 9), (5, 6, 13), (2, 6, 4), (4, 6, 16), (0, 1, 6), (0, 2, 18), (1, 4, 2), (4, 5, 1),
          (3, 4, 5), (1, 5, 3), (0, 1, 6), (0, 1, 1), (2, 3, 6)]),
]  # fmt: skip
"""Heights and instances whose plans of that height need gaps of exact sizes in some steps."""


def tensors(rows: list[tuple[int, int, int]]) -> list[LiveTensor]:
    return [LiveTensor(str(index), *row) for index, row in enumerate(rows)]


def assert_valid(live: list[LiveTensor], plan: ArenaPlan) -> None:
    for one, other in itertools.combinations(live, 2):
        if one.overlaps(other):
            low, high = sorted((one, other), key=lambda each: plan.offsets[each.name])
            assert plan.offsets[low.name] + low.size_bytes <= plan.offsets[high.name]
    assert plan.arena_bytes == max(plan.offsets[each.name] + each.size_bytes for each in live)
    assert plan.lower_bound_bytes <= plan.arena_bytes


def smallest_by_enumeration(live: list[LiveTensor]) -> int:
    """Return the optimal arena size by trying all orders of placement.

    Some order gives an optimal plan if each tensor is placed on top of all earlier tensors that it overlaps in time.
    """
    best = sum(each.size_bytes for each in live)
    for order in itertools.permutations(live):
        top: dict[str, int] = {}
        for place, each in enumerate(order):
            under = [top[other.name] for other in order[:place] if other.overlaps(each)]
            top[each.name] = max(under, default=0) + each.size_bytes
        best = min(best, max(top.values()))
    return best


def peak_live_bytes(live: list[LiveTensor]) -> int:
    return max(sum(each.size_bytes for each in live if each.start <= step < each.end) for step in range(100))


def fits_by_integer_program(live: list[LiveTensor], arena_bytes: int) -> bool:
    """Return whether a plan of the given size exists, by an integer program.

    For each pair of tensors that are alive together, an indicator variable says which of the two is the lower one.
    """
    pairs = [pair for pair in itertools.combinations(range(len(live)), 2) if live[pair[0]].overlaps(live[pair[1]])]
    columns = len(live) + len(pairs)
    rows, most = [], []
    for indicator, (one, other) in enumerate(pairs, start=len(live)):
        for low, high, sign in ((one, other, 1), (other, one, -1)):
            row = np.zeros(columns)
            row[low], row[high], row[indicator] = 1, -1, sign * arena_bytes
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
    """Return the pieces of a full rectangle that is cut until it has `count` pieces: the optimum is its height."""
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
    assert plan.arena_bytes == (smallest_by_enumeration(live) if peak is None else peak)
    assert plan.is_optimal


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5), st.integers(1, 9)), min_size=1, max_size=6))
def test_against_every_order(rows: list[tuple[int, int, int]]) -> None:
    live = tensors([(start, start + length, size) for start, length, size in rows])
    plan = plan_arena(live)
    assert_valid(live, plan)
    assert plan.arena_bytes == plan.lower_bound_bytes == smallest_by_enumeration(live)


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
    """In each step the input, the output and the scratch buffer are alive; no search is needed."""
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
    smallest = smallest_by_enumeration(live)
    for enough in range(plan_arena(live).arena_bytes + 4):
        plan = plan_arena(live, enough_bytes=enough)
        assert_valid(live, plan)
        assert plan.lower_bound_bytes <= smallest
        assert plan.arena_bytes <= enough or plan.lower_bound_bytes > enough


def test_a_search_that_is_cut_short_says_so() -> None:
    rows, _ = TABLE["above the bound"]
    live = tensors(rows)
    plan = plan_arena(live, max_nodes=1)
    assert_valid(live, plan)
    assert plan.lower_bound_bytes <= smallest_by_enumeration(live) <= plan.arena_bytes


@pytest.mark.parametrize("rows", ABOVE)
def test_above_the_peak_of_live_bytes(rows: list[tuple[int, int, int]]) -> None:
    live = tensors(rows)
    plan = plan_arena(live)
    assert_valid(live, plan)
    assert plan.is_optimal
    assert plan.arena_bytes > peak_live_bytes(live)
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
def test_a_failure_on_high_floors_does_not_exclude_lower_ones(rows: list[tuple[int, int, int]]) -> None:
    smallest = plan_arena(tensors(rows)).arena_bytes
    rectangles = [Rectangle(*row) for row in rows]
    search = Search(rectangles, neighbours_of(rectangles), smallest, 20_000)
    search._run_nodes = 20_000
    order = sorted(range(len(rows)), key=lambda index: rectangles[index].start)
    steps = max(end for _, end, _ in rows)
    used = []
    for floor, fits in ((1, False), (0, True), (1, False)):
        nodes_before = search._run_nodes
        components = search._components(order)
        assert all(search._place(component, [floor] * steps) for component in components) is fits
        used.append(nodes_before - search._run_nodes)
    assert used[2] < used[0], "a memoized failure must not be searched again"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ABOVE), st.lists(st.integers(-1, 1), min_size=12, max_size=12))
def test_changed_sizes_against_an_integer_program(
    rows: list[tuple[int, int, int]], changes: list[int]
) -> None:  # fmt: skip
    live = tensors([(start, end, max(1, size + more)) for (start, end, size), more in zip(rows, changes, strict=False)])
    plan = plan_arena(live)
    assert_valid(live, plan)
    assert plan.is_optimal
    assert plan.arena_bytes == peak_live_bytes(live) or not fits_by_integer_program(live, plan.arena_bytes - 1)


@pytest.mark.parametrize(("count", "seed"), [(20, 1), (20, 2), (50, 1), (50, 2), (50, 3), (100, 1)])
def test_a_full_rectangle_is_put_together(count: int, seed: int) -> None:
    live = tensors(cut_rectangle(count, count, 1000, seed))
    plan = plan_arena(live)
    assert_valid(live, plan)
    assert plan.arena_bytes == plan.lower_bound_bytes == 1000


@settings(max_examples=60, deadline=None)
@given(st.integers(7, 30), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 50, 20_000]), st.sampled_from([1, 4, 16]))
def test_plans_are_valid_with_any_node_limit(count: int, seed: int, nodes: int, alignment: int) -> None:
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
def test_components_in_time_are_as_large_as_the_largest(rows: list[tuple[int, int, int]]) -> None:
    """Names, a common factor of sizes, and tensors at other times do not change the size; nor does reversed time."""
    here = [(start, start + length, 16 * size) for start, length, size in rows]
    late = [(start + 50, end + 50, size // 16) for start, end, size in here]
    backwards = [(100 - end, 100 - start, size) for start, end, size in here]
    alone = plan_arena(tensors(here)).arena_bytes
    assert plan_arena(tensors(late + here)).arena_bytes == alone
    assert plan_arena(tensors(backwards)).arena_bytes == alone


def test_more_tensors_than_the_search_accepts() -> None:
    live = tensors(cut_rectangle(400, 300, 10_000, 0))
    plan = plan_arena(live, max_nodes=200)
    assert_valid(live, plan)
    assert plan.lower_bound_bytes == 10_000


def test_no_tensors_need_no_memory() -> None:
    assert plan_arena([]) == ArenaPlan({}, 0, 0)


@pytest.mark.parametrize("count", [12, 20, 30])
def test_a_rectangle_with_holes_is_never_too_small(count: int) -> None:
    """A plan may need the gaps of removed or smaller pieces: the search must not prove that no plan exists."""
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
