"""Allowed bits of a weight tensor that several layers share."""

from __future__ import annotations

from collections.abc import Collection

from network.allocation import BITS, Bits
from solver.exact.choices import Choices


def shared_weight_bits(choices: Choices, layers: Collection[str]) -> tuple[Bits, ...]:
    """Return the bits that are allowed for all layers that read a weight tensor, in descending order; may be empty.

    Args:
        choices: The allowed bits of single layers.
        layers: Names of the layers that read the weight tensor.
    """
    return tuple(bits for bits in BITS if all(bits in choices.allowed_weight_bits.get(name, BITS) for name in layers))
