"""Memory budgets as shares of what a network needs with 8 bits everywhere, and the widest uniform bits that fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from network.allocation import WIDEST_BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.budget import Budget
from network.memory.accounting import Accounting
from network.memory.measure import measure
from network.network import Network

UNIFORM_BITS: Final[tuple[tuple[Bits, Bits], ...]] = (
    (8, 8), (8, 4), (4, 8), (4, 4), (8, 2), (2, 8), (4, 2), (2, 4), (2, 2),
)  # fmt: skip
"""Pairs of bits of all weights and bits of all activations, the best first: by product, then by the smaller of both
bits, then by the bits of the weights."""


@dataclass(frozen=True, slots=True)
class Share:
    """Memory budget as shares of the flash and RAM that 8 bits everywhere need.

    Attributes:
        flash: Flash budget divided by the flash that the network needs with 8 bits for every tensor.
        ram: RAM budget divided by the RAM that the network needs with 8 bits for every tensor.
    """

    flash: float
    ram: float = 1.0

    def __str__(self) -> str:
        flash = f"{100 * self.flash:g} %"
        return flash if self.ram == 1 else f"{flash}, RAM {100 * self.ram:g} %"


SHARES: Final = (*(Share(flash) for flash in (1.0, 0.6, 0.5, 0.4, 0.3, 0.25)), Share(0.5, 0.75), Share(0.5, 0.5))
THOROUGH: Final = frozenset({Share(0.5), Share(0.3)})
"""The budgets at which training has three seeds even if it is slow."""


def with_scheme(bits: Allocation, weights: WeightScheme) -> Allocation:
    """Return an allocation with the same bits, one scheme for all weight tensors, and batch norm in ICN."""
    return Allocation(
        bits.weight_bits, bits.activation_bits, dict.fromkeys(bits.weight_bits, Scheme(weights, Folding.ICN))
    )


def uniform(
    network: Network, weight_bits: Bits, activation_bits: Bits, accounting: Accounting, weights: WeightScheme
) -> Allocation:
    """Return an allocation with equal bits for all weights, and for all activations except inputs and outputs."""
    same_bits = accounting.same_bits(network)
    uncut = {same_bits[tensor] for tensor in (*network.input_names, *network.outputs)}
    layers = [layer.name for layer in network.weight_layers]
    return Allocation(
        weight_bits=dict.fromkeys(layers, weight_bits),
        activation_bits={
            tensor: WIDEST_BITS if own in uncut else activation_bits for tensor, own in same_bits.items()
        },
        schemes=dict.fromkeys(layers, Scheme(weights, Folding.ICN)),
    )  # fmt: skip


def budget_of(share: Share, network: Network, accounting: Accounting, weights: WeightScheme) -> Budget:
    """Convert a budget in shares of what the network needs with 8 bits for every tensor to bytes, rounded down."""
    report = measure(network, uniform(network, WIDEST_BITS, WIDEST_BITS, accounting, weights), accounting)
    return Budget(math.floor(share.flash * report.flash_bytes), math.floor(share.ram * report.ram_bytes))


def widest_uniform(
    network: Network, budget: Budget, accounting: Accounting, weights: WeightScheme
) -> Allocation | None:  # fmt: skip
    """Return the allocation with the widest uniform bits (of `UNIFORM_BITS`) that fits a budget; None if none fits."""
    for weight_bits, activation_bits in UNIFORM_BITS:
        allocation = uniform(network, weight_bits, activation_bits, accounting, weights)
        report = measure(network, allocation, accounting)
        if report.flash_bytes <= budget.flash_bytes and report.ram_bytes <= budget.ram_bytes:
            return allocation
    return None
