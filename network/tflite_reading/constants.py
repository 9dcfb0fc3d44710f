"""Constants of a TFLite file as arrays, and codes taken back to real numbers by their scales."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from network.errors import InvalidNetwork, UnreadableFile, UnsupportedOperator
from network.names import shown
from network.tflite_reading.graph import Quantization, Tensor

ConstantArray = npt.NDArray[np.float32] | npt.NDArray[np.int64]

_TYPES: Final[dict[str, str]] = {
    "FLOAT32": "<f4",
    "FLOAT16": "<f2",
    "INT8": "|i1",
    "UINT8": "|u1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
}
"""Element types of constants -> numpy's name of the little-endian type."""

_CODES: Final[dict[str, tuple[int, int]]] = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}
"""Element types of quantized activation tensors -> lowest and highest code."""


def element_count(tensor: Tensor) -> int:
    """Return the number of elements of a tensor.

    Raises:
        UnsupportedOperator: If the reader cannot use the tensor; names it.
    """
    if tensor.problem:
        raise UnsupportedOperator(f"tensor '{shown(tensor.name)}' {tensor.problem}")
    return math.prod(tensor.dims)


def to_array(tensor: Tensor) -> ConstantArray:
    """Return a constant as real numbers (float32), or as whole numbers (int64) if its integers have no scale.

    Args:
        tensor: A tensor with data.

    Raises:
        UnreadableFile: If the data has another size than the shape says.
        UnsupportedOperator: If the element type is not supported, or the reader cannot use the tensor.
        InvalidNetwork: If the scales do not match the shape.
    """
    count = element_count(tensor)
    kind = _TYPES.get(tensor.kind)
    if kind is None or tensor.data is None:
        raise UnsupportedOperator(
            f"constant '{shown(tensor.name)}' has the element type {tensor.kind}; expected one of {', '.join(_TYPES)}"
        )
    if tensor.data.size != count * np.dtype(kind).itemsize:
        raise UnreadableFile(
            f"the file is not a complete TFLite file: constant '{shown(tensor.name)}' has {tensor.data.size} bytes; "
            f"expected {count} elements of {tensor.kind}: copy or convert the file again"
        )
    values = tensor.data.view(kind).reshape(tensor.dims)
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    if tensor.quantization is None:
        return values.astype(np.int64)
    return _dequantized(tensor, values, tensor.quantization)


def _dequantized(tensor: Tensor, codes: npt.NDArray[np.integer], given: Quantization) -> npt.NDArray[np.float32]:
    per_index = [1] * codes.ndim
    if len(given.scales) > 1:
        # Old converters copy the axis of the weights into the quantization of a bias, which has only one.
        axis = 0 if codes.ndim == 1 else given.axis
        if not 0 <= axis < codes.ndim or codes.shape[axis] != len(given.scales):
            raise InvalidNetwork(
                f"constant '{shown(tensor.name)}' has {len(given.scales)} scales along dimension {axis} of "
                f"{list(codes.shape)}; expected one scale for each index of the dimension"
            )
        per_index[axis] = len(given.scales)
    shape = per_index if len(given.zero_points) > 1 else [1] * codes.ndim
    scales, zero_points = given.scales.reshape(per_index), given.zero_points.reshape(shape)
    with np.errstate(over="ignore"):
        if codes.dtype.itemsize <= 2:
            # float32 holds every difference of 16 bits exactly, so that only the product is rounded.
            return np.asarray((codes.astype(np.float32) - zero_points.astype(np.float32)) * scales)
        return np.asarray((codes.astype(np.float64) - zero_points) * scales).astype(np.float32)


def real_range(tensor: Tensor) -> tuple[float, float] | None:
    """Return the lowest and the highest real number that a quantized activation tensor can hold.

    Returns:
        The interval, which contains 0; None if the tensor is not quantized with one positive scale.
    """
    given, codes = tensor.quantization, _CODES.get(tensor.kind)
    if given is None or codes is None or len(given.scales) != 1:
        return None
    scale, zero_point = float(given.scales[0]), int(given.zero_points[0])
    if scale <= 0 or not codes[0] <= zero_point <= codes[1]:
        return None
    return (codes[0] - zero_point) * scale, (codes[1] - zero_point) * scale
