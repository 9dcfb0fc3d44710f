"""Varied bits that fill a memory budget, on which the benchmark `prediction` compares sensitivity measures.

Under each budget, bits have one of three origins:

    exact    the exact program on the table of each measure
    near     the exact program on a measure's table with its figures multiplied by random factors; measures take turns
    random   random tensors are narrowed until the budget is kept, then random ones are widened until none can be
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import count
from typing import Final

import numpy as np

from benchmarks.shares import Share, budget_of, uniform, with_scheme
from network.allocation import BITS, DEFAULT_WEIGHT_SCHEME, NARROWEST_BITS, WIDEST_BITS, Allocation, Bits, halved
from network.budget import Budget
from network.memory.accounting import Accounting
from network.memory.measure import measure
from network.memory.report import MemoryReport
from network.network import Network
from network.sensitivity.table import Row, SensitivityTable
from solver.fit import fit
from solver.options import SolveOptions
from solver.question import Question

NOISE: Final = 1.0
"""Standard deviation of the natural logarithm of the random factors of `near`."""

MOST_REPEATS: Final = 50
"""Number of draws without new bits after which a budget is left with fewer bits than asked for."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Bits of a network under a memory budget, and where they come from.

    Attributes:
        share: The budget, as shares of the bytes that the network needs with 8 bits for every tensor.
        origin: Where the bits come from: `exact`, `near` or `random`, with the name of the measure if there is one.
        allocation: The bits and schemes of all tensors.
        flash_share: The flash that they need, divided by the budget's.
    """

    share: Share
    origin: str
    allocation: Allocation
    flash_share: float


def drawn_bits(
    network: Network,
    tables: Mapping[str, SensitivityTable],
    shares: Sequence[Share],
    number: int,
    accounting: Accounting,
    seed: int = 0,
) -> list[Drawn]:
    """Return different bits under each budget: those of the exact program by each measure, then random ones.

    Args:
        network: The network.
        tables: The sensitivity table of each measure, by the name of the measure.
        shares: The budgets.
        number: Number of allocations under all budgets together; each budget has an equal part of it, at least one.
        accounting: The rule book that counts bytes.
        seed: Seed of the random draws.

    Raises:
        ValueError: If no bits fit a budget.
    """
    found = []
    for position, share in enumerate(shares):
        budget = budget_of(share, network, accounting, DEFAULT_WEIGHT_SCHEME)
        randomness = np.random.default_rng([seed, position])
        part = number // len(shares) + (position < number % len(shares))
        found += _under(share, budget, max(1, part), _Drawing(network, tables, accounting, randomness))
    return found


def _under(share: Share, budget: Budget, number: int, drawing: _Drawing) -> list[Drawn]:
    chosen: dict[tuple[Bits, ...], Drawn] = {}
    repeats = 0
    for origin, allocation in drawing.under(budget):
        key = (*allocation.weight_bits.values(), *allocation.activation_bits.values())
        repeats = repeats + 1 if key in chosen else 0
        flash_bytes = measure(drawing.network, allocation, drawing.accounting).flash_bytes
        chosen.setdefault(key, Drawn(share, origin, allocation, flash_bytes / budget.flash_bytes))
        if len(chosen) == number or repeats == MOST_REPEATS:
            break
    return list(chosen.values())


@dataclass(frozen=True, eq=False)
class _Drawing:
    """Drawing of bits for one network: its tables, its rule book and its source of random numbers."""

    network: Network
    tables: Mapping[str, SensitivityTable]
    accounting: Accounting
    randomness: np.random.Generator

    def under(self, budget: Budget) -> Iterator[tuple[str, Allocation]]:
        """Yield the origin and the bits of allocations under a budget, without end."""
        for name, table in self.tables.items():
            yield f"exact, {name}", self._exact(table, budget)
        names = list(self.tables)
        for turn in count():
            name = names[turn % len(names)]
            yield f"near, {name}", self._exact(self._with_noise(self.tables[name]), budget)
            yield "random", random_bits(self.network, budget, self.accounting, self.randomness)

    def _exact(self, table: SensitivityTable, budget: Budget) -> Allocation:
        question = Question(
            network=self.network, budget=budget, accounting=self.accounting, sensitivity=table,
            options=SolveOptions(scheme=DEFAULT_WEIGHT_SCHEME),
        )  # fmt: skip
        allocation = fit(question).allocation
        if allocation is None:
            raise ValueError(f"no bits of {self.network.name} fit {budget}; choose a larger budget")
        # In the order of the network, so that equal bits are recognised.
        ordered = replace(
            allocation,
            weight_bits={layer.name: allocation.weight_bits[layer.name] for layer in self.network.weight_layers},
            activation_bits={tensor: allocation.activation_bits[tensor] for tensor in self.network.tensors},
        )
        return with_scheme(ordered, DEFAULT_WEIGHT_SCHEME)

    def _with_noise(self, table: SensitivityTable) -> SensitivityTable:
        def noisy(rows: Mapping[str, Row]) -> dict[str, Row]:
            return {
                name: {bits: row[bits] * float(np.exp(NOISE * self.randomness.standard_normal())) for bits in BITS}
                for name, row in rows.items()
            }

        rows = table.weight_rows(DEFAULT_WEIGHT_SCHEME)
        return replace(table, weights=noisy(rows), activations=noisy(table.activations), weights_by_scheme={})


class _Kind(Enum):
    WEIGHTS = "weights"
    ACTIVATIONS = "activations"


def random_bits(
    network: Network, budget: Budget, accounting: Accounting, randomness: np.random.Generator
) -> Allocation:
    """Return random bits that keep a budget, where no tensor can get more bits without breaking it.

    Args:
        network: The network.
        budget: The budget of flash and RAM in bytes.
        accounting: The rule book that counts bytes.
        randomness: Source of the random choices.

    Raises:
        ValueError: If 2 bits everywhere do not fit the budget.
    """
    widest = uniform(network, WIDEST_BITS, WIDEST_BITS, accounting, DEFAULT_WEIGHT_SCHEME)
    same_bits = accounting.same_bits(network)
    kept = {same_bits[tensor] for tensor in (*network.input_names, *network.outputs)}
    weights = [(_Kind.WEIGHTS, layer) for layer in widest.weight_bits]
    activations = [(_Kind.ACTIVATIONS, own) for own in dict.fromkeys(same_bits.values()) if own not in kept]
    bits: dict[tuple[_Kind, str], Bits] = dict.fromkeys([*weights, *activations], WIDEST_BITS)

    def allocated(given: Mapping[tuple[_Kind, str], Bits]) -> Allocation:
        return replace(
            widest,
            weight_bits={layer: given[_Kind.WEIGHTS, layer] for layer in widest.weight_bits},
            activation_bits={
                tensor: given.get((_Kind.ACTIVATIONS, own), WIDEST_BITS) for tensor, own in same_bits.items()
            },
        )

    def report_of(given: Mapping[tuple[_Kind, str], Bits]) -> MemoryReport:
        return measure(network, allocated(given), accounting)

    def narrow_one(tensors: Sequence[tuple[_Kind, str]]) -> None:
        candidates = [tensor for tensor in tensors if bits[tensor] != NARROWEST_BITS]
        if not candidates:
            raise ValueError(f"2 bits everywhere do not fit {budget}; choose a larger budget")
        chosen = candidates[int(randomness.integers(len(candidates)))]
        bits[chosen] = halved(bits[chosen])

    while report_of(bits).flash_bytes > budget.flash_bytes:
        narrow_one(weights)
    while report_of(bits).ram_bytes > budget.ram_bytes:
        narrow_one(activations)
    tensors, is_wider = list(bits), True
    while is_wider:
        is_wider = False
        for index in randomness.permutation(len(tensors)):
            tensor = tensors[index]
            if bits[tensor] == WIDEST_BITS:
                continue
            wider = {**bits, tensor: BITS[BITS.index(bits[tensor]) - 1]}
            report = report_of(wider)
            if report.flash_bytes <= budget.flash_bytes and report.ram_bytes <= budget.ram_bytes:
                bits, is_wider = wider, True
    return allocated(bits)
