"""Bits of every tensor of a neural network (8, 4 or 2), and the quantization scheme of every weight tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from network.errors import RequestError

Bits = Literal[8, 4, 2]
"""Number of bits of each element of a tensor."""

BITS: Final[tuple[Bits, ...]] = (8, 4, 2)
"""All possible numbers of bits, descending."""

WIDEST_BITS: Final[Bits] = 8
NARROWEST_BITS: Final[Bits] = 2


def halved(bits: Bits) -> Bits:
    """Return half of a number of bits per element: 4 for 8, and 2 for 4.

    Raises:
        ValueError: if the bits are 2.
    """
    if bits == NARROWEST_BITS:
        raise ValueError("2 bits cannot be halved: a tensor cannot have fewer than 2 bits")
    return 4 if bits == WIDEST_BITS else 2


def as_bits(value: object) -> Bits:
    """Check that a value is 8, 4 or 2, and return it as a number of bits per tensor element.

    Args:
        value: Value of any type.

    Raises:
        RequestError: if the value is not the integer 8, 4 or 2.
    """
    for bits in BITS:
        if value == bits and type(value) is int:
            return bits
    raise RequestError(f"the number of bits of a tensor is {value!r}; expected 8, 4 or 2")


class WeightScheme(StrEnum):
    """Quantization scheme of a weight tensor: per layer or per output channel, and how its range is found.

    The first three have the names of the published code of arXiv 1905.13082; `PerChannelSymLSQ` is new here.
    """

    PER_LAYER_ASYM_PACT = "PerLayerAsymPACT"
    PER_LAYER_ASYM_MIN_MAX = "PerLayerAsymMinMax"
    PER_CHANNELS_ASYM_MIN_MAX = "PerChannelsAsymMinMax"
    PER_CHANNEL_SYM_LSQ = "PerChannelSymLSQ"

    @property
    def is_per_channel(self) -> bool:
        """Whether a weight quantization scheme has one scale for each output channel."""
        return self in {WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, WeightScheme.PER_CHANNEL_SYM_LSQ}

    @property
    def has_zero_point_per_channel(self) -> bool:
        """Whether a weight quantization scheme has one zero point per output channel; otherwise one per layer."""
        return self is WeightScheme.PER_CHANNELS_ASYM_MIN_MAX


DEFAULT_WEIGHT_SCHEME: Final = WeightScheme.PER_CHANNEL_SYM_LSQ
"""Scheme of weights that is preferred (docs/benchmarks/accuracy.md)."""

WEIGHT_SCHEMES: Final[tuple[WeightScheme, ...]] = (
    DEFAULT_WEIGHT_SCHEME,
    *(scheme for scheme in WeightScheme if scheme is not DEFAULT_WEIGHT_SCHEME),
)
"""All schemes of weights, in the order in which the exact program prefers them where their sums are equal."""


class Folding(StrEnum):
    """Place into which batch norm is folded: the weights, or the requantization (integer channel normalization)."""

    WEIGHTS = "folding_weights"
    ICN = "ICN"


@dataclass(frozen=True, slots=True)
class Scheme:
    """Quantization scheme of one weight tensor, and the place into which the layer's batch norm is folded.

    Attributes:
        weights: Scheme by which the weights are quantized.
        folding: Place into which batch norm is folded.
    """

    weights: WeightScheme
    folding: Folding


@dataclass(frozen=True, eq=True)
class Allocation:
    """Number of bits of every tensor of a network, and quantization scheme of every weight tensor.

    Attributes:
        weight_bits: Name of each layer with weights -> bits of its weight tensor, in schedule order.
        activation_bits: Name of each activation tensor -> its bits, in the order in which the tensors are written, the
            network's inputs first.
        schemes: Name of each layer with weights -> scheme of its weight tensor, in schedule order.
    """

    weight_bits: Mapping[str, Bits]
    activation_bits: Mapping[str, Bits]
    schemes: Mapping[str, Scheme]
