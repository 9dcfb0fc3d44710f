"""What is decided for every tensor: its bits, and the scheme of every weight tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from network.errors import RequestError

Bits = Literal[8, 4, 2]

BITS: Final[tuple[Bits, ...]] = (8, 4, 2)
WIDEST_BITS: Final[Bits] = 8
NARROWEST_BITS: Final[Bits] = 2


def halved(bits: Bits) -> Bits:
    """8 -> 4 -> 2; 2 bits have no half."""
    if bits == NARROWEST_BITS:
        raise ValueError("2 bits cannot be halved")
    return 4 if bits == WIDEST_BITS else 2


def as_bits(value: object) -> Bits:
    """The value itself, if it is 8, 4 or 2.

    Raises:
        RequestError: any other value.
    """
    for bits in BITS:
        if value == bits and type(value) is int:
            return bits
    raise RequestError(f"bits are 8, 4 or 2, not {value!r}")


class WeightScheme(StrEnum):
    """How a weight tensor is quantized, by the names of the paper's published code and, of ours, in their manner."""

    PER_LAYER_ASYM_PACT = "PerLayerAsymPACT"
    PER_LAYER_ASYM_MIN_MAX = "PerLayerAsymMinMax"
    PER_CHANNELS_ASYM_MIN_MAX = "PerChannelsAsymMinMax"
    PER_CHANNEL_SYM_LSQ = "PerChannelSymLSQ"

    @property
    def is_per_channel(self) -> bool:
        """Every output channel has a scale of its own."""
        return self in {WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, WeightScheme.PER_CHANNEL_SYM_LSQ}

    @property
    def has_zero_point_per_channel(self) -> bool:
        """Every output channel has a zero point of its own; else the layer has one."""
        return self is WeightScheme.PER_CHANNELS_ASYM_MIN_MAX


DEFAULT_WEIGHT_SCHEME: Final = WeightScheme.PER_CHANNEL_SYM_LSQ
"""Of the exact program, and of what is measured for it; the rules have their own (docs/benchmarks/accuracy.md)."""


class Folding(StrEnum):
    """Where batch norm goes: into the weights, or into the requantization (integer channel-normalization)."""

    WEIGHTS = "folding_weights"
    ICN = "ICN"


@dataclass(frozen=True, slots=True)
class Scheme:
    """The scheme of one weight tensor."""

    weights: WeightScheme
    folding: Folding


@dataclass(frozen=True, eq=True)
class Allocation:
    """The bits of every tensor and the scheme of every weight tensor.

    Attributes:
        weight_bits: layer name -> bits of its weight tensor, in layer order.
        activation_bits: tensor name -> bits, in the order in which they are written, the network's input first.
        schemes: layer name -> scheme of its weight tensor, in layer order.
    """

    weight_bits: Mapping[str, Bits]
    activation_bits: Mapping[str, Bits]
    schemes: Mapping[str, Scheme]
