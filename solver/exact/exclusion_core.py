"""Exact search for a better solution of an integer program with exclusions, over the choices that it can have.

A lower bound for each single choice (`flash_price.py`) excludes those that cannot be in a solution better than the best
one so far. Where only wide or only narrow choices of an output are left, its exclusion disappears. What remains falls
into small components:

    outputs whose exclusions are left, with the weights joined to them and the outputs that a RAM row joins:
        all useful choices of the component (`alternatives.py`), as one group of a knapsack
    other components of outputs:            dynamic programming; they have no size in flash
    other groups with a size in flash:      one group of the knapsack each
    all other groups:                       the cheapest choice

One multiple-choice knapsack (`knapsack.py`) over these groups finds the optimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from solver.exact.alternatives import JoinedChoices, enumerate_component, options_of
from solver.exact.components import row_size_bounds
from solver.exact.decomposition import frontiers
from solver.exact.dynamic_programming import Frontier
from solver.exact.flash_price import FlashPricing
from solver.exact.knapsack import solve_knapsack
from solver.exact.program import BoolArray, Float64Array, IntArray, Program, ProgramSolution

NOT_BETTER = ProgramSolution(None, np.inf, np.inf)
"""Result if it is proven that no solution is better."""


def better_solution(program: Program, pricing: FlashPricing, price: float, best_cost: float) -> ProgramSolution | None:
    """Return the best solution of an integer program with exclusions if it is better than a known one.

    Args:
        program: The integer program.
        pricing: The program with a price for its flash row.
        price: A price with a large bound.
        best_cost: Summed cost of the known solution.

    Returns:
        A solution, without choices if none is better; None if the choices that are left are too many to enumerate.
    """
    core = _core_of(program, pricing, price, best_cost)
    if core is None:
        return NOT_BETTER
    components = frontiers(core.program, core.rows)
    if components is None:
        return None
    choices = core.program.costs.argmin(axis=1)
    in_knapsack: list[JoinedChoices] = []
    is_plain = np.ones(len(choices), dtype=bool)
    is_plain[pricing.exclusions.weights[core.is_left]] = False
    is_output = np.zeros(len(choices), dtype=bool)
    is_output[pricing.exclusions.activations[core.is_left]] = True
    has_size = is_output | (np.where(np.isfinite(core.program.costs), pricing.sizes, 0).max(axis=1) > 0)
    in_component = np.concatenate([np.zeros(0, dtype=np.int64), *(groups for groups, _, _ in components)])
    alone = np.setdiff1d(np.flatnonzero(is_output), in_component)
    components += [(np.array([group]), core.program.choice_count, _alone(core.program)) for group in alone.tolist()]
    for groups, count, frontier in components:
        is_plain[groups] = False
        if has_size[groups].any():
            found = core.alternatives(groups, count, frontier)
            if found is None:
                return None
            in_knapsack.append(found)
        else:
            chosen = frontier.solve(core.program.costs[groups, :count])
            if chosen is None:
                return NOT_BETTER
            choices[groups] = chosen
    plain = np.flatnonzero(is_plain & has_size)
    return core.solve(choices, in_knapsack, plain)


@dataclass(frozen=True, slots=True, eq=False)
class _Core:
    """The choices of an integer program that a better solution can have.

    Attributes:
        program: The program; the cost of all other choices is infinite.
        rows: The rows that can bind, without the priced one and exclusions.
        is_left: Whether each exclusion of the pricing is left, bool [e].
        pricing: The program with a price for its flash row.
        price: The price.
        best_cost: Summed cost of the best solution so far.
        most_above: By how much the priced cost of a better solution is above the least one, at most.
    """

    program: Program
    rows: IntArray
    is_left: BoolArray
    pricing: FlashPricing
    price: float
    best_cost: float
    most_above: float

    def alternatives(self, groups: IntArray, count: int, frontier: Frontier) -> JoinedChoices | None:
        """Return the useful choices of a component and of the weights joined to it; None if they are too many.

        Args:
            groups: Groups of the component.
            count: Number of their choices.
            frontier: The component.
        """
        costs, own = self.program.costs, self.pricing.exclusions
        options = []
        priced = np.full((len(groups), count), np.inf)
        for place, group in enumerate(groups.tolist()):
            joined = [
                (int(own.weights[each]), own.weight_excluded[each], own.activation_excluded[each])
                for each in np.flatnonzero(self.is_left & (own.activations == group)).tolist()
            ]
            found = options_of(group, costs, self.pricing.sizes, joined)
            own_priced = found.costs + self.price * found.sizes
            np.minimum.at(priced[place], found.choices[:, 0], own_priced)
            options.append(found)
        return enumerate_component(frontier, options, priced, self.price, self.most_above)

    def solve(self, choices: IntArray, joined: Sequence[JoinedChoices], plain: IntArray) -> ProgramSolution:
        """Solve the knapsack of a core, and return the solution of the program.

        Args:
            choices: Choices of the groups outside the knapsack, int64 [n]; those of the others are replaced.
            joined: Useful choices of the components in the knapsack.
            plain: The other groups in the knapsack.
        """
        if any(not len(each.costs) for each in joined):
            return NOT_BETTER
        count = max([self.program.choice_count, *(len(each.costs) for each in joined)])
        costs = np.full((len(joined) + len(plain), count), np.inf)
        sizes = np.zeros(costs.shape, dtype=np.int64)
        for line, each in enumerate(joined):
            costs[line, : len(each.costs)], sizes[line, : len(each.sizes)] = each.costs, each.sizes
        costs[len(joined) :, : self.program.choice_count] = self.program.costs[plain]
        sizes[len(joined) :, : self.program.choice_count] = self.pricing.sizes[plain]
        allowed = np.isfinite(costs)
        if np.where(allowed, sizes, np.iinfo(np.int64).max).min(axis=1).sum() > self.pricing.limit:
            return NOT_BETTER
        others = np.ones(len(choices), dtype=bool)
        others[plain] = False
        others[np.concatenate([np.zeros(0, dtype=np.int64), *(each.groups for each in joined)])] = False
        rest = float(self.program.costs[np.arange(len(choices)), choices][others].sum())
        found = solve_knapsack(costs, sizes, self.pricing.limit, cutoff=self.best_cost - rest)
        for each, option in zip(joined, found.choices.tolist()[: len(joined)], strict=True):
            choices[each.groups] = each.choices[option]
        choices[plain] = found.choices[len(joined) :]
        objective = self.program.objective(choices)
        return ProgramSolution(choices, objective, objective - found.cost + found.bound)


def _core_of(program: Program, pricing: FlashPricing, price: float, best_cost: float) -> _Core | None:
    """Return the choices that a better solution can have; None if there is no better one.

    Args:
        program: The integer program.
        pricing: The program with a price for its flash row.
        price: A price with a large bound.
        best_cost: Summed cost of the best solution so far.
    """
    own = pricing.exclusions
    bounds = pricing.least_bounds(program.costs, price)
    costs: Float64Array = np.where(bounds > best_cost - 1, np.inf, program.costs)  # costs are whole numbers
    outputs = np.isfinite(costs[own.activations])
    can_be_wide: BoolArray = np.any(outputs & ~own.activation_excluded, axis=1)
    can_be_narrow: BoolArray = np.any(outputs & own.activation_excluded, axis=1)
    weights = costs[own.weights]
    weights[~can_be_wide[:, None] & own.weight_excluded] = np.inf
    costs[own.weights] = weights
    if not np.isfinite(costs).any(axis=1).all():
        return None
    core_program = replace(program, costs=costs)
    lower, upper = row_size_bounds(core_program)
    is_other = np.ones(len(lower), dtype=bool)
    is_other[program.exclusions] = False
    is_other[[] if pricing.priced_row is None else [pricing.priced_row]] = False
    if (lower > program.limits)[is_other].any():
        return None
    rows = np.flatnonzero((upper > program.limits) & is_other)
    least = float(bounds.min(axis=1)[own.activations[0]])
    return _Core(core_program, rows, can_be_wide & can_be_narrow, pricing, price, best_cost, best_cost - 1 - least)


def _alone(program: Program) -> Frontier:
    """Return the component of one group without rows: a row that no choice exceeds."""
    sizes = np.zeros((1, program.choice_count), dtype=np.int64)
    return Frontier(sizes.shape, [np.array([0])], [sizes], [0])
