"""The integer program that chooses bits: one choice for each tensor, minimum cost, and limits on sums of sizes.

    minimize    sum over groups g of  costs[g, choice of g]
    subject to  for each row r:  sum over its entries e of           sizes[e, choice of group[e]]
                               + sum over its pairwise terms p of    sizes[p, choice of first[p], choice of second[p]]
                               <=  limits[r]

A *group* is a tensor. The choices of an activation tensor are 8, 4 and 2 bits, in that order; those of a weight tensor
are bits and a scheme. All groups have the same number of choices k; those that a group lacks have an infinite cost. A
*row* is a constraint: the flash of the whole network, or the RAM of one step of the schedule. The *entries* of a row
are the tensors that count in it. A solver needs nothing else: it sees no layer, no rule of an accounting and no unit.
Sizes are whole numbers of bits, so that no rounding can decide whether a limit is kept.

A *pairwise term* is a size that depends on the choices of two groups, in addition to the sizes of their entries. It is
negative if the output of a layer overwrites the layer's input, which is possible if both have the same bits. The cycles
of a layer are another pairwise term: they depend on the bits of the layer's input and of its weights.

An *indicator variable* is a group that is not a tensor. It stands for bytes that flash holds once or not at all,
however many tensors need them (the code of a kernel). Its choices are ON and OFF.

An *implication* is a row that links one tensor to one indicator variable. Its sizes are 0 or 1 and its limit is 1, so
that two choices exclude each other:

    "conv1 has 4-bit weights => 4-bit kernel ON"
        indicator   ON 0, OFF 1
        conv1       8 bits 0, 4 bits 1, 2 bits 0        sum <= 1

An *exclusion* is such a row for a weight tensor and an activation tensor:

    "conv1 has folded weights => its output has 8 bits"
        conv1       folded 1, other choices 0
        output      8 bits 0, 4 bits 1, 2 bits 1        sum <= 1
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from network.allocation import BITS

CHOICES: Final = len(BITS)
"""Number of choices of an activation tensor, and the least number of choices of the groups of a program."""

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Float64Array = npt.NDArray[np.float64]

ON: Final = 0
"""Index of the choice "on" of an indicator variable."""

OFF: Final = 1
"""Index of the choice "off" of an indicator variable."""

COST_SUM_BITS: Final = 40
"""Costs are whole numbers whose sums stay below 2^40. In float64 such sums are exact in any order and on any machine.
The error of such a sum plus a real price per bit stays far below 1, the smallest difference between two costs."""


def _none(*shape: int) -> IntArray:
    """Return an empty int64 array of shape [0, *shape]."""
    return np.zeros((0, *shape), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Program:
    """Integer program that chooses one of several options (bits, scheme) for each tensor at minimum summed cost.

    Attributes:
        groups: Name of each group, [n].
        costs: Cost of each choice of each group, float64 [n, k]: whole numbers with sums below 2^40; infinite for a
            choice that is not allowed.
        row_names: Name of each row, [m].
        limits: Largest sum of sizes of each row, int64 [m].
        row_starts: Index of the first entry of each row, int64 [m + 1]; row r has the entries row_starts[r] to
            row_starts[r + 1] - 1.
        entry_groups: Group of each entry, int64 [entries]; a group has at most one entry in a row.
        entry_sizes: Size of each entry by the choice of its group, int64 [entries, k].
        indicators: Groups that are indicator variables, int64, ascending; of their choices, only ON and OFF are
            allowed.
        implications: Rows that are implications, int64, ascending; the first of their two entries is the indicator
            variable.
        exclusions: Rows that are exclusions, int64, ascending; the first of their two entries is the weight tensor.
        pairwise_rows: Row of each pairwise term, int64 [pairwise terms], ascending.
        pairwise_groups: The two groups of each pairwise term, int64 [pairwise terms, 2]; both are tensors and have an
            entry in the row of the term.
        pairwise_sizes: Size of each pairwise term by the choices of the first and of the second group, int64
            [pairwise terms, k, k]; may be negative.
    """

    groups: tuple[str, ...]
    costs: Float64Array
    row_names: tuple[str, ...]
    limits: IntArray
    row_starts: IntArray
    entry_groups: IntArray
    entry_sizes: IntArray
    indicators: IntArray = field(default_factory=_none)
    implications: IntArray = field(default_factory=_none)
    exclusions: IntArray = field(default_factory=_none)
    pairwise_rows: IntArray = field(default_factory=_none)
    pairwise_groups: IntArray = field(default_factory=lambda: _none(2))
    pairwise_sizes: IntArray = field(default_factory=lambda: _none(CHOICES, CHOICES))

    @property
    def choice_count(self) -> int:
        """Number of choices of each group, k."""
        return int(self.costs.shape[1])

    def entry_rows(self) -> IntArray:
        """Return the constraint to which each entry of an integer program belongs, int64 [entries]."""
        return np.repeat(np.arange(len(self.limits)), np.diff(self.row_starts))

    def row_sizes(self, choices: IntArray) -> IntArray:
        """Return the sum of sizes of each constraint of an integer program at the given choices, int64 [m].

        Args:
            choices: Choice of each group, int64 [n].
        """
        sizes = self.entry_sizes[np.arange(len(self.entry_groups)), choices[self.entry_groups]]
        first, second = choices[self.pairwise_groups].T
        pairwise_sizes = self.pairwise_sizes[np.arange(len(self.pairwise_rows)), first, second]
        count = len(self.limits)
        return summed_by_row(self.entry_rows(), sizes, count) + summed_by_row(self.pairwise_rows, pairwise_sizes, count)

    def objective(self, choices: IntArray) -> float:
        """Return the summed cost of the given choices of an integer program.

        Args:
            choices: Choice of each group, int64 [n].
        """
        return float(self.costs[np.arange(len(self.groups)), choices].sum())


@dataclass(frozen=True, slots=True, eq=False)
class ProgramSolution:
    """The choices that a solver found for an integer program, with a lower bound on the summed cost.

    Attributes:
        choices: Choice of each group, int64 [n]; None if none was found that keeps every limit.
        objective: Summed cost of the choices; infinite without choices.
        bound: Lower bound on the summed cost of all choices that keep every limit; infinite if it is proven that there
            are none.
        broken_row: Index of a row whose smallest possible sum of sizes exceeds its limit; None if there is no such row.
    """

    choices: IntArray | None
    objective: float
    bound: float
    broken_row: int | None = None


def summed_by_row(rows: IntArray, sizes: IntArray, count: int) -> IntArray:
    """Return the sum of the sizes in each constraint of an integer program, int64 [count].

    Args:
        rows: Row of each size, int64 [sizes].
        sizes: The sizes to add, int64 [sizes].
        count: Number of rows.
    """
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, rows, sizes)
    return sums


def integer_costs(costs: Float64Array) -> tuple[Float64Array, float]:
    """Round costs to multiples of a common unit, so that all sums are exact and the same on every machine.

    Args:
        costs: Cost of each choice of each group, float64 [n, k], 0 or more; infinite for a choice that is not allowed.

    Returns:
        The costs as whole numbers of the unit, float64 [n, k], and the unit: a power of two, at most 2^-39 of the
        largest sum of costs. A cost is the whole number times the unit, up to rounding to the nearest.
    """
    finite = np.where(np.isfinite(costs), costs, 0.0)
    largest_sum = float(finite.max(axis=1, initial=0.0).sum())
    if largest_sum <= 0:
        return np.where(np.isfinite(costs), 0.0, np.inf), 1.0
    _, exponent = np.frexp(largest_sum)
    unit = float(np.ldexp(1.0, int(exponent) - COST_SUM_BITS))
    return np.where(np.isfinite(costs), np.floor(finite / unit + 0.5), np.inf), unit
