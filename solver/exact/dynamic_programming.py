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
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from solver.exact.program import CHOICES, BoolArray, Float64Array, IntArray

MAX_WIDTH: Final = 9
"""Largest width that is solved here."""

MAX_STATES: Final = CHOICES**MAX_WIDTH
"""Largest number of states that is solved here: about 20 thousand, well under a millisecond for each row."""


PairwiseTerm = tuple[int, int, IntArray]
"""First group, second group, size by the choice of the first and of the second: int64 [k, k]."""


class DynamicProgram(Protocol):
    """Component of an integer program that dynamic programming solves, for different costs of its choices."""

    def solve(self, costs: Float64Array) -> IntArray | None:
        """Return the choices of minimum summed cost within all limits, int64 [n]; None if there are none.

        Args:
            costs: Cost of each choice of each group, float64 [n, k]; infinite for a choice that is not allowed.
        """

    def least_sums(self, costs: Float64Array) -> Float64Array:
        """Return the minimum summed cost of all choices that include each choice, float64 [n, k].

        Args:
            costs: Cost of each choice of each group, float64 [n, k]; infinite for a choice that is not allowed.
        """


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


@dataclass(frozen=True, slots=True, eq=False)
class FrontierRow:
    """One constraint of a component, with the groups that are open during it.

    Attributes:
        groups: The open groups, in the order of the axes of the state.
        opened: Those whose first row this is, in the same order; they are the last ones.
        closed: Those whose last row this is, in the order in which they are closed, each with its axis at that time.
        keeps: Whether the choices of the open groups keep the limit, bool, one axis for each group: k long, or 1 if the
            row does not depend on the group.
    """

    groups: tuple[int, ...]
    opened: tuple[int, ...]
    closed: tuple[tuple[int, int], ...]
    keeps: BoolArray


class Frontier:
    """Component whose rows are passed in sequence, with the choices of the groups that are open as states.

    Attributes:
        rows: The constraints, with the groups that are open during them.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        row_groups: list[IntArray],
        row_sizes: list[IntArray],
        limits: Sequence[int],
        row_pairwise_terms: Sequence[Sequence[PairwiseTerm]] | None = None,
    ) -> None:
        """Find the choices of the open groups that keep each limit.

        Args:
            shape: Number of groups, n, and of choices of each group, k. Each group must have an entry in at least one
                row.
            row_groups: Groups of each row.
            row_sizes: Size of each entry of each row, int64 [groups of the row, k] for each row.
            limits: Largest sum of sizes of each row.
            row_pairwise_terms: Pairwise terms of each row; None if no row has one.
        """
        group_count, choice_count = self._shape = shape
        first, last = _first_and_last_rows(row_groups, group_count)
        opened = _groups_by_row(first, len(row_groups))
        closed = _groups_by_row(last, len(row_groups))
        self.rows: list[FrontierRow] = []
        frontier: list[int] = []
        for row, limit in enumerate(limits):
            frontier += opened[row]
            terms = () if row_pairwise_terms is None else row_pairwise_terms[row]
            totals = _row_totals(frontier, row_groups[row], row_sizes[row], terms, choice_count)
            groups = tuple(frontier)
            axes = []
            for group in closed[row]:
                axes.append((group, frontier.index(group)))
                frontier.remove(group)
            self.rows.append(FrontierRow(groups, tuple(opened[row]), tuple(axes), totals <= limit))

    def solve(self, costs: Float64Array) -> IntArray | None:
        """Return the choices of minimum summed cost within all limits; see `DynamicProgram`."""
        state = np.zeros(())
        decided: list[tuple[int, list[int], IntArray]] = []  # group, other open groups, choice by their choices
        for row in self.rows:
            for group in row.opened:
                state = np.add.outer(state, costs[group])
            state = np.where(row.keeps, state, np.inf)
            others = list(row.groups)
            for group, axis in row.closed:
                others.remove(group)
                decided.append((group, list(others), state.argmin(axis=axis).astype(np.int8)))
                state = state.min(axis=axis)
        if not np.isfinite(state):
            return None
        choices = np.zeros(self._shape[0], dtype=np.int64)
        for group, others, choice in reversed(decided):
            choices[group] = choice[tuple(choices[others])]
        return choices

    def least_sums(self, costs: Float64Array) -> Float64Array:
        """Return the minimum summed cost of all choices that include each choice; see `DynamicProgram`."""
        sums = np.full(self._shape, np.inf)
        state = np.zeros(())
        for row, after in zip(self.rows, self.sums_after(costs), strict=True):
            for group in row.opened:
                state = np.add.outer(state, costs[group])
            state = np.where(row.keeps, state, np.inf)
            total = state + after
            for group, axis in row.closed:
                own = row.groups.index(group)
                sums[group] = total.min(axis=tuple(other for other in range(total.ndim) if other != own))
                state = state.min(axis=axis)
        return sums

    def sums_after(self, costs: Float64Array) -> list[Float64Array]:
        """Return the minimum summed cost of the groups that are opened after each row, by the choices of the open ones.

        Args:
            costs: Cost of each choice of each group, float64 [n, k]; infinite for a choice that is not allowed.

        Returns:
            For each row, one axis for each open group, of length k, or 1 if the sum does not depend on the group.
        """
        after = np.zeros(())
        found: list[Float64Array] = []
        for row in reversed(self.rows):
            for _, axis in reversed(row.closed):
                after = np.expand_dims(after, axis)
            found.append(after)
            after = np.where(row.keeps, after, np.inf)
            for group in reversed(row.opened):
                after = (after + costs[group]).min(axis=-1)
        return found[::-1]


def _row_totals(
    frontier: list[int],
    groups: IntArray,
    sizes: IntArray,
    pairwise_terms: Sequence[PairwiseTerm],
    choice_count: int,
) -> IntArray:
    """Return the sum of sizes of a constraint by the choices of the open groups, int64 [k or 1 for each open group].

    Args:
        frontier: The open groups, in the order of the axes.
        groups: Groups of the row.
        sizes: Size of each entry of the row, int64 [groups of the row, k].
        pairwise_terms: Pairwise terms of the row.
        choice_count: Number of choices of each group, k.
    """
    axis_of = {group: axis for axis, group in enumerate(frontier)}
    total = np.zeros((1,) * len(frontier), dtype=np.int64)
    for group, size in zip(groups.tolist(), sizes, strict=True):
        shape = [1] * len(frontier)
        shape[axis_of[group]] = choice_count
        total = total + size.reshape(shape)
    for first, second, table in pairwise_terms:
        shape = [1] * len(frontier)
        shape[axis_of[first]] = shape[axis_of[second]] = choice_count
        total = total + (table if axis_of[first] < axis_of[second] else table.T).reshape(shape)
    return total


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
