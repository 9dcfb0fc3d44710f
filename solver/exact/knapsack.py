"""Multiple-choice knapsack, an integer program with one constraint: Lagrangian bound, and search over a core.

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

Core. Only a few groups keep more than one choice. They form the core, and `knapsack_core.py` finds the optimum over it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.exact.knapsack_core import MAX_STATES, CoreSearch
from solver.exact.program import Float64Array, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class KnapsackSolution:
    """The choices that were found for a multiple-choice knapsack, with a lower bound on the cost.

    Attributes:
        choices: Choice of each group, int64 [n].
        cost: Summed cost of the choices.
        bound: Lower bound on the summed cost of all choices that keep the limit.
    """

    choices: IntArray
    cost: float
    bound: float


def solve_knapsack(
    costs: Float64Array, sizes: IntArray, limit: int, max_states: int = MAX_STATES, cutoff: float = np.inf
) -> KnapsackSolution:
    """Solve a multiple-choice knapsack: return choices of minimum summed cost whose summed size keeps the limit.

    Args:
        costs: Cost of each choice of each group: whole numbers, float64 [n, k]; infinite for a choice that is not
            allowed.
        sizes: Size of each choice of each group, int64 [n, k].
        limit: Largest sum of sizes, at least the sum of the smallest allowed sizes.
        max_states: Largest number of states of the search.
        cutoff: Cost below which a solution is searched for. If there is none, any solution may be returned, and the
            bound is the cutoff.
    """
    price, known = relaxation(costs, sizes, limit)
    priced = np.where(np.isfinite(costs), costs + price * sizes, np.inf)
    cheapest = priced.argmin(axis=1)
    rows = np.arange(len(costs))
    penalties = priced - priced[rows, cheapest][:, None]
    search = CoreSearch(costs, sizes, limit, penalties, cheapest, price, known, max_states, cutoff)
    search.run()
    cost = float(costs[rows, search.best_choices].sum())
    return KnapsackSolution(search.best_choices, cost, min(search.best_cost, np.ceil(search.bound - 0.01)))


def relaxation(costs: Float64Array, sizes: IntArray, limit: int) -> tuple[float, IntArray]:
    """Solve the linear relaxation of a multiple-choice knapsack; return its price per unit of size and a solution.

    All groups start at their smallest choice. The increments of all hulls are made by descending gain per size until
    one exceeds the limit; of the others, those that still fit are made.

    Args:
        costs: Cost of each choice, float64 [n, k]; infinite for a choice that is not allowed.
        sizes: Size of each choice, int64 [n, k].
        limit: Largest sum of sizes.

    Returns:
        Price per unit of size, 0 if all increments fit; and the choice of each group, int64 [n].
    """
    smallest, groups, choices, gains, growths = _hull_increments(costs, sizes)
    order = np.argsort(-gains / growths, kind="stable")
    groups, choices, gains, growths = groups[order], choices[order], gains[order], growths[order]
    room = limit - int(sizes[np.arange(len(costs)), smallest].sum())
    fitting = int(np.searchsorted(np.cumsum(growths), room, side="right"))
    known = smallest.copy()
    known[groups[:fitting]] = choices[:fitting]  # of several increments of a group, the last one counts
    if fitting == len(groups):
        return 0.0, known
    room -= int(growths[:fitting].sum())
    blocked: set[int] = set()  # groups with an increment that did not fit: their later ones are not possible
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


def _hull_increments(
    costs: Float64Array, sizes: IntArray
) -> tuple[IntArray, IntArray, IntArray, Float64Array, IntArray]:
    """Return the steps along the lower convex hull of size and cost of each knapsack group, smallest choice first.

    An increment leads from one choice of the hull to the next larger one.

    Args:
        costs: Cost of each choice, float64 [n, k]; infinite for a choice that is not allowed.
        sizes: Size of each choice, int64 [n, k].

    Returns:
        The smallest choice of each group, [n]; then for each increment, [increments]: its group, the choice that it
        leads to, by how much it lowers the cost, and by how much it raises the size. Those of one group are in
        ascending order of size.
    """
    rows = np.arange(len(costs))
    allowed = np.isfinite(costs)
    allowed_sizes = np.where(allowed, sizes, np.iinfo(np.int64).max // 4)
    smallest = np.lexsort((costs, allowed_sizes), axis=1)[:, 0]
    own, choices = rows, smallest
    found: list[tuple[IntArray, IntArray, Float64Array, IntArray]] = []
    for _ in range(costs.shape[1] - 1):
        # From one choice of the hull, the next one is that of the largest gain per size; of several, the largest.
        gains = np.where(allowed[own], costs[own, choices][:, None] - costs[own], -np.inf)
        growths = allowed_sizes[own] - allowed_sizes[own, choices][:, None]
        slopes = np.where((gains > 0) & (growths > 0), gains / np.maximum(growths, 1), -np.inf)
        steepest = slopes.max(axis=1, keepdims=True)
        following = np.where(slopes == steepest, growths, -1).argmax(axis=1)
        kept = np.isfinite(steepest[:, 0])
        own, choices, following = own[kept], following[kept], following[kept]
        if not len(own):
            break
        found.append((own, choices, gains[kept, following], growths[kept, following]))
    if not found:
        none = np.zeros(0, dtype=np.int64)
        return smallest, none, none, np.zeros(0), none
    groups, leading_to, gain, growth = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return smallest, groups, leading_to, gain, growth
