"""Dynamic programming over a component of an integer program that is a chain: row r has exactly the groups r and r + 1.

The results are those of `Frontier` in `dynamic_programming.py`, many times faster.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from solver.exact.program import BoolArray, Float64Array, IntArray


class Chain:
    """Component whose row r has exactly the groups r and r + 1."""

    def __init__(self, tables: IntArray, limits: Sequence[int]) -> None:
        """Find the pairs of choices that keep each limit.

        Args:
            tables: Sum of sizes of each row by the choices of its first and of its second group, int64 [n - 1, k, k].
            limits: Largest sum of sizes of each row, [n - 1].
        """
        keeps = tables <= np.array(limits, dtype=np.int64)[:, None, None]
        self._before = _partners(keeps.transpose(0, 2, 1))  # choices of the first group by that of the second
        self._after = _partners(keeps)

    def solve(self, costs: Float64Array) -> IntArray | None:
        """Return the choices of minimum summed cost within all limits; see `DynamicProgram`."""
        own_costs = costs.tolist()
        best: list[float] = own_costs[0]
        came_from: list[list[int]] = []
        for own, before in zip(own_costs[1:], self._before, strict=True):
            parents = [min(partners, key=best.__getitem__, default=-1) for partners in before]
            best = [np.inf if parent < 0 else best[parent] + cost for parent, cost in zip(parents, own, strict=True)]
            came_from.append(parents)
        choice = min(range(costs.shape[1]), key=best.__getitem__)
        if best[choice] == np.inf:
            return None
        chosen = [choice]
        for parents in reversed(came_from):
            choice = parents[choice]
            chosen.append(choice)
        return np.array(chosen[::-1], dtype=np.int64)

    def least_sums(self, costs: Float64Array) -> Float64Array:
        """Return the minimum summed cost of all choices that include each choice; see `DynamicProgram`."""
        own_costs = costs.tolist()
        until = _sums_until(own_costs, self._before)
        after = _sums_until(own_costs[::-1], self._after[::-1])[::-1]
        allowed = np.isfinite(costs)
        sums: Float64Array = np.array(until) + np.array(after) - np.where(allowed, costs, 0.0)
        return np.where(allowed, sums, np.inf)


def _partners(keeps: BoolArray) -> list[list[list[int]]]:
    """Return, for each constraint of a chain and each choice, the choices of the other group that keep the limit.

    Args:
        keeps: Whether two choices keep the limit of each row, bool [rows, k, k].
    """
    return [[[other for other, kept in enumerate(line) if kept] for line in row] for row in keeps.tolist()]


def _sums_until(costs: list[list[float]], partners: list[list[list[int]]]) -> list[list[float]]:
    """Return the minimum summed cost of each group of a chain and of the groups before it, by the choice of the group.

    Args:
        costs: Cost of each choice of each group.
        partners: For each group but the first, the choices of the group before it that each of its choices allows.
    """
    best = costs[0]
    found = [best]
    for own, before in zip(costs[1:], partners, strict=True):
        best = [
            cost + min([best[each] for each in possible], default=np.inf)
            for cost, possible in zip(own, before, strict=True)
        ]
        found.append(best)
    return found
