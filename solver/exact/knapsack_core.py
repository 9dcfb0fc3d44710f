"""Search over the core of a multiple-choice knapsack: the groups for which more than one choice can be optimal.

`knapsack.py` defines the penalty of a choice and the distance of a solution. The groups of the core are joined one
after the other:

    states = {all groups at their cheapest choice}
    for each group of the core, by ascending penalty:
        discard states whose penalty reaches the distance with the least penalty of another choice of this group
        combine each state with each choice of the group
        discard states that are dominated: another state has neither a larger size nor a larger cost
        discard states whose penalty reaches the distance of the best solution so far
        discard states that exceed the limit by more than the other groups can save
    the best state that keeps the limit is optimal

Source: Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from solver.exact.program import Float64Array, IntArray

MAX_STATES: Final = 500_000
"""Largest number of states of a search for the optimum. If there are more, those of the smallest penalties are kept,
and the bound covers the solutions that the discarded ones may lead to."""

MIN_GAIN: Final = 0.99
"""Smallest difference by which a solution must be better. Costs are whole numbers, so a better one is better by 1; the
rest is a margin for rounding of the real price."""


class CoreSearch:
    """Search for the optimum of a multiple-choice knapsack that combines the choices of one core group after the other.

    A state is a complete assignment: groups that are not joined yet have their cheapest choice. It consists of the
    summed size, cost and penalty of all groups.

    Attributes:
        best_choices: Choices of the best solution so far, int64 [n]; final after `run`.
        best_cost: Summed cost of the best solution so far, or the cutoff.
    """

    def __init__(
        self,
        costs: Float64Array,
        sizes: IntArray,
        limit: int,
        penalties: Float64Array,
        cheapest: IntArray,
        price: float,
        known: IntArray,
        max_states: int,
        cutoff: float,
    ) -> None:
        """Start the knapsack search with the assignment in which all groups have their cheapest choice.

        Args:
            costs: Cost of each choice, float64 [n, k]; infinite for a choice that is not allowed.
            sizes: Size of each choice, int64 [n, k].
            limit: Largest sum of sizes.
            penalties: Penalty of each choice, float64 [n, k].
            cheapest: Cheapest choice of each group at the price, int64 [n].
            price: Price per unit of size.
            known: Choices of a solution, int64 [n].
            max_states: Largest number of states.
            cutoff: Cost below which a solution is searched for.
        """
        self._max_states = max_states
        rows = np.arange(len(costs))
        self._costs, self._sizes, self._limit = costs, sizes, limit
        self._penalties, self._cheapest = penalties, cheapest
        base_cost, base_size = float(costs[rows, cheapest].sum()), int(sizes[rows, cheapest].sum())
        self._relaxed = base_cost + price * (base_size - limit)
        self._size = np.array([base_size], dtype=np.int64)
        self._cost = np.array([base_cost])
        self._penalty = np.array([0.0])
        self._joined: list[tuple[int, IntArray, IntArray]] = []  # group, parent of each state, choice of each state
        self._missed = np.inf  # smallest penalty of the states that were too many
        self.best_choices = known
        self.best_cost = min(float(costs[rows, known].sum()), cutoff)
        self._best_state: tuple[int, int] | None = None  # number of joined groups, index of the state
        self._note_best()

    @property
    def bound(self) -> float:
        """Lower bound on the summed cost of all solutions of the knapsack."""
        return self._relaxed + min(self._missed, self.best_cost - self._relaxed)

    @property
    def _distance(self) -> float:
        """Limit below which the penalty of a knapsack assignment must be, so that it can lead to a better solution."""
        return self.best_cost - self._relaxed - MIN_GAIN

    def run(self) -> None:
        """Search for the optimum of the knapsack, one core group after the other."""
        others = np.sort(self._penalties, axis=1)[:, 1]  # smallest penalty of a second choice
        core = np.flatnonzero(others < self._distance)
        core = core[np.argsort(others[core], kind="stable")]
        # By how much the groups that are not joined yet can reduce the size.
        span = (self._sizes[core, self._cheapest[core]] - np.where(
            self._penalties[core] < self._distance, self._sizes[core], np.iinfo(np.int64).max
        ).min(axis=1)) if len(core) else np.zeros(0, dtype=np.int64)  # fmt: skip
        reach = np.concatenate((np.cumsum(span[::-1])[::-1], [0]))
        for index, group in enumerate(core.tolist()):
            # A state leads to a better one only by a second choice of this group or of a later one.
            kept = np.flatnonzero(self._penalty + others[group] < self._distance)
            if not len(kept):
                break
            self._join(group, kept)
            self._prune(int(reach[index + 1]))
            self._note_best()
        if self._best_state is not None:
            self._trace_back(*self._best_state)

    def _join(self, group: int, kept: IntArray) -> None:
        """Combine each kept knapsack assignment with each useful choice of one more group.

        Args:
            group: The group.
            kept: Indices of the kept states.
        """
        penalties = self._penalties[group]
        allowed = np.flatnonzero(penalties < max(self._distance, 0.0) + MIN_GAIN)
        cheapest = self._cheapest[group]
        grow = self._sizes[group, allowed] - self._sizes[group, cheapest]
        dearer = self._costs[group, allowed] - self._costs[group, cheapest]
        self._size = np.add.outer(grow, self._size[kept]).ravel()
        self._cost = np.add.outer(dearer, self._cost[kept]).ravel()
        self._penalty = np.add.outer(penalties[allowed], self._penalty[kept]).ravel()
        self._joined.append((group, np.tile(kept, len(allowed)), np.repeat(allowed, len(kept))))

    def _prune(self, reach: int) -> None:
        """Discard knapsack assignments that cannot lead to a better solution.

        Args:
            reach: By how much the groups that are not joined yet can reduce the size.
        """
        keep = np.flatnonzero((self._penalty < self._distance) & (self._size - reach <= self._limit))
        # The states of each choice are sorted by size already: a stable sort merges these runs.
        order = keep[np.argsort(self._size[keep], kind="stable")]
        cost = self._cost[order]
        cheaper = np.ones(len(order), dtype=bool)
        cheaper[1:] = cost[1:] < np.minimum.accumulate(cost)[:-1]
        order = order[cheaper]
        size = self._size[order]
        order = order[np.append(size[1:] != size[:-1], True)] if len(order) else order
        if len(order) > self._max_states:
            by_penalty = np.argpartition(self._penalty[order], self._max_states)
            self._missed = min(self._missed, float(self._penalty[order[by_penalty[self._max_states :]]].min()))
            order = order[np.sort(by_penalty[: self._max_states])]
        self._size, self._cost, self._penalty = self._size[order], self._cost[order], self._penalty[order]
        group, parents, choices = self._joined[-1]
        self._joined[-1] = (group, parents[order], choices[order])

    def _note_best(self) -> None:
        """Keep the cheapest knapsack assignment within the limit if it is better than the best solution so far."""
        fitting = np.flatnonzero(self._size <= self._limit)
        if not len(fitting):
            return
        index = int(fitting[np.argmin(self._cost[fitting])])
        if self._cost[index] < self.best_cost:
            self.best_cost = float(self._cost[index])
            self._best_state = (len(self._joined), index)

    def _trace_back(self, joined: int, state: int) -> None:
        """Store the choices that led to the best knapsack assignment.

        Args:
            joined: Number of groups that were joined when the state existed.
            state: Index of the state.
        """
        choices = self._cheapest.copy()
        for group, parents, chosen in reversed(self._joined[:joined]):
            choices[group] = chosen[state]
            state = int(parents[state])
        self.best_choices = choices
