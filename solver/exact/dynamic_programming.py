"""Dynamic programming over the constraints of an integer program, e.g. one for each step of a schedule.

The *frontier* after a row is the set of groups with an entry in this row or an earlier one, and another in a later one:

    rows       |  a b  |  b c  |  b c d |
    frontier       b      b c      (empty)

A state assigns a choice to each group of the frontier; its value is the minimum summed cost of all groups so far, under
these choices. The groups of the current row that are not yet in the state are *opened*, groups without a later row are
*closed*:

    state = {(): 0}
    for each row:
        for each group whose first row this is:     extend the state by its choices, and add their costs
        for each assignment of the state:           value = infinity if the row's sum of sizes exceeds its limit
        for each group whose last row this is:      minimize over its choices, and remember the best one
    trace the remembered choices back from the last row to the first

Time and memory are proportional to k^width for each row, with k choices of each group, where the width is the largest
number of groups that are open during a row. A chain has width 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from solver.exact.program import CHOICES, Float64Array, IntArray

MAX_WIDTH: Final = 9
"""Largest width that is solved here."""

MAX_STATES: Final = CHOICES**MAX_WIDTH
"""Largest number of states that is solved here: about 20 thousand, well under a millisecond for each row."""


PairwiseTerm = tuple[int, int, IntArray]
"""First group, second group, size by the choice of the first and of the second: int64 [k, k]."""


def is_narrow(row_groups: list[IntArray], group_count: int, choice_count: int) -> bool:
    """Return whether dynamic programming over the rows has few enough states.

    Args:
        row_groups: Groups of each row, in sequence.
        group_count: Number of groups; they are numbered from 0.
        choice_count: Number of choices of each group.
    """
    width = frontier_width(row_groups, group_count)
    return width <= MAX_WIDTH and int(choice_count**width) <= MAX_STATES


def frontier_width(row_groups: list[IntArray], group_count: int) -> int:
    """Return the largest number of tensors that dynamic programming has to track at the same time.

    A group is open from the first to the last row in which it has an entry.

    Args:
        row_groups: Groups of each row, in sequence.
        group_count: Number of groups; they are numbered from 0.
    """
    first, last = _first_and_last_rows(row_groups, group_count)
    change = np.zeros(len(row_groups) + 1, dtype=np.int64)
    np.add.at(change, first, 1)
    np.add.at(change, last + 1, -1)
    return int(np.cumsum(change).max())


def solve_by_dynamic_programming(
    costs: Float64Array,
    row_groups: list[IntArray],
    row_sizes: list[IntArray],
    limits: list[int],
    row_pairwise_terms: Sequence[Sequence[PairwiseTerm]] | None = None,
) -> IntArray | None:
    """Solve an integer program by dynamic programming: return the choices of minimum summed cost within all limits.

    Of several such choices, the result has the most bits for the group that is closed last, then for the one that is
    closed before it, and so on.

    Args:
        costs: Cost of each choice of each group: whole numbers, float64 [n, k]; infinite for a choice that is not
            allowed. Each group must have an entry in at least one row.
        row_groups: Groups of each row.
        row_sizes: Size of each entry of each row, int64 [groups of the row, k] for each row.
        limits: Largest sum of sizes of each row.
        row_pairwise_terms: Pairwise terms of each row; None if no row has one.

    Returns:
        Choice of each group, int64 [n]; None if no choices keep every limit.
    """
    choice_count = costs.shape[1]
    first_rows, last_rows = _first_and_last_rows(row_groups, len(costs))
    opened = _groups_by_row(first_rows, len(row_groups))
    closed = _groups_by_row(last_rows, len(row_groups))
    frontier: list[int] = []  # the group of each axis of the state
    state = np.zeros(())
    decided: list[tuple[int, list[int], IntArray]] = []  # group, other groups of the frontier, choice by their choices
    for row, (groups, sizes, limit) in enumerate(zip(row_groups, row_sizes, limits, strict=True)):
        for group in opened[row]:
            state = np.add.outer(state, costs[group])
            frontier.append(group)
        axis_of = {group: axis for axis, group in enumerate(frontier)}
        total = np.zeros((1,) * len(frontier), dtype=np.int64)
        for group, size in zip(groups.tolist(), sizes, strict=True):
            shape = [1] * len(frontier)
            shape[axis_of[group]] = choice_count
            total = total + size.reshape(shape)
        for first, second, table in () if row_pairwise_terms is None else row_pairwise_terms[row]:
            shape = [1] * len(frontier)
            shape[axis_of[first]] = shape[axis_of[second]] = choice_count
            total = total + (table if axis_of[first] < axis_of[second] else table.T).reshape(shape)
        state = np.where(total <= limit, state, np.inf)
        for group in closed[row]:
            axis = frontier.index(group)
            frontier.pop(axis)
            decided.append((group, list(frontier), state.argmin(axis=axis).astype(np.int8)))
            state = state.min(axis=axis)
    if not np.isfinite(state):
        return None
    choices = np.zeros(len(costs), dtype=np.int64)
    for group, others, choice in reversed(decided):
        choices[group] = choice[tuple(choices[others])]
    return choices


def solve_chain(costs: Float64Array, tables: IntArray, limits: list[int]) -> IntArray | None:
    """Solve an integer program by dynamic programming if its constraint r has entries of groups r and r + 1.

    The result is that of `solve_by_dynamic_programming`, many times faster.

    Args:
        costs: Cost of each choice of each group: whole numbers, float64 [n, k]; infinite for a choice that is not
            allowed.
        tables: Sum of sizes of each row by the choices of its first and of its second group, int64 [n - 1, k, k].
        limits: Largest sum of sizes of each row, [n - 1].

    Returns:
        Choice of each group, int64 [n]; None if no choices keep every limit.
    """
    best: list[float] = costs[0].tolist()
    came_from: list[tuple[int, ...]] = []
    choices = range(costs.shape[1])
    for own_costs, by_second, limit in zip(costs[1:].tolist(), tables.transpose(0, 2, 1).tolist(), limits, strict=True):
        reached, parents = [], []
        for by_first, own_cost in zip(by_second, own_costs, strict=True):
            minimum, parent = np.inf, 0
            for choice in choices:
                if by_first[choice] <= limit and best[choice] < minimum:
                    minimum, parent = best[choice], choice
            reached.append(minimum + own_cost)
            parents.append(parent)
        best = reached
        came_from.append(tuple(parents))
    choice = min(choices, key=best.__getitem__)
    if best[choice] == np.inf:
        return None
    chosen = [choice]
    for parents_of in reversed(came_from):
        choice = parents_of[choice]
        chosen.append(choice)
    return np.array(chosen[::-1], dtype=np.int64)


def _first_and_last_rows(row_groups: list[IntArray], group_count: int) -> tuple[IntArray, IntArray]:
    """Return the first and the last constraint in which each group has an entry, int64 [groups] each."""
    rows = np.repeat(np.arange(len(row_groups)), [len(groups) for groups in row_groups])
    groups = np.concatenate(row_groups)
    first = np.full(group_count, len(row_groups), dtype=np.int64)
    last = np.full(group_count, -1, dtype=np.int64)
    np.minimum.at(first, groups, rows)
    np.maximum.at(last, groups, rows)
    return first, last


def _groups_by_row(rows: IntArray, count: int) -> list[list[int]]:
    """Return the groups that have an entry in each constraint, in ascending order.

    Args:
        rows: Row of each group.
        count: Number of rows.
    """
    groups: list[list[int]] = [[] for _ in range(count)]
    for group, row in enumerate(rows.tolist()):
        groups[row].append(group)
    return groups
