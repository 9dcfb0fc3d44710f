"""A program without switches, solved part by part, each by the method that fits it."""

from __future__ import annotations

import time

import numpy as np

from solver.exact.components import Component, components, least_and_most
from solver.exact.dynamic_programming import MAX_WIDTH, Pair, frontier_width, solve_frontier, solve_path
from solver.exact.knapsack import solve_knapsack
from solver.exact.milp import highs, solve_integer_program
from solver.exact.program import DEFAULT_TIME_LIMIT_SECONDS, Answer, FloatArray, IntArray, Program


def solve_parts(program: Program, time_limit_seconds: float = DEFAULT_TIME_LIMIT_SECONDS) -> Answer:
    """The least-cost choices that keep every row, with a bound that says how much less any choices could cost.

    Rows that cannot be exceeded are left out; the parts that the others join are solved one by one:

        one row, no pairs                   the multiple-choice knapsack
        rows in sequence, narrow frontier   dynamic programming
        anything else                       HiGHS, within the time limit
    """
    deadline = time.perf_counter() + time_limit_seconds
    least, most = least_and_most(program)
    short = np.flatnonzero(least > program.limits)
    if len(short):
        worst = int(short[np.argmax((least - program.limits)[short])])
        return Answer(None, np.inf, np.inf, broken_row=worst)
    # Groups that nothing restrains take what costs least; among equals, more bits.
    choices = program.costs.argmin(axis=1)
    free_cost = program.costs[np.arange(len(choices)), choices]
    bound_of_parts = 0.0
    restrained = np.zeros(len(choices), dtype=bool)
    for component in components(program, np.flatnonzero(most > program.limits)):
        answer = _solve_part(program, component, deadline)
        if answer.choices is None:
            return Answer(None, np.inf, answer.bound)
        choices[component.groups] = answer.choices
        restrained[component.groups] = True
        bound_of_parts += answer.bound
    return Answer(choices, program.objective(choices), float(free_cost[~restrained].sum()) + bound_of_parts)


def has_wide_part_with_pairs(program: Program) -> bool:
    """Whether `solve_parts` leaves a part that has pairs to the general solver."""
    least, most = least_and_most(program)
    if (least > program.limits).any():
        return False
    for component in components(program, np.flatnonzero(most > program.limits)):
        if np.isin(component.rows, program.pair_rows).any():
            entries = [slice(program.row_starts[row], program.row_starts[row + 1]) for row in component.rows.tolist()]
            row_groups = [np.searchsorted(component.groups, program.entry_groups[own]) for own in entries]
            if frontier_width(row_groups, len(component.groups)) > MAX_WIDTH:
                return True
    return False


def _solve_part(program: Program, component: Component, deadline: float) -> Answer:
    costs = program.costs[component.groups]
    entries = [slice(program.row_starts[row], program.row_starts[row + 1]) for row in component.rows.tolist()]
    row_pairs = _pairs_of(program, component)
    if len(component.rows) == 1 and row_pairs is None:
        (own,) = entries
        sizes = np.empty_like(program.entry_sizes, shape=(len(costs), program.entry_sizes.shape[1]))
        sizes[np.searchsorted(component.groups, program.entry_groups[own])] = program.entry_sizes[own]
        found = solve_knapsack(costs, sizes, int(program.limits[component.rows[0]]))
        return Answer(found.choices, found.cost, found.bound)
    row_groups = [np.searchsorted(component.groups, program.entry_groups[own]) for own in entries]
    row_sizes = [program.entry_sizes[own] for own in entries]
    limits = program.limits[component.rows].tolist()
    choices: IntArray | None
    if _is_path(row_groups, len(costs)):
        choices = solve_path(costs, _path_tables(row_groups, row_sizes, row_pairs), limits)
    elif frontier_width(row_groups, len(costs)) <= MAX_WIDTH:
        choices = solve_frontier(costs, row_groups, row_sizes, limits, row_pairs)
    else:
        part = _part(program, component, costs, row_groups, row_sizes)
        return solve_integer_program(part, highs, deadline - time.perf_counter())
    if choices is None:
        return Answer(None, np.inf, np.inf)
    cost = float(costs[np.arange(len(costs)), choices].sum())
    return Answer(choices, cost, cost)


def _is_path(row_groups: list[IntArray], group_count: int) -> bool:
    """Row r names the groups r and r + 1 and no other."""
    return len(row_groups) == group_count - 1 and all(
        len(groups) == 2 and groups.min() == row and groups.max() == row + 1 for row, groups in enumerate(row_groups)
    )


def _pairs_of(program: Program, component: Component) -> list[list[Pair]] | None:
    """The pairs of each row of the component, by the component's own numbers; None where no row has any."""
    if not len(program.pair_rows):
        return None
    rows, groups, sizes = _own_pairs(program, component)
    if not len(rows):
        return None
    row_pairs: list[list[Pair]] = [[] for _ in component.rows]
    for row, (first, second), together in zip(rows.tolist(), groups.tolist(), sizes, strict=True):
        row_pairs[row].append((first, second, together))
    return row_pairs


def _own_pairs(program: Program, component: Component) -> tuple[IntArray, IntArray, IntArray]:
    """The rows, groups and sizes of the component's pairs, by the component's own numbers."""
    starts = np.searchsorted(program.pair_rows, component.rows, side="left")
    counts = np.searchsorted(program.pair_rows, component.rows, side="right") - starts
    rows = np.repeat(np.arange(len(component.rows)), counts)
    own = np.arange(len(rows)) + np.repeat(starts - np.cumsum(counts) + counts, counts)
    return rows, np.searchsorted(component.groups, program.pair_groups[own]), program.pair_sizes[own]


def _path_tables(row_groups: list[IntArray], row_sizes: list[IntArray], row_pairs: list[list[Pair]] | None) -> IntArray:
    sizes = np.stack([sizes[groups.argsort()] for groups, sizes in zip(row_groups, row_sizes, strict=True)])
    tables: IntArray = sizes[:, 0, :, None] + sizes[:, 1, None, :]
    for row, pairs in enumerate(row_pairs or ()):
        for first, second, together in pairs:
            tables[row] += together if first < second else together.T
    return tables


def _part(
    program: Program, component: Component, costs: FloatArray, row_groups: list[IntArray], row_sizes: list[IntArray]
) -> Program:
    pair_rows, pair_groups, pair_sizes = _own_pairs(program, component)
    return Program(
        groups=tuple(program.groups[group] for group in component.groups.tolist()),
        costs=costs,
        row_names=tuple(program.row_names[row] for row in component.rows.tolist()),
        limits=program.limits[component.rows],
        row_starts=np.cumsum([0, *(len(groups) for groups in row_groups)]),
        entry_groups=np.concatenate(row_groups),
        entry_sizes=np.concatenate(row_sizes),
        pair_rows=pair_rows,
        pair_groups=pair_groups,
        pair_sizes=pair_sizes,
    )
