"""Bytes of the constant structs that describe a layer to its C function, and of the layer's step in the schedule.

The structs are those of `deploy/kernels/kernels.h` on a core with 32-bit addresses. With k inputs, g groups and d
different numbers of elements in the windows of an average pool:

    convolution, fully connected   bb_convolution_layer, g bb_rows (fully connected: 1)
    depthwise convolution          bb_depthwise_layer
    add, activation                bb_add_layer, k bb_add_input
    concat                         bb_concat_layer, k bb_concat_input
    max pool, average pool         bb_pool_layer, d bb_pool_factor (max pool: 1)
    pad                            bb_pad_layer

The requantization factors of layers without weights are fields of these structs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from network.kernels import DEPTHWISE, KERNELS, POINTWISE, kernel_of, require_rows
from network.layers import Add, AveragePool, Concat, Convolution, Layer
from network.shapes import Shape

STRUCT_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "bb_step": 8,
        "bb_rows": 24,
        "bb_convolution_layer": 56,
        "bb_depthwise_layer": 56,
        "bb_add_input": 12,
        "bb_add_layer": 28,
        "bb_concat_input": 20,
        "bb_concat_layer": 24,
        "bb_pool_factor": 12,
        "bb_pool_layer": 40,
        "bb_pad_layer": 36,
    }
)
"""Name of each struct of the generated C -> its size in bytes on a core with 32-bit addresses."""

END_OF_STEPS: Final = "end of the steps"
"""Name of the part of a memory report for the entry that ends the table of steps."""


def descriptor_bytes(layer: Layer, input_shape: Shape) -> int:
    """Return the number of bytes of a layer's constant structs, with its step in the schedule.

    Args:
        layer: The layer.
        input_shape: Shape of the first tensor that the layer reads.

    Raises:
        InvalidNetwork: if the class of the layer is not registered.
    """
    structs = _STRUCTS[kernel_of(layer, input_shape)](layer, input_shape)
    return STRUCT_BYTES["bb_step"] + sum(count * STRUCT_BYTES[name] for name, count in structs.items())


def _convolution(layer: Convolution, _input_shape: Shape) -> Mapping[str, int]:
    return {"bb_convolution_layer": 1, "bb_rows": layer.groups}


def _one_group(_layer: Layer, _input_shape: Shape) -> Mapping[str, int]:
    return {"bb_convolution_layer": 1, "bb_rows": 1}


def _depthwise(_layer: Layer, _input_shape: Shape) -> Mapping[str, int]:
    return {"bb_depthwise_layer": 1}


def _add(layer: Add, _input_shape: Shape) -> Mapping[str, int]:
    return {"bb_add_layer": 1, "bb_add_input": len(layer.inputs)}


def _concat(layer: Concat, _input_shape: Shape) -> Mapping[str, int]:
    return {"bb_concat_layer": 1, "bb_concat_input": len(layer.inputs)}


def _max_pool(_layer: Layer, _input_shape: Shape) -> Mapping[str, int]:
    return {"bb_pool_layer": 1, "bb_pool_factor": 1}


def _average_pool(layer: AveragePool, input_shape: Shape) -> Mapping[str, int]:
    return {"bb_pool_layer": 1, "bb_pool_factor": len(layer.divisors(input_shape))}


def _pad(_layer: Layer, _input_shape: Shape) -> Mapping[str, int]:
    return {"bb_pad_layer": 1}


_STRUCTS: Final[Mapping[str, Callable[[Any, Shape], Mapping[str, int]]]] = {
    "convolution": _convolution,
    POINTWISE: _one_group,
    DEPTHWISE: _depthwise,
    "fully_connected": _one_group,
    "add": _add,
    "activation": _add,
    "concat": _concat,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "pad": _pad,
}
require_rows(_STRUCTS, KERNELS, "the table of structs of layers")
