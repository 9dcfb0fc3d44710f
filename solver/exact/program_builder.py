"""Builder of an integer program: constraints are added one by one, then all of them are converted to arrays."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from network.allocation import BITS, Bits
from solver.exact.program import OFF, ON, Float64Array, IntArray, Program
from solver.problem import Sizes

FORCED_ON: Sizes = (0, 1, 0)
"""Sizes of an indicator variable in an implication "a choice of a tensor => ON": the choice excludes OFF."""


class ProgramBuilder:
    """Builder that collects the constraints, pairwise terms and indicator variables of an integer program."""

    def __init__(self, tensors: Sequence[str], costs: Float64Array) -> None:
        """Create the builder of an integer program without constraints.

        Args:
            tensors: Name of each group that is a tensor, [t]; these are the first groups of the program.
            costs: Cost of each choice of each tensor: whole numbers, float64 [t, k]; infinite for a choice that is not
                allowed.
        """
        self._tensors = tuple(tensors)
        self._costs = costs
        self._indicators: list[str] = []
        self._names: list[str] = []
        self._limits: list[int] = []
        self._starts = [0]
        self._groups: list[int] = []
        self._sizes: list[tuple[int, ...]] = []
        self._implications: list[int] = []
        self._exclusions: list[int] = []
        self._pairwise_terms: list[tuple[int, tuple[int, int], IntArray]] = []

    def add_row(self, name: str, limit: int, entries: Sequence[tuple[int, tuple[int, ...]]]) -> int:
        """Add a constraint to an integer program and return its index.

        Args:
            name: Name of the row.
            limit: Largest sum of sizes.
            entries: Group and sizes of each entry, by its choices; choices without a size are not allowed ones.
        """
        self._names.append(name)
        self._limits.append(limit)
        for group, sizes in entries:
            self._groups.append(group)
            self._sizes.append(sizes)
        self._starts.append(len(self._groups))
        return len(self._names) - 1

    def add_pairwise_term(self, row: int, first: int, second: int, sizes: IntArray) -> None:
        """Add a size to a constraint of an integer program that depends on the choices of two tensors.

        Args:
            row: Row of the term, no earlier than that of the term added before; both groups have an entry in it.
            first: The first group.
            second: The second group.
            sizes: Size by the choices of the first and of the second group, int64, one row for each choice of the
                first; choices without a size are not allowed ones.
        """
        self._pairwise_terms.append((row, (first, second), sizes))

    def add_indicator(self, name: str) -> int:
        """Add an indicator variable to an integer program and return the index of its group."""
        self._indicators.append(name)
        return len(self._tensors) + len(self._indicators) - 1

    def add_implication(
        self, name: str, indicator: int, indicator_sizes: Sizes, group: int, group_sizes: tuple[int, ...]
    ) -> None:
        """Add an implication: a choice of a tensor forces an indicator variable ON or OFF.

        Args:
            name: Name of the row.
            indicator: Group of the indicator variable.
            indicator_sizes: 1 for each choice of the indicator variable that is excluded, else 0.
            group: Group of the tensor.
            group_sizes: 1 for each choice of the tensor that excludes those of the indicator variable, else 0.
        """
        self._implications.append(len(self._names))
        self.add_row(name, 1, [(indicator, indicator_sizes), (group, group_sizes)])

    def add_exclusion(
        self, name: str, weights: int, weight_sizes: tuple[int, ...], activation: int, activation_sizes: Sizes
    ) -> None:
        """Add an exclusion: some choices of a weight tensor and some of an activation tensor exclude each other.

        Args:
            name: Name of the row.
            weights: Group of the weight tensor.
            weight_sizes: 1 for each choice of the weight tensor that excludes those of the activation tensor, else 0.
            activation: Group of the activation tensor.
            activation_sizes: 1 for each choice of the activation tensor that is excluded, else 0.
        """
        self._exclusions.append(len(self._names))
        self.add_row(name, 1, [(weights, weight_sizes), (activation, activation_sizes)])

    def program(self) -> Program:
        """Return the integer program that was built."""
        first_indicator, choices = len(self._tensors), self._costs.shape[1]
        indicator_costs = np.full((len(self._indicators), choices), np.inf)
        indicator_costs[:, [ON, OFF]] = 0.0
        entry_sizes = np.zeros((len(self._sizes), choices), dtype=np.int64)
        for entry, sizes in enumerate(self._sizes):
            entry_sizes[entry, : len(sizes)] = sizes
        pairwise_sizes = np.zeros((len(self._pairwise_terms), choices, choices), dtype=np.int64)
        for term, (_, _, table) in enumerate(self._pairwise_terms):
            pairwise_sizes[term, : table.shape[0], : table.shape[1]] = table
        return Program(
            groups=(*self._tensors, *self._indicators),
            costs=np.concatenate((self._costs, indicator_costs)),
            row_names=tuple(self._names),
            limits=np.array(self._limits, dtype=np.int64),
            row_starts=np.array(self._starts, dtype=np.int64),
            entry_groups=np.array(self._groups, dtype=np.int64),
            entry_sizes=entry_sizes,
            indicators=np.arange(first_indicator, first_indicator + len(self._indicators)),
            implications=np.array(self._implications, dtype=np.int64),
            exclusions=np.array(self._exclusions, dtype=np.int64),
            pairwise_rows=np.array([row for row, _, _ in self._pairwise_terms], dtype=np.int64),
            pairwise_groups=np.array([groups for _, groups, _ in self._pairwise_terms], dtype=np.int64).reshape(-1, 2),
            pairwise_sizes=pairwise_sizes,
        )


def exactly(bits: Bits) -> Sizes:
    """Return the sizes of a constraint entry that counts 1 for the choice of exactly the given bits, else 0."""
    widest, middle, narrowest = (int(each == bits) for each in BITS)
    return widest, middle, narrowest


def any_of(bits: Collection[Bits], choices: Sequence[Bits]) -> tuple[int, ...]:
    """Return the sizes of a constraint entry that counts 1 for the choice of one of the given bits, else 0.

    Args:
        bits: The bits that count.
        choices: Bits of each choice of the group.
    """
    return tuple(int(each in bits) for each in choices)


def at_least(bits: Bits) -> Sizes:
    """Return the sizes of a constraint entry that counts 1 for the choice of the given bits or more, else 0."""
    widest, middle, narrowest = (int(each >= bits) for each in BITS)
    return widest, middle, narrowest
