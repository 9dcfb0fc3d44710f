"""Rows in a sequence, as the steps of a schedule are: dynamic programming over the groups that cross from row to row.

    rows     |  a b  |  b c  |  b c d |          each row names the groups that count in it
    frontier     b      b c      c d             after a row: the groups that a later row names again

A state is a choice for every group on the frontier, and holds the least cost of all decided groups that leads to it. A
row adds the groups that it names first, bars the states that exceed its limit, and lets go of the groups that it names
last, each at the choice that costs least. The work is 3^width per row, width being the most groups in a row or
crossing it; a chain has width 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from solver.exact.program import CHOICES, FloatArray, IntArray

MAX_WIDTH: Final = 9
"""3^9 states are 20 thousand: a row takes well under a millisecond."""


Pair = tuple[int, int, IntArray]


def frontier_width(row_groups: list[IntArray], group_count: int) -> int:
    """The most groups that are live at a row: those that it names, and those that cross it.

    Args:
        row_groups: the groups of each row, in sequence.
        group_count: groups are numbered from 0.
    """
    first, last = _extents(row_groups, group_count)
    crossing = np.zeros(len(row_groups) + 1, dtype=np.int64)
    np.add.at(crossing, first, 1)
    np.add.at(crossing, last + 1, -1)
    return int(np.cumsum(crossing).max())


def solve_frontier(
    costs: FloatArray,
    row_groups: list[IntArray],
    row_sizes: list[IntArray],
    limits: list[int],
    row_pairs: Sequence[Sequence[Pair]] | None = None,
) -> IntArray | None:
    """The cheapest choices that keep every row; among equals, more bits for what is named last, then before it.

    Args:
        costs: whole numbers [n, 3]; every group stands in some row.
        row_groups: the groups of each row.
        row_sizes: [groups of the row, 3] for each row.
        limits: of each row.
        row_pairs: of each row: two of its groups, and what they take together [3, 3]; None where no row has pairs.

    Returns:
        Choices [n], or None when no choices keep every row.
    """
    first_rows, last_rows = _extents(row_groups, len(costs))
    opened = _by_row(first_rows, len(row_groups))
    closed = _by_row(last_rows, len(row_groups))
    frontier: list[int] = []
    state = np.zeros(())
    decided: list[tuple[int, list[int], IntArray]] = []  # group, the frontier without it, its choice by their choices
    for row, (groups, sizes, limit) in enumerate(zip(row_groups, row_sizes, limits, strict=True)):
        for group in opened[row]:
            state = np.add.outer(state, costs[group])
            frontier.append(group)
        position = {group: axis for axis, group in enumerate(frontier)}
        taken = np.zeros((1,) * len(frontier), dtype=np.int64)
        for group, size in zip(groups.tolist(), sizes, strict=True):
            extents = [1] * len(frontier)
            extents[position[group]] = CHOICES
            taken = taken + size.reshape(extents)
        for first, second, together in () if row_pairs is None else row_pairs[row]:
            extents = [1] * len(frontier)
            extents[position[first]] = extents[position[second]] = CHOICES
            taken = taken + (together if position[first] < position[second] else together.T).reshape(extents)
        state = np.where(taken <= limit, state, np.inf)
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


def solve_path(costs: FloatArray, tables: IntArray, limits: list[int]) -> IntArray | None:
    """`solve_frontier` for a chain, where row r names the groups r and r + 1: the same answer, many times faster.

    Args:
        costs: whole numbers [n, 3].
        tables: [n - 1, 3, 3]: what each row takes, by the choices of its first and of its second group.
        limits: of each row, [n - 1].
    """
    best: list[float] = costs[0].tolist()
    came_from: list[tuple[int, ...]] = []
    choices = range(CHOICES)
    for cost, by_second, limit in zip(costs[1:].tolist(), tables.transpose(0, 2, 1).tolist(), limits, strict=True):
        reached, parents = [], []
        for taken, own in zip(by_second, cost, strict=True):
            least, parent = np.inf, 0
            for choice in choices:
                if taken[choice] <= limit and best[choice] < least:
                    least, parent = best[choice], choice
            reached.append(least + own)
            parents.append(parent)
        best = reached
        came_from.append(tuple(parents))
    choice = min(choices, key=best.__getitem__)
    if best[choice] == np.inf:
        return None
    answer = [choice]
    for parents_of in reversed(came_from):
        choice = parents_of[choice]
        answer.append(choice)
    return np.array(answer[::-1], dtype=np.int64)


def _extents(row_groups: list[IntArray], group_count: int) -> tuple[IntArray, IntArray]:
    """The first and the last row that names each group."""
    rows = np.repeat(np.arange(len(row_groups)), [len(groups) for groups in row_groups])
    groups = np.concatenate(row_groups)
    first = np.full(group_count, len(row_groups), dtype=np.int64)
    last = np.full(group_count, -1, dtype=np.int64)
    np.minimum.at(first, groups, rows)
    np.maximum.at(last, groups, rows)
    return first, last


def _by_row(rows: IntArray, count: int) -> list[list[int]]:
    """The groups of each row, ascending, from the row of each group."""
    groups: list[list[int]] = [[] for _ in range(count)]
    for group, row in enumerate(rows.tolist()):
        groups[row].append(group)
    return groups
