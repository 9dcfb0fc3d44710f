"""Lagrangian relaxation of the one row that joins all weight tensors (flash), for programs with exclusions.

The row gets a price per unit of size in place of its limit. Then each weight tensor has a cheapest choice by the
choices of the activation tensor that an exclusion joins to it, and this cost is added to that of the activation tensor.
What is left are the components of the activation tensors alone, which dynamic programming solves:

    cost of 8 bits of an output      + cheapest choice of the weights
    cost of 4 or 2 bits              + cheapest choice of the weights that are not folded

The summed cost of the solution + price * (its size - limit) is a lower bound on the cost of each solution that keeps
the limit. As a function of the price it is concave and consists of lines, one for each solution; the best price is
where the last line of a solution above the limit meets the first line of one that keeps it.

Prices are multiples of a power of two, such that all sums are exact and no rounding can make a bound too large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from solver.exact.dynamic_programming import DynamicProgram
from solver.exact.knapsack import relaxation
from solver.exact.program import COST_SUM_BITS, BoolArray, Float64Array, IntArray, Program

EXACT_BITS: Final = 52
"""Sums of priced costs have at most this many bits, so that they are exact in float64."""

MAX_STEPS: Final = 60
"""Largest number of prices that are tried for one bound."""

UPWARDS: Final = (1.02, 1.3, 4.0)
"""Factors of a first price, until the limit is kept; after them, the size alone is minimized."""

DOWNWARDS: Final = (0.98, 0.7, 0.2, 0.0)
"""Factors of a first price, until the limit is exceeded."""


@dataclass(frozen=True, slots=True, eq=False)
class Exclusions:
    """The exclusions of an integer program: pairs of a weight tensor and an activation tensor.

    Attributes:
        weights: Group of each weight tensor, int64 [e]; each one only once.
        activations: Group of each activation tensor, int64 [e].
        weight_excluded: Whether each choice of the weight tensor excludes those of the activation tensor, bool [e, k].
        activation_excluded: Whether each choice of the activation tensor is excluded by them, bool [e, k].
    """

    weights: IntArray
    activations: IntArray
    weight_excluded: BoolArray
    activation_excluded: BoolArray

    @classmethod
    def of(cls, program: Program, rows: IntArray) -> Exclusions:
        """Return the exclusions of an integer program that the given rows stand for."""
        starts = program.row_starts[rows]
        groups, sizes = program.entry_groups, program.entry_sizes > 0
        return cls(groups[starts], groups[starts + 1], sizes[starts], sizes[starts + 1])


@dataclass(frozen=True, slots=True, eq=False)
class PricedSolution:
    """Choices of minimum priced cost, at one price.

    Attributes:
        price: Price per unit of size.
        choices: Choice of each group, int64 [n].
        cost: Summed cost of the choices, without price.
        excess: Sum of sizes of the priced row minus its limit.
    """

    price: float
    choices: IntArray
    cost: float
    excess: int

    @property
    def bound(self) -> float:
        """Lower bound on the summed cost of all solutions that keep the limit."""
        return self.cost + self.price * self.excess


@dataclass(frozen=True, slots=True, eq=False)
class PriceSearch:
    """What the search for the best price found.

    Attributes:
        best: Solution of the largest bound; None if no choices keep all limits.
        within: Solution of the smallest cost that keeps the limit of the priced row; None if none was found.
        above: Solution of the smallest excess that does not keep it; None if none was found.
    """

    best: PricedSolution | None
    within: PricedSolution | None
    above: PricedSolution | None


class FlashPricing:
    """An integer program with exclusions, whose flash row has a price in place of its limit.

    Attributes:
        exclusions: The exclusions that can bind.
        priced_row: The row with the price; None if that row cannot bind.
        sizes: Size of each choice in this row, above the smallest allowed one of its group, int64 [n, k].
        limit: Limit of this row, minus the sum of the smallest sizes.
        joined_groups: Groups that exclusions or other rows join, without the weight tensors, int64, ascending.
    """

    def __init__(
        self,
        program: Program,
        exclusions: Exclusions,
        priced_row: int | None,
        components: list[tuple[IntArray, int, DynamicProgram]],
    ) -> None:
        """Count the sizes of the priced row.

        Args:
            program: The integer program.
            exclusions: Its exclusions that can bind.
            priced_row: The row that gets a price; None if that row cannot bind.
            components: Components of the other rows that can bind: groups, number of choices, and dynamic program.
        """
        allowed = np.isfinite(program.costs)
        sizes = np.zeros(program.costs.shape, dtype=np.int64)
        limit = 0
        if priced_row is not None:
            entries = slice(program.row_starts[priced_row], program.row_starts[priced_row + 1])
            sizes[program.entry_groups[entries]] = program.entry_sizes[entries]
            limit = int(program.limits[priced_row])
        least = np.where(allowed, sizes, np.iinfo(np.int64).max).min(axis=1)
        # Only the sizes above the smallest one of each group count, so that sums stay small.
        self.sizes: IntArray = np.where(allowed, sizes - least[:, None], 0)
        self.limit = limit - int(least.sum())
        self._span = int(self.sizes.max(axis=1).sum()) + abs(self.limit)
        self.exclusions = exclusions
        self.priced_row = priced_row
        self._components = components
        self.joined_groups = np.unique(np.concatenate([exclusions.activations, *(own for own, _, _ in components)]))
        self._lines = np.arange(len(program.groups))

    def _first_price(self, costs: Float64Array) -> float:
        """Return the best price of the flash row alone, without exclusions and other rows.

        Args:
            costs: Cost of each choice of each group, float64 [n, k].
        """
        if self.limit < 0:
            return 0.0
        price, _ = relaxation(costs, self.sizes, self.limit)
        return price

    def search(self, costs: Float64Array) -> PriceSearch:
        """Search for the price of the largest bound.

        Args:
            costs: Cost of each choice of each group, float64 [n, k]; infinite for a choice that is not allowed.
        """
        best = within = above = None

        def try_price(price: float) -> bool:
            nonlocal best, within, above
            found = self.solve(costs, price)
            if found is None:
                return False
            if best is None or found.bound > best.bound:
                best = found
            if found.excess > 0:
                above = found if above is None or found.excess < above.excess else above
            else:
                within = found if within is None or found.cost < within.cost else within
            return True

        first = self._rounded(self._first_price(costs))
        if not try_price(first):
            return PriceSearch(None, None, None)
        for factor in UPWARDS if within is None else DOWNWARDS:
            if first > 0 and (within is None or above is None):
                try_price(self._rounded(first * factor))
        if within is None:
            within = self._smallest(costs)
        if within is None:
            return PriceSearch(None, None, None)
        for _ in range(MAX_STEPS):
            if above is None or above.cost >= within.cost:
                break
            lines = (above, within)
            price = self._rounded((within.cost - above.cost) / (above.excess - within.excess))
            if price in (above.price, within.price) or not try_price(price) or lines == (above, within):
                break
        return PriceSearch(best, within, above)

    def solve(self, costs: Float64Array, price: float) -> PricedSolution | None:
        """Return choices of minimum priced cost within all other limits; None if there are none.

        Args:
            costs: Cost of each choice of each group, float64 [n, k].
            price: Price per unit of size.
        """
        priced = costs + price * self.sizes
        joined = self.joined(priced)
        choices = joined.argmin(axis=1)
        if not np.isfinite(joined[self._lines, choices]).all():
            return None
        for groups, count, component in self._components:
            found = component.solve(joined[groups, :count])
            if found is None:
                return None
            choices[groups] = found
        own = self.exclusions
        is_excluded = own.activation_excluded[np.arange(len(own.weights)), choices[own.activations]]
        choices[own.weights] = np.where(is_excluded[:, None] & own.weight_excluded, np.inf, priced[own.weights]).argmin(
            axis=1
        )
        excess = int(self.sizes[self._lines, choices].sum()) - self.limit
        return PricedSolution(price, choices, float(costs[self._lines, choices].sum()), excess)

    def least_bounds(self, costs: Float64Array, price: float) -> Float64Array:
        """Return a lower bound on the cost of all solutions that include each choice, float64 [n, k].

        Some choices must keep the other limits. The bounds of weight tensors with exclusions are not computed: they are
        those of the whole program.

        Args:
            costs: Cost of each choice of each group, float64 [n, k].
            price: Price per unit of size.
        """
        joined = self.joined(costs + price * self.sizes)
        least = joined.min(axis=1)
        sums = np.where(np.isfinite(joined), joined - least[:, None], np.inf)
        is_free = np.ones(len(least), dtype=bool)
        total = 0.0
        for groups, count, component in self._components:
            own = component.least_sums(joined[groups, :count])
            minimum = float(own[0].min())
            total += minimum
            is_free[groups] = False
            sums[groups] = np.inf
            sums[groups, :count] = own - minimum
        total += float(least[is_free].sum())
        return sums + (total - price * self.limit)

    def joined(self, priced: Float64Array) -> Float64Array:
        """Return priced costs with those of the weight tensors added to the activation tensors that exclusions join.

        The weight tensors cost nothing then.
        """
        own = self.exclusions
        weights = priced[own.weights]
        free = weights.min(axis=1)
        restricted = np.where(own.weight_excluded, np.inf, weights).min(axis=1)
        joined = priced.copy()
        joined[own.weights] = 0.0
        added = np.where(own.activation_excluded, restricted[:, None], free[:, None])
        np.add.at(joined, own.activations, added)
        return joined

    def _smallest(self, costs: Float64Array) -> PricedSolution | None:
        """Return choices of the smallest size within all other limits, as at an infinite price.

        It is None if they exceed the limit of the priced row, too.
        """
        found = self.solve(np.where(np.isfinite(costs), 0.0, np.inf), 1.0)
        if found is None or found.excess > 0:
            return None
        cost = float(costs[self._lines, found.choices].sum())
        return PricedSolution(np.inf, found.choices, cost, found.excess)

    def _rounded(self, price: float) -> float:
        """Return a price near the given one with which all sums are exact."""
        largest = 2.0**COST_SUM_BITS + price * self._span
        scale = 2.0 ** (EXACT_BITS - int(np.ceil(np.log2(largest))) - 1)
        return float(np.round(price * scale) / scale)
