"""One row alone: the multiple-choice knapsack, by a Lagrangian bound, reduced costs and a core of states.

With a price on every bit of the row, each group takes its cheapest choice of cost + price * size by itself; the sum
less price * limit is a lower bound on every solution (Lagrangian duality). The best price is the slope at which the
linear relaxation breaks: there those choices just stop keeping the limit.

    cost
      | 2                    A group's choices. At a price, the cheapest is where a line of slope -price
      |  .                   touches from below; as the price falls, groups move along their hulls
      |    4                 to the right, to more bits.
      |        '  -  8
      +---------------- size

What a choice costs more than its group's cheapest at that price is its penalty. A solution's penalties add up to no
more than the distance between its cost and the bound, so a choice whose penalty alone is as large as the distance of a
known solution is in no better one. The few groups that keep a choice, the core, are joined one after the other into
states (size, cost, penalty); a state goes when another is no larger and no dearer, or when its penalty reaches that
distance. What remains is the optimum. (The core: Pisinger, "A minimal algorithm for the multiple-choice knapsack
problem", 1995.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from solver.exact.program import FloatArray, IntArray

MAX_STATES: Final = 500_000
"""States held at once. Beyond it those of the least penalty are kept, and the bound says what may have been missed."""

LEAST_GAIN: Final = 0.99
"""Costs are whole numbers: a better solution is better by 1, whatever rounding a real price brings."""


@dataclass(frozen=True, slots=True, eq=False)
class KnapsackAnswer:
    """Choices [n], their cost, and a cost that no solution is below."""

    choices: IntArray
    cost: float
    bound: float


def solve_knapsack(costs: FloatArray, sizes: IntArray, limit: int) -> KnapsackAnswer:
    """The cheapest choices whose sizes keep the limit.

    Args:
        costs: whole numbers [n, 3], infinite where a choice is not allowed.
        sizes: [n, 3].
        limit: no less than the sum of the least allowed sizes.
    """
    price, known = _relaxation(costs, sizes, limit)
    priced = np.where(np.isfinite(costs), costs + price * sizes, np.inf)
    cheapest = priced.argmin(axis=1)
    rows = np.arange(len(costs))
    penalties = priced - priced[rows, cheapest][:, None]
    search = _CoreSearch(costs, sizes, limit, penalties, cheapest, price, known)
    search.run()
    return KnapsackAnswer(search.best_choices, search.best_cost, min(search.best_cost, np.ceil(search.bound - 0.01)))


def _relaxation(costs: FloatArray, sizes: IntArray, limit: int) -> tuple[float, IntArray]:
    """The price at which the linear relaxation breaks, and choices that keep the limit, filled up greedily."""
    smallest, groups, choices, gains, growths = _hull_steps(costs, sizes)
    order = np.argsort(-gains / growths, kind="stable")
    groups, choices, gains, growths = groups[order], choices[order], gains[order], growths[order]
    room = limit - int(sizes[np.arange(len(costs)), smallest].sum())
    fitting = int(np.searchsorted(np.cumsum(growths), room, side="right"))
    known = smallest.copy()
    known[groups[:fitting]] = choices[:fitting]  # later steps of a group stand later, and win
    if fitting == len(groups):
        return 0.0, known
    room -= int(growths[:fitting].sum())
    blocked: set[int] = set()  # a group whose step did not fit takes no later one
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


def _hull_steps(costs: FloatArray, sizes: IntArray) -> tuple[IntArray, IntArray, IntArray, FloatArray, IntArray]:
    """The lower hull of each group's choices, walked from the smallest.

    Returns:
        The smallest choice of each group [n]; then, for each step along a hull, a group's own steps in order: its
        group, the choice it leads to, what it gains in cost, and by how much it grows in size.
    """
    rows = np.arange(len(costs))
    allowed_sizes = np.where(np.isfinite(costs), sizes, np.iinfo(np.int64).max // 4)
    by_size = np.lexsort((costs, allowed_sizes), axis=1)
    first, second, third = by_size.T
    size = np.take_along_axis(allowed_sizes, by_size, axis=1)
    cost = np.take_along_axis(costs, by_size, axis=1)
    # A choice stays if it costs less than every smaller one.
    keeps_second = np.isfinite(cost[:, 1]) & (cost[:, 1] < cost[:, 0])
    keeps_third = np.isfinite(cost[:, 2]) & (cost[:, 2] < np.minimum(cost[:, 0], cost[:, 1]))
    gain_second = np.where(keeps_second, cost[:, 0] - cost[:, 1], 0.0)
    gain_third = np.where(keeps_third, cost[:, 0] - cost[:, 2], 0.0)
    grow_second, grow_third = size[:, 1] - size[:, 0], size[:, 2] - size[:, 0]
    # The middle one is above the line between its neighbours: no price makes it the cheapest.
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
    """The states of the core, joined group by group, and the best complete solution so far.

    Every state is a complete solution: groups that it does not decide are at their cheapest choice.
    """

    def __init__(
        self,
        costs: FloatArray,
        sizes: IntArray,
        limit: int,
        penalties: FloatArray,
        cheapest: IntArray,
        price: float,
        known: IntArray,
    ) -> None:
        rows = np.arange(len(costs))
        self._costs, self._sizes, self._limit = costs, sizes, limit
        self._penalties, self._cheapest = penalties, cheapest
        base_cost, base_size = float(costs[rows, cheapest].sum()), int(sizes[rows, cheapest].sum())
        self._relaxed = base_cost + price * (base_size - limit)
        self._size = np.array([base_size], dtype=np.int64)
        self._cost = np.array([base_cost])
        self._penalty = np.array([0.0])
        self._joined: list[tuple[int, IntArray, IntArray]] = []  # group, parent state, choice
        self._missed = np.inf  # the least penalty of a state that was let go for want of room
        self.best_choices = known
        self.best_cost = float(costs[rows, known].sum())
        self._best_state: tuple[int, int] | None = None  # joined groups, index
        self._note_best()

    @property
    def bound(self) -> float:
        return self._relaxed + min(self._missed, self.best_cost - self._relaxed)

    @property
    def _distance(self) -> float:
        """Penalties of a better solution stay below this."""
        return self.best_cost - self._relaxed - LEAST_GAIN

    def run(self) -> None:
        others = np.sort(self._penalties, axis=1)[:, 1]  # the least penalty beside the cheapest choice's
        core = np.flatnonzero(others < self._distance)
        core = core[np.argsort(others[core], kind="stable")]
        # How far the groups not yet joined can still bring the size down.
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
        penalties = self._penalties[group]
        allowed = np.flatnonzero(penalties < max(self._distance, 0.0) + LEAST_GAIN)
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
        fitting = np.flatnonzero(self._size <= self._limit)
        if not len(fitting):
            return
        index = int(fitting[np.argmin(self._cost[fitting])])
        if self._cost[index] < self.best_cost:
            self.best_cost = float(self._cost[index])
            self._best_state = (len(self._joined), index)

    def _trace_back(self, joined: int, state: int) -> None:
        choices = self._cheapest.copy()
        for group, parents, chosen in reversed(self._joined[:joined]):
            choices[group] = chosen[state]
            state = int(parents[state])
        self.best_choices = choices
