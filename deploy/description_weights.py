"""Fields and arrays of a layer with weights in `network.json`, by version of the format.

    version 4         weights in the order in which kernels read them (`deploy.weight_packing`)
                      narrow layer: multiplier and offset, int16 [c], with the numbers shift and offset_shift
                      wide layer: multiplier and bias, int32, and shift, int8
    versions 1 to 3   weights in rows of bytes (`deploy.weight_rows`); every layer is wide

With thresholds, a layer has neither in any version, but records the values that its thresholds replace.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray
from deploy.integer_network import IntegerConvolution, IntegerNetwork
from deploy.narrow_constants import narrow_constants_of
from deploy.weight_packing import BYTE_ORDER, WORD_ORDER, pack_weights, unpack_weights
from deploy.weight_rows import CONVOLUTION_ORDER, DEPTHWISE_ORDER, CodesShape, pack_weight_rows, unpack_weight_rows
from network.allocation import Bits

NARROW_VERSION: Final = 4
"""First version of network.json with narrow constants and weights in the order of the kernels."""

MULTIPLIER_FORM: Final = "thresholds_of"
"""Key under which a layer with thresholds records the bias, multipliers and shifts that its thresholds replace."""

Arrays = dict[str, npt.NDArray[Any]]


def weight_fields(layer: IntegerConvolution, network: IntegerNetwork, version: int) -> tuple[dict[str, Any], Arrays]:
    """Return the JSON fields of a layer's weights and constants, and their arrays by the name of the field.

    Args:
        layer: The layer.
        network: The network of the layer.
        version: Version of network.json.
    """
    has_rows = version < NARROW_VERSION
    orders = (CONVOLUTION_ORDER, DEPTHWISE_ORDER) if has_rows else (WORD_ORDER, BYTE_ORDER)
    fields: dict[str, Any] = {
        "weights": {
            "bits": layer.weight_bits,
            "codes_shape": list(layer.codes.shape),
            "order": orders[layer.is_depthwise],
        },
        "scheme": {"weights": layer.scheme.weights.value, "folding": layer.scheme.folding.value},
        "weight_scale": layer.weight_scale.tolist(),
    }
    arrays: Arrays = {
        "weights": pack_weight_rows(layer) if has_rows else pack_weights(layer),
        "weight_zero_point": layer.weight_zero_point.astype(np.int32),
    }
    factors = layer.requantization
    wide: Arrays = {"bias": layer.bias.astype(np.int32), "multiplier": factors.multiplier, "shift": factors.shift}
    if layer.thresholds is not None:
        fields[MULTIPLIER_FORM] = {name: values.tolist() for name, values in wide.items()}
        return fields, arrays | {"thresholds": layer.thresholds.values, "direction": layer.thresholds.direction}
    tensors = network.tensors
    narrow = None if has_rows else narrow_constants_of(layer, tensors[layer.inputs[0]], tensors[layer.output])
    if narrow is None:
        return fields, arrays | wide
    fields |= {"shift": narrow.shift, "offset_shift": narrow.offset_shift}
    return fields, arrays | {"multiplier": narrow.multiplier, "offset": narrow.offset}


def codes_of(packed: npt.NDArray[np.uint8], shape: CodesShape, groups: int, bits: Bits, version: int) -> CodeArray:
    """Return the weight codes of a packed array.

    Args:
        packed: The packed weights, uint8.
        shape: The shape of the codes.
        groups: Number of groups of channels.
        bits: Number of bits of each code: 8, 4 or 2.
        version: Version of network.json.

    Raises:
        ValueError: if the packed weights have another type or shape, or if an unused bit is not 0.
    """
    unpack = unpack_weights if version >= NARROW_VERSION else unpack_weight_rows
    return unpack(packed, shape, groups, bits)
