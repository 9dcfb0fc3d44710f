"""Sensitivity and allowed bits of a weight tensor that several layers share."""

from __future__ import annotations

from collections.abc import Collection

from network.allocation import BITS, Bits
from network.sensitivity.table import SensitivityTable
from solver.exact.choices import Choices


def summed_rows(table: SensitivityTable, layers: Collection[str]) -> dict[Bits, float]:
    """Return the sensitivity of a weight tensor at 8, 4 and 2 bits: the sum over the layers that read it.

    Args:
        table: The sensitivity table, with a row for each layer.
        layers: Names of the layers that read the weight tensor.
    """
    return {bits: sum(table.weights[layer][bits] for layer in layers) for bits in BITS}


def shared_weight_bits(choices: Choices, layers: Collection[str]) -> tuple[Bits, ...]:
    """Return the bits that are allowed for all layers that read a weight tensor, in descending order; may be empty.

    Args:
        choices: The allowed bits of single layers.
        layers: Names of the layers that read the weight tensor.
    """
    return tuple(bits for bits in BITS if all(bits in choices.allowed_weight_bits.get(name, BITS) for name in layers))
