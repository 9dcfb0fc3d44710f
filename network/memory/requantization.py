"""Bytes of the constants by which a layer with weights requantizes, and of its weight zero points.

The constants of each output channel, in the form of the layer (`network.kernel_functions.Form`):

    narrow, pairs 4                int16 multiplier, int16 offset
    wide         12                int32 offset, multiplier and shift
    thresholds    4 (2 + T)        int32 direction, offset and T = 2^b - 1 thresholds, with b bits of the layer's output

Weight zero points take 1 byte for each of c output channels, padded to a multiple of 4; one zero point for the whole
layer is a field of its descriptor. The offset contains bias, batch norm and the zero point of the input. Layers without
weights have no constants beside their descriptor (`descriptors.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from network.allocation import Bits, Scheme
from network.kernel_functions import Form
from network.kernels import check_registered, require_rows
from network.layers import Layer, WeightLayer
from network.memory.accounting import LayerBits
from network.memory.packing import whole_words

_CHANNEL_BYTES: Final[Mapping[Form, Callable[[Bits], int]]] = {
    Form.NARROW: lambda _bits: 4,
    Form.PAIRS: lambda _bits: 4,
    Form.WIDE: lambda _bits: 12,
    Form.THRESHOLDS: lambda bits: 4 * (2 + 2**bits - 1),
}
"""Form of a layer -> bytes of the constants of one output channel, by the bits of the output."""
require_rows(_CHANNEL_BYTES, Form, "the table of requantization constants")


def requantization_bytes(layer: Layer, scheme: Scheme | None, bits: LayerBits, form: Form = Form.NARROW) -> int:
    """Return the number of bytes of a layer's requantization constants and weight zero points.

    Args:
        layer: The layer.
        scheme: Scheme of the layer's weights; None for a layer without weights.
        bits: Bits of the layer's input and output tensor.
        form: How the layer requantizes.

    Raises:
        InvalidNetwork: if the class of the layer is not in `LAYER_KINDS`.
        ValueError: if a layer with weights has no scheme.
    """
    check_registered(layer)
    if not isinstance(layer, WeightLayer):
        return 0
    has_zero_points = scheme_of(layer, scheme).weights.has_zero_point_per_channel
    zero_points = whole_words(layer.output_channels) if has_zero_points else 0
    return layer.output_channels * _CHANNEL_BYTES[form](bits.output) + zero_points


def scheme_of(layer: WeightLayer, scheme: Scheme | None) -> Scheme:
    """Return the quantization scheme of a layer's weights; raise an error if the scheme is missing.

    Raises:
        ValueError: if the scheme is None.
    """
    if scheme is None:
        raise ValueError(f"layer '{layer.name}' has weights, but no quantization scheme is given for them")
    return scheme
