"""The exact program as data: one choice per tensor, the least summed sensitivity, under rows of byte counts.

    minimise    sum over groups g of  costs[g, choice of g]
    subject to  for each row r:  sum over its entries e of  sizes[e, choice of group[e]]
                               + sum over its pairs p of    sizes[p, choice of first[p], choice of second[p]]
                               <=  limits[r]

A group is a tensor and its three choices are 8, 4 and 2 bits, in that order. A row is the flash of the whole network or
the RAM of one step of the schedule; its entries are the tensors that count in it. Everything that a solver needs is
here; no solver sees a layer, a byte rule or a unit. Sizes are whole numbers of bits, so that no rounding decides
anything.

A *pair* is what two groups of a row take together beside what each takes: less than nothing where a layer's output
overwrites its input when both have the same bits, or a layer's cycles, which depend on the bits of its input and of its
weights.

A *switch* is a group that is no tensor: something that flash holds once or not at all, whatever number of tensors ask
for it (the code of a kernel), or that a layer saves (constants that folding does without). Its choices are on and off.
A *link* is a row that ties one tensor to one switch: its sizes are 0 and 1, its limit 1, so that two choices exclude
each other:

    link "4-bit kernel <- conv1"      switch off 1, on 0;   conv1 at 8 bits 0, at 4 bits 1, at 2 bits 0;   limit 1
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from network.allocation import BITS

CHOICES: Final = len(BITS)

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

ON: Final = 0
OFF: Final = 1

DEFAULT_TIME_LIMIT_SECONDS: Final = 60.0

LARGEST_SUM_BITS: Final = 40
"""Costs are whole numbers with sums below 2^40. In float64 such sums are exact in any order, on any machine, and a sum
with a real price per bit is off by far less than the 1 by which two costs differ at least."""


def _none(*shape: int) -> IntArray:
    return np.zeros((0, *shape), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Program:
    """See the module's text.

    Attributes:
        groups: what each group is called, [n].
        costs: float64 [n, 3], whole numbers with sums below 2^40; infinite where a choice is not allowed.
        row_names: what each row is called, [m].
        limits: int64 [m].
        row_starts: int64 [m + 1]; row r has the entries row_starts[r] to row_starts[r + 1].
        entry_groups: int64 [entries]; a group stands at most once in a row.
        entry_sizes: int64 [entries, 3].
        switches: the groups that are switches, ascending; their choices are on, off, and one that is not allowed.
        links: the rows that are links, ascending; of their two entries the first is the switch.
        pair_rows: int64 [pairs], ascending: the row of each pair.
        pair_groups: int64 [pairs, 2]: two groups, no switches, that both have an entry in that row.
        pair_sizes: int64 [pairs, 3, 3], by the choices of the first and of the second; may be negative.
    """

    groups: tuple[str, ...]
    costs: FloatArray
    row_names: tuple[str, ...]
    limits: IntArray
    row_starts: IntArray
    entry_groups: IntArray
    entry_sizes: IntArray
    switches: IntArray = field(default_factory=_none)
    links: IntArray = field(default_factory=_none)
    pair_rows: IntArray = field(default_factory=_none)
    pair_groups: IntArray = field(default_factory=lambda: _none(2))
    pair_sizes: IntArray = field(default_factory=lambda: _none(CHOICES, CHOICES))

    def entry_rows(self) -> IntArray:
        """The row of each entry."""
        return np.repeat(np.arange(len(self.limits)), np.diff(self.row_starts))

    def row_sizes(self, choices: IntArray) -> IntArray:
        """What each row takes, [m], under a choice for each group, [n]."""
        taken = self.entry_sizes[np.arange(len(self.entry_groups)), choices[self.entry_groups]]
        first, second = choices[self.pair_groups].T
        together = self.pair_sizes[np.arange(len(self.pair_rows)), first, second]
        count = len(self.limits)
        return summed_by_row(self.entry_rows(), taken, count) + summed_by_row(self.pair_rows, together, count)

    def objective(self, choices: IntArray) -> float:
        """The summed cost of a choice for each group, [n]."""
        return float(self.costs[np.arange(len(self.groups)), choices].sum())


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a solver found for a program.

    Attributes:
        choices: the choice of each group, [n]; None if nothing is allowed at all.
        objective: its summed cost; infinite without choices.
        bound: no solution costs less.
        broken_row: without choices, a row that the least sizes already exceed, where there is one.
    """

    choices: IntArray | None
    objective: float
    bound: float
    broken_row: int | None = None


def summed_by_row(rows: IntArray, sizes: IntArray, count: int) -> IntArray:
    """The sum of the sizes in each of `count` rows."""
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, rows, sizes)
    return sums


def whole_costs(costs: FloatArray) -> tuple[FloatArray, float]:
    """Costs as whole numbers, and what one of them is worth: cost = worth * whole, to 2^-40 of the largest sum.

    Integers make every sum exact, so that the same input gives the same bits on every machine.
    """
    finite = np.where(np.isfinite(costs), costs, 0.0)
    largest_sum = float(finite.max(axis=1, initial=0.0).sum())
    if largest_sum <= 0:
        return np.where(np.isfinite(costs), 0.0, np.inf), 1.0
    _, exponent = np.frexp(largest_sum)
    worth = float(np.ldexp(1.0, int(exponent) - LARGEST_SUM_BITS))
    return np.where(np.isfinite(costs), np.floor(finite / worth + 0.5), np.inf), worth
