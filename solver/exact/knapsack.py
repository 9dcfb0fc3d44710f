"""Multiple-choice knapsack, a program with one row: Lagrangian bound, reduced costs, and states over a core of groups.

Lagrangian bound. Give each bit of size a price. Then each group independently has a cheapest choice, the one of minimum
cost + price * size. The sum of these minima minus price * limit is a lower bound on the cost of each solution. The best
bound is at the price at which the linear relaxation reaches the limit: below it, the cheapest choices together exceed
the limit.

    cost
      | 2                    The choices of one group. The cheapest choice at a price is where a line of
      |  .                   slope -price touches the lower convex hull from below. If the price falls, the
      |    4                 cheapest choice moves along the hull to the right, to more bits.
      |        '  -  8
      +---------------- size

Reduced costs. The penalty of a choice is its cost + price * size minus that of its group's cheapest choice. The
penalties of a solution add up to at most its distance, which is its cost minus the bound. So a choice whose penalty
reaches the distance of a known solution is in no better solution.

Core. Only a few groups keep more than one choice. They form the core, and are joined one after the other:

    states = {all groups at their cheapest choice}
    for each group of the core, by ascending penalty:
        combine each state with each choice of the group
        discard states that are dominated: another state has neither a larger size nor a larger cost
        discard states whose penalty reaches the distance of the best solution so far
        discard states that exceed the limit by more than the other groups can save
    the best state that keeps the limit is optimal

Source of the core: Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from solver.exact.program import Float64Array, IntArray

MAX_STATES: Final = 500_000
"""Largest number of states. If there are more, those of the smallest penalties are kept, and the bound covers the
solutions that the discarded ones may lead to."""

MIN_GAIN: Final = 0.99
"""Smallest difference by which a solution must be better. Costs are whole numbers, so a better one is better by 1; the
rest is a margin for rounding of the real price."""


@dataclass(frozen=True, slots=True, eq=False)
class KnapsackSolution:
    """The choices that were found for a knapsack, with a lower bound on the cost.

    Attributes:
        choices: Choice of each group, int64 [n].
        cost: Summed cost of the choices.
        bound: Lower bound on the summed cost of all choices that keep the limit.
    """

    choices: IntArray
    cost: float
    bound: float


def solve_knapsack(costs: Float64Array, sizes: IntArray, limit: int) -> KnapsackSolution:
    """Return choices of minimum summed cost whose summed size keeps the limit.

    Args:
        costs: Cost of each choice of each group: whole numbers, float64 [n, 3]; infinite for a choice that is not
            allowed.
        sizes: Size of each choice of each group, int64 [n, 3].
        limit: Largest sum of sizes, at least the sum of the smallest allowed sizes.
    """
    price, known = _relaxation(costs, sizes, limit)
    priced = np.where(np.isfinite(costs), costs + price * sizes, np.inf)
    cheapest = priced.argmin(axis=1)
    rows = np.arange(len(costs))
    penalties = priced - priced[rows, cheapest][:, None]
    search = _CoreSearch(costs, sizes, limit, penalties, cheapest, price, known)
    search.run()
    return KnapsackSolution(search.best_choices, search.best_cost, min(search.best_cost, np.ceil(search.bound - 0.01)))


def _relaxation(costs: Float64Array, sizes: IntArray, limit: int) -> tuple[float, IntArray]:
    """Return the price at which the linear relaxation reaches the limit, and a greedy solution.

    All groups start at their smallest choice. Steps along the hulls are taken by descending gain per size until one
    exceeds the limit; of the others, those that still fit are taken.

    Args:
        costs: Cost of each choice, float64 [n, 3]; infinite for a choice that is not allowed.
        sizes: Size of each choice, int64 [n, 3].
        limit: Largest sum of sizes.

    Returns:
        Price per unit of size, 0 if all steps fit; and the choice of each group, int64 [n].
    """
    smallest, groups, choices, gains, growths = _hull_steps(costs, sizes)
    order = np.argsort(-gains / growths, kind="stable")
    groups, choices, gains, growths = groups[order], choices[order], gains[order], growths[order]
    room = limit - int(sizes[np.arange(len(costs)), smallest].sum())
    fitting = int(np.searchsorted(np.cumsum(growths), room, side="right"))
    known = smallest.copy()
    known[groups[:fitting]] = choices[:fitting]  # of several steps of a group, the last one counts
    if fitting == len(groups):
        return 0.0, known
    room -= int(growths[:fitting].sum())
    blocked: set[int] = set()  # groups with a step that did not fit: their later steps are not possible
    rest = (groups[fitting:].tolist(), choices[fitting:].tolist(), growths[fitting:].tolist())
    least_growth = int(growths[fitting:].min())
    for group, choice, growth in zip(*rest, strict=True):
        if room < least_growth:
            break
        if growth <= room and group not in blocked:
            known[group] = choice
            room -= growth
        else:
            blocked.add(group)
    return float(gains[fitting] / growths[fitting]), known


def _hull_steps(costs: Float64Array, sizes: IntArray) -> tuple[IntArray, IntArray, IntArray, Float64Array, IntArray]:
    """Return the steps along the lower convex hull of each group's choices, from the smallest choice on.

    Args:
        costs: Cost of each choice, float64 [n, 3]; infinite for a choice that is not allowed.
        sizes: Size of each choice, int64 [n, 3].

    Returns:
        The smallest choice of each group, [n]; then for each step, [steps], with the steps of a group in ascending
        size: the group, the choice that the step leads to, by how much it lowers the cost, and by how much it raises
        the size.
    """
    rows = np.arange(len(costs))
    allowed_sizes = np.where(np.isfinite(costs), sizes, np.iinfo(np.int64).max // 4)
    by_size = np.lexsort((costs, allowed_sizes), axis=1)
    first, second, third = by_size.T
    size = np.take_along_axis(allowed_sizes, by_size, axis=1)
    cost = np.take_along_axis(costs, by_size, axis=1)
    # A choice can be on the hull only if it costs less than each smaller one.
    keeps_second = np.isfinite(cost[:, 1]) & (cost[:, 1] < cost[:, 0])
    keeps_third = np.isfinite(cost[:, 2]) & (cost[:, 2] < np.minimum(cost[:, 0], cost[:, 1]))
    gain_second = np.where(keeps_second, cost[:, 0] - cost[:, 1], 0.0)
    gain_third = np.where(keeps_third, cost[:, 0] - cost[:, 2], 0.0)
    grow_second, grow_third = size[:, 1] - size[:, 0], size[:, 2] - size[:, 0]
    # If the middle choice is above the line between the other two, no price makes it the cheapest.
    above = keeps_second & keeps_third & (gain_second * grow_third <= gain_third * grow_second)
    keeps_second &= ~above
    from_second = keeps_second & keeps_third
    step_two_gain = np.where(from_second, gain_third - gain_second, gain_third)
    step_two_growth = np.where(from_second, grow_third - grow_second, grow_third)
    groups = np.concatenate((rows[keeps_second], rows[keeps_third]))
    choices = np.concatenate((second[keeps_second], third[keeps_third]))
    gains = np.concatenate((gain_second[keeps_second], step_two_gain[keeps_third]))
    growths = np.concatenate((grow_second[keeps_second], step_two_growth[keeps_third]))
    return first.astype(np.int64), groups, choices, gains, growths


class _CoreSearch:
    """Search over the states of the core.

    A state is a complete assignment: groups that are not joined yet have their cheapest choice. It consists of the
    summed size, cost and penalty of all groups.

    Attributes:
        best_choices: Choices of the best solution so far, int64 [n]; final after `run`.
        best_cost: Summed cost of the best solution so far.
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
    ) -> None:
        """Create the state in which all groups have their cheapest choice.

        Args:
            costs: Cost of each choice, float64 [n, 3]; infinite for a choice that is not allowed.
            sizes: Size of each choice, int64 [n, 3].
            limit: Largest sum of sizes.
            penalties: Penalty of each choice, float64 [n, 3].
            cheapest: Cheapest choice of each group at the price, int64 [n].
            price: Price per unit of size.
            known: Choices of a solution, int64 [n].
        """
        rows = np.arange(len(costs))
        self._costs, self._sizes, self._limit = costs, sizes, limit
        self._penalties, self._cheapest = penalties, cheapest
        base_cost, base_size = float(costs[rows, cheapest].sum()), int(sizes[rows, cheapest].sum())
        self._relaxed = base_cost + price * (base_size - limit)
        self._size = np.array([base_size], dtype=np.int64)
        self._cost = np.array([base_cost])
        self._penalty = np.array([0.0])
        self._joined: list[tuple[int, IntArray, IntArray]] = []  # group, parent of each state, choice of each state
        self._missed = np.inf  # smallest penalty of the states that MAX_STATES discarded
        self.best_choices = known
        self.best_cost = float(costs[rows, known].sum())
        self._best_state: tuple[int, int] | None = None  # number of joined groups, index of the state
        self._note_best()

    @property
    def bound(self) -> float:
        """Lower bound on the summed cost of all solutions."""
        return self._relaxed + min(self._missed, self.best_cost - self._relaxed)

    @property
    def _distance(self) -> float:
        """Limit on the penalty of a state that can lead to a better solution."""
        return self.best_cost - self._relaxed - MIN_GAIN

    def run(self) -> None:
        """Join the groups of the core one after the other."""
        others = np.sort(self._penalties, axis=1)[:, 1]  # smallest penalty of a second choice
        core = np.flatnonzero(others < self._distance)
        core = core[np.argsort(others[core], kind="stable")]
        # By how much the groups that are not joined yet can reduce the size.
        span = (self._sizes[core, self._cheapest[core]] - np.where(
            self._penalties[core] < self._distance, self._sizes[core], np.iinfo(np.int64).max
        ).min(axis=1)) if len(core) else np.zeros(0, dtype=np.int64)  # fmt: skip
        reach = np.concatenate((np.cumsum(span[::-1])[::-1], [0]))
        for index, group in enumerate(core.tolist()):
            if others[group] >= self._distance or not len(self._size):
                break
            self._join(group)
            self._prune(int(reach[index + 1]))
            self._note_best()
        if self._best_state is not None:
            self._trace_back(*self._best_state)

    def _join(self, group: int) -> None:
        """Combine each state with each choice of a group that a better solution can have."""
        penalties = self._penalties[group]
        allowed = np.flatnonzero(penalties < max(self._distance, 0.0) + MIN_GAIN)
        cheapest = self._cheapest[group]
        grow = self._sizes[group, allowed] - self._sizes[group, cheapest]
        dearer = self._costs[group, allowed] - self._costs[group, cheapest]
        states = len(self._size)
        self._size = np.add.outer(grow, self._size).ravel()
        self._cost = np.add.outer(dearer, self._cost).ravel()
        self._penalty = np.add.outer(penalties[allowed], self._penalty).ravel()
        parents = np.tile(np.arange(states), len(allowed))
        self._joined.append((group, parents, np.repeat(allowed, states)))

    def _prune(self, reach: int) -> None:
        """Discard states that cannot lead to a better solution.

        Args:
            reach: By how much the groups that are not joined yet can reduce the size.
        """
        keep = np.flatnonzero((self._penalty < self._distance) & (self._size - reach <= self._limit))
        order = keep[np.lexsort((self._cost[keep], self._size[keep]))]
        cost = self._cost[order]
        cheaper = np.ones(len(order), dtype=bool)
        cheaper[1:] = cost[1:] < np.minimum.accumulate(cost)[:-1]
        order = order[cheaper]
        if len(order) > MAX_STATES:
            by_penalty = np.argpartition(self._penalty[order], MAX_STATES)
            self._missed = min(self._missed, float(self._penalty[order[by_penalty[MAX_STATES:]]].min()))
            order = order[np.sort(by_penalty[:MAX_STATES])]
        self._size, self._cost, self._penalty = self._size[order], self._cost[order], self._penalty[order]
        group, parents, choices = self._joined[-1]
        self._joined[-1] = (group, parents[order], choices[order])

    def _note_best(self) -> None:
        """Remember the cheapest state that keeps the limit if it is better than the best solution so far."""
        fitting = np.flatnonzero(self._size <= self._limit)
        if not len(fitting):
            return
        index = int(fitting[np.argmin(self._cost[fitting])])
        if self._cost[index] < self.best_cost:
            self.best_cost = float(self._cost[index])
            self._best_state = (len(self._joined), index)

    def _trace_back(self, joined: int, state: int) -> None:
        """Set the best choices to those of a state.

        Args:
            joined: Number of groups that were joined when the state existed.
            state: Index of the state.
        """
        choices = self._cheapest.copy()
        for group, parents, chosen in reversed(self._joined[:joined]):
            choices[group] = chosen[state]
            state = int(parents[state])
        self.best_choices = choices
