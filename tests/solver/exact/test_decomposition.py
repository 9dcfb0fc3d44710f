"""The solvers of single components, compared with full enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.exact.chain import Chain
from solver.exact.components import row_size_bounds
from solver.exact.decomposition import solve_by_decomposition
from solver.exact.dynamic_programming import Frontier, frontier_width
from solver.exact.knapsack import solve_knapsack
from solver.exact.milp import highs, pulp_backend, solve_integer_program
from solver.exact.program import CHOICES, Float64Array, IntArray, Program, integer_costs

PairwiseTerms = list[tuple[int, tuple[int, int], IntArray]]
"""Row, groups and sizes [3, 3] of each pairwise term."""


def program_of(
    costs: Float64Array, rows: list[tuple[list[int], IntArray, int]], terms: PairwiseTerms | None = None
) -> Program:
    terms = terms or []
    return Program(
        groups=tuple(f"g{index}" for index in range(len(costs))),
        costs=costs,
        row_names=tuple(f"r{index}" for index in range(len(rows))),
        limits=np.array([limit for _, _, limit in rows], dtype=np.int64),
        row_starts=np.cumsum([0, *(len(groups) for groups, _, _ in rows)]),
        entry_groups=np.array([group for groups, _, _ in rows for group in groups], dtype=np.int64),
        entry_sizes=np.concatenate([sizes for _, sizes, _ in rows]),
        pairwise_rows=np.array([row for row, _, _ in terms], dtype=np.int64),
        pairwise_groups=np.array([groups for _, groups, _ in terms], dtype=np.int64).reshape(-1, 2),
        pairwise_sizes=np.array([sizes for _, _, sizes in terms], dtype=np.int64).reshape(-1, CHOICES, CHOICES),
    )


def minimum_by_enumeration(program: Program) -> float:
    best = np.inf
    for chosen in itertools.product(range(CHOICES), repeat=len(program.groups)):
        choices = np.array(chosen)
        if (program.row_sizes(choices) <= program.limits).all():
            best = min(best, program.objective(choices))
    return best


@st.composite
def costs_of(draw: st.DrawFn, groups: int) -> Float64Array:
    """Draw costs as whole numbers, sorted by bits or not; some choices may be forbidden."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    costs = rng.integers(0, 60, (groups, CHOICES)).astype(np.float64)
    if draw(st.booleans()):
        costs.sort(axis=1)
    costs[rng.random(costs.shape) < draw(st.sampled_from((0.0, 0.15)))] = np.inf
    nothing = ~np.isfinite(costs).any(axis=1)
    costs[nothing, 2] = 7.0
    return costs


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_the_knapsack_is_solved_to_optimality(data: st.DataObject) -> None:
    groups = data.draw(st.integers(1, 6))
    costs = data.draw(costs_of(groups))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    sizes = rng.integers(1, 60, (groups, CHOICES))
    least = int(np.where(np.isfinite(costs), sizes, 10**6).min(axis=1).sum())
    most = int(np.where(np.isfinite(costs), sizes, 0).max(axis=1).sum())
    limit = data.draw(st.integers(least, most + 1))
    program = program_of(costs, [(list(range(groups)), sizes, limit)])
    found = solve_knapsack(costs, sizes, limit)
    assert found.cost == found.bound == minimum_by_enumeration(program)
    assert program.objective(found.choices) == found.cost
    assert (program.row_sizes(found.choices) <= limit).all()


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_decomposition_and_general_solvers_find_the_optimum(data: st.DataObject) -> None:
    groups = data.draw(st.integers(1, 6))
    costs = data.draw(costs_of(groups))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = []
    for _ in range(data.draw(st.integers(1, 5))):
        named = sorted(rng.permutation(groups)[: rng.integers(1, groups + 1)].tolist())
        sizes = rng.integers(1, 30, (len(named), 1)) * np.array([8, 4, 2])
        rows.append((named, sizes, int(sizes[:, 0].sum() * rng.uniform(0.2, 1.1))))
    program = program_of(costs, rows)
    best = minimum_by_enumeration(program)
    solution = solve_by_decomposition(program)
    assert solution.objective == best
    if solution.choices is None:
        return
    assert solution.bound == pytest.approx(best, rel=1e-9, abs=1e-9)
    assert (program.row_sizes(solution.choices) <= program.limits).all()
    if data.draw(st.integers(0, 9)) == 0:  # general solvers are slow to start
        for backend in (highs, pulp_backend()):
            assert solve_integer_program(program, backend, 20.0).objective == best


def random_pairwise_terms(rng: np.random.Generator, rows: list[list[int]]) -> PairwiseTerms:
    """Return some pairwise terms for each row, with positive and negative sizes and both orders of the groups."""
    terms: PairwiseTerms = []
    for row, groups in enumerate(rows):
        for _ in range(rng.integers(0, 3) if len(groups) > 1 else 0):
            first, second = rng.permutation(groups)[:2].tolist()
            table = rng.integers(-20, 40, (CHOICES, CHOICES))
            terms.append(
                (row, (first, second), table if rng.random() < 0.5 else -np.diag(rng.integers(0, 60, CHOICES)))
            )
    return terms


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_pairwise_terms(data: st.DataObject) -> None:
    groups = data.draw(st.integers(2, 6))
    costs = data.draw(costs_of(groups))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = []
    for _ in range(data.draw(st.integers(1, 4))):
        named = sorted(rng.permutation(groups)[: rng.integers(1, groups + 1)].tolist())
        sizes = rng.integers(0, 30, (len(named), 1)) * np.array([8, 4, 2])
        rows.append((named, sizes, int(sizes[:, 0].sum() * rng.uniform(0.0, 1.1))))
    program = program_of(costs, rows, random_pairwise_terms(rng, [named for named, _, _ in rows]))
    best = minimum_by_enumeration(program)
    solution = solve_by_decomposition(program)
    assert solution.objective == best
    if solution.choices is not None:
        assert (program.row_sizes(solution.choices) <= program.limits).all()
        least, most = row_size_bounds(program)
        assert (least <= program.row_sizes(solution.choices)).all()
        assert (program.row_sizes(solution.choices) <= most).all()
    if data.draw(st.integers(0, 4)) == 0:
        for backend in (highs, pulp_backend()):
            assert solve_integer_program(program, backend, 20.0).objective == best


def test_a_pairwise_term_counts_in_its_row() -> None:
    """The row has 10 + 20 bits, minus 15 if both groups have their first choice."""
    sizes = np.array([[10, 5, 2], [20, 10, 5]])
    table = np.zeros((CHOICES, CHOICES), dtype=np.int64)
    table[0, 0] = -15
    costs = np.array([[0.0, 5.0, 9.0], [0.0, 5.0, 9.0]])
    program = program_of(costs, [([0, 1], sizes, 15)], [(0, (1, 0), table.T)])
    assert program.row_sizes(np.array([0, 0])).tolist() == [15]
    assert program.row_sizes(np.array([0, 1])).tolist() == [20]
    solution = solve_by_decomposition(program)
    assert solution.choices is not None
    assert solution.choices.tolist() == [0, 0]
    assert solution.bound == 0


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 6), st.data())
def test_chains_and_frontiers_agree_with_enumeration(groups: int, data: st.DataObject) -> None:
    costs = data.draw(costs_of(groups))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    sizes = rng.integers(1, 30, (groups - 1, 2, CHOICES))
    tables = rng.integers(-20, 10, (groups - 1, CHOICES, CHOICES))
    limits = rng.integers(2, 50, groups - 1).tolist()
    row_groups = [np.array([row, row + 1]) for row in range(groups - 1)]
    assert frontier_width(row_groups, groups) == 2
    row_pairwise_terms = [[(row + 1, row, table.T)] for row, table in enumerate(tables)]
    frontier = Frontier(costs.shape, row_groups, list(sizes), limits, row_pairwise_terms)
    chain = Chain(sizes[:, 0, :, None] + sizes[:, 1, None, :] + tables, limits)
    program = program_of(
        costs,
        [([row, row + 1], sizes[row], limit) for row, limit in enumerate(limits)],
        [(row, (row, row + 1), table) for row, table in enumerate(tables)],
    )
    least = np.full(costs.shape, np.inf)
    for chosen in itertools.product(range(CHOICES), repeat=groups):
        choices = np.array(chosen)
        if (program.row_sizes(choices) <= program.limits).all():
            lines = np.arange(groups)
            least[lines, choices] = np.minimum(least[lines, choices], program.objective(choices))
    for solver in (frontier, chain):
        assert (solver.least_sums(costs) == least).all()
        found = solver.solve(costs)
        assert (found is None) == np.isinf(least).all()
        if found is not None:
            assert program.objective(found) == least.min()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.data())
def test_least_sums_of_a_frontier_are_those_of_enumeration(groups: int, rows: int, data: st.DataObject) -> None:
    costs = data.draw(costs_of(groups))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    row_groups = [np.sort(rng.permutation(groups)[: rng.integers(1, groups + 1)]) for _ in range(rows)]
    row_groups[rng.integers(0, rows)] = np.arange(groups)
    row_sizes = [rng.integers(0, 30, (len(own), CHOICES)) for own in row_groups]
    limits = [int(sizes.max(axis=1).sum() * rng.uniform(0.2, 1.1)) for sizes in row_sizes]
    program = program_of(
        costs, [(own.tolist(), *rest) for own, *rest in zip(row_groups, row_sizes, limits, strict=True)]
    )
    least = np.full(costs.shape, np.inf)
    for chosen in itertools.product(range(CHOICES), repeat=groups):
        choices = np.array(chosen)
        if (program.row_sizes(choices) <= program.limits).all():
            lines = np.arange(groups)
            least[lines, choices] = np.minimum(least[lines, choices], program.objective(choices))
    frontier = Frontier(costs.shape, row_groups, row_sizes, limits)
    assert (frontier.least_sums(costs) == least).all()


def test_a_cutoff_of_the_knapsack_keeps_better_solutions_and_bounds_the_others() -> None:
    costs, sizes = np.array([[0.0, 3.0, 9.0], [0.0, 4.0, 9.0]]), np.array([[8, 4, 2], [8, 4, 2]])
    better, none = (solve_knapsack(costs, sizes, 12, cutoff=cutoff) for cutoff in (4.0, 3.0))
    assert (better.choices.tolist(), better.cost, better.bound) == ([1, 0], 3.0, 3.0)
    assert none.bound == 3.0
    assert none.cost >= none.bound


def test_a_large_knapsack_is_solved_to_optimality() -> None:
    rng = np.random.default_rng(0)
    elements = rng.integers(100, 100_000, 20_000)
    sizes = np.outer(elements, [8, 4, 2])
    costs, _ = integer_costs(
        np.sort(rng.exponential(1, (20_000, 1)) * rng.uniform(0.5, 1.5, (20_000, 3)) * [1e-3, 0.1, 2], axis=1)
    )
    found = solve_knapsack(costs, sizes, int(sizes[:, 0].sum() // 2))
    assert found.cost == found.bound
