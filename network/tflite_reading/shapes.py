"""Operators on constants: shapes of tensors that a file computes from other shapes, usually for a RESHAPE."""

from __future__ import annotations

import numpy as np

from network.tflite_reading.call import Call
from network.tflite_reading.views import View
from network.windows import IntArray


def shape_of(call: Call) -> IntArray:
    """Translate SHAPE: the extents of the input, with the batch of 1."""
    value = call.value(0)
    dims = value.dims if isinstance(value, View) else value.shape
    return np.array(dims, dtype=np.int64)


def strided_slice(call: Call) -> IntArray:
    """Translate STRIDED_SLICE of a constant list of whole numbers."""
    values = _list(call, 0, "reads a part of an activation tensor; expected a constant: use two layers instead")
    begin, end, stride = (call.integers(index, "bounds").reshape(-1) for index in (1, 2, 3))
    if not begin.size == end.size == stride.size == 1 or stride[0] == 0:
        raise call.invalid("has other bounds than one begin, one end and one stride for a list of numbers")
    if call.option("EllipsisMask", 0) or call.option("NewAxisMask", 0):
        raise call.unsupported("adds a dimension to a list of numbers; expected a part of the list")
    first = None if call.option("BeginMask", 0) & 1 else int(begin[0])
    if call.option("ShrinkAxisMask", 0) & 1:
        index = 0 if first is None else first
        if not -values.size <= index < values.size:
            raise call.invalid(f"reads number {index} of a list of {values.size}; expected one of its numbers")
        return np.array(values[index], dtype=np.int64)
    last = None if call.option("EndMask", 0) & 1 else int(end[0])
    return values[first : last : int(stride[0])]


def pack(call: Call) -> IntArray:
    """Translate PACK of constant numbers into a list."""
    cause = "joins activation tensors along a new dimension; expected constants: use a concatenation of the channels"
    values = [_list(call, index, cause) for index in range(len(call.node.inputs))]
    if any(value.size != 1 for value in values):
        raise call.unsupported("packs lists of numbers; expected single numbers")
    return np.concatenate(values)


def _list(call: Call, index: int, cause: str) -> IntArray:
    value = call.value(index)
    if isinstance(value, View):
        raise call.unsupported(cause)
    return call.integers(index, "an input").reshape(-1)
