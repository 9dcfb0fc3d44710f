"""Bytes of a layer's requantization constants: biases, multipliers, shifts and weight zero points.

The bytes of each layer kind, with c output channels and k inputs:

    convolution, fully connected
        bias                    4 c       int32
        multiplier and shift    5 c       int32 and int8 for each channel (ICN, or per-channel weights)
                                5         one pair for the layer (folded per-layer weights)
        weight zero point       c         int8 for each channel
                                1         one for the layer
    add                         4 k + 1   one multiplier for each input, one shift
    concat                      5 k       a multiplier and a shift for each input
    max pool, pad, activation   5         a multiplier and a shift
    average pool                5         a multiplier and a shift
                                5 e       one pair for each possible number of elements of a window of e elements, if
                                          padding is left out of the mean
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from network.allocation import Folding, Scheme
from network.kernels import LAYER_KINDS, check_registered, require_rows
from network.layers import Add, AveragePool, Concat, Layer, WeightLayer
from network.memory.accounting import LayerBits

FACTOR_BYTES: Final = 5
"""Number of bytes of an int32 multiplier and an int8 shift."""

BIAS_BYTES: Final = 4
"""Number of bytes of an int32 bias or multiplier."""


def requantization_bytes(layer: Layer, scheme: Scheme | None, bits: LayerBits) -> int:
    """Return the number of bytes of a layer's requantization constants: biases, multipliers, shifts, zero points.

    Args:
        layer: The layer.
        scheme: Scheme of the layer's weights; None for a layer without weights.
        bits: Bits of the layer's input and output tensor, for a kind whose constants depend on them.

    Raises:
        InvalidNetwork: if the class of the layer is not in `LAYER_KINDS`.
        ValueError: if a layer with weights has no scheme.
    """
    check_registered(layer)
    return _CONSTANT_BYTES[layer.kind](layer, scheme, bits)


def zero_point_bytes(layer: WeightLayer, scheme: Scheme) -> int:
    """Return the number of bytes of a layer's weight zero points: one for each output channel, or one for the layer."""
    return layer.output_channels if scheme.weights.has_zero_point_per_channel else 1


def scheme_of(layer: WeightLayer, scheme: Scheme | None) -> Scheme:
    """Return the quantization scheme of a layer's weights; raise an error if the scheme is missing.

    Raises:
        ValueError: if the scheme is None.
    """
    if scheme is None:
        raise ValueError(f"layer '{layer.name}' has weights, but no quantization scheme is given for them")
    return scheme


def _weight_layer(layer: WeightLayer, given: Scheme | None, _: LayerBits) -> int:
    scheme = scheme_of(layer, given)
    channels = layer.output_channels
    factors = channels if scheme.folding is Folding.ICN or scheme.weights.is_per_channel else 1
    return BIAS_BYTES * channels + FACTOR_BYTES * factors + zero_point_bytes(layer, scheme)


def _add(layer: Add, _scheme: Scheme | None, _bits: LayerBits) -> int:
    return BIAS_BYTES * len(layer.inputs) + 1


def _concat(layer: Concat, _scheme: Scheme | None, _bits: LayerBits) -> int:
    return FACTOR_BYTES * len(layer.inputs)


def _average_pool(layer: AveragePool, _scheme: Scheme | None, _bits: LayerBits) -> int:
    leaves_padding_out = any(layer.padding) and not layer.count_includes_padding
    return FACTOR_BYTES * layer.window_elements if leaves_padding_out else FACTOR_BYTES


def _one_factor(_layer: Layer, _scheme: Scheme | None, _bits: LayerBits) -> int:
    return FACTOR_BYTES


_CONSTANT_BYTES: Final[Mapping[str, Callable[[Any, Scheme | None, LayerBits], int]]] = {
    "convolution": _weight_layer,
    "fully_connected": _weight_layer,
    "add": _add,
    "concat": _concat,
    "max_pool": _one_factor,
    "average_pool": _average_pool,
    "pad": _one_factor,
    "activation": _one_factor,
}
require_rows(_CONSTANT_BYTES, LAYER_KINDS, "the table of requantization constants")
