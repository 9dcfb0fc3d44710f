"""Conversion of float32 tensors from and to JSON: nested lists of numbers, or a shape with the elements in base64."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any, Final

import numpy as np

from network.json_reading.fields import Fields, is_number
from network.layers import Float32Array

_MAX_RANK: Final = 4


def read_tensor(fields: Fields, key: str) -> Float32Array | None:
    """Read a float32 tensor of 1 to 4 dimensions from a field of a JSON object.

    Args:
        fields: The object that has the tensor as a field.
        key: The key of that field. Its value is nested lists of numbers, or an object of `shape` (1, 2 or 4 whole
            numbers) and `float32_base64` (little-endian float32, the last dimension varies fastest).

    Returns:
        The tensor, or None if the object does not have the field. A number above the range of float32 is infinite here;
        the layer that receives the tensor refuses it.

    Raises:
        InvalidNetwork: if the value is none of these, has another number of elements, or numbers that are not finite.
    """
    if key not in fields:
        return None
    value = fields.raw(key)
    if isinstance(value, dict):
        return _decoded(fields.child(key, ("shape", "float32_base64")))
    shape: list[int] = []
    flat = [value]
    while all(isinstance(row, list) for row in flat) and len(shape) < _MAX_RANK:
        lengths = {len(row) for row in flat}
        if len(lengths) != 1 or lengths == {0}:
            raise fields.refused(
                key, "nested lists of numbers, in which all lists of one level have the same length, 1 or more"
            )
        shape += lengths
        flat = [element for row in flat for element in row]
    if not shape or not all(map(is_number, flat)):
        raise fields.refused(key, f"finite numbers in lists, nested at most {_MAX_RANK} deep")
    with np.errstate(over="ignore"):
        return np.array(flat, dtype=np.float64).astype(np.float32).reshape(shape)


def write_tensor(array: Float32Array) -> dict[str, Any]:
    """Return a float32 tensor as a JSON object of shape and base64 text; `read_tensor` reads it back bit by bit."""
    content = np.ascontiguousarray(array, dtype="<f4").tobytes()
    return {"shape": list(array.shape), "float32_base64": base64.b64encode(content).decode()}


def _decoded(tensor: Fields) -> Float32Array:
    shape = tensor.integers("shape", (1, 2, 4))
    encoded = tensor.raw("float32_base64")
    needed = 4 * math.prod(shape)
    expected = f"base64 of {needed} bytes: {'x'.join(map(str, shape))} little-endian float32"
    # Base64 has four characters for three bytes, so the length is checked before anything is decoded.
    if not isinstance(encoded, str) or len(encoded) != -(-needed // 3) * 4:
        raise tensor.refused("float32_base64", expected)
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise tensor.refused("float32_base64", expected) from error
    if len(content) != needed:
        raise tensor.refused("float32_base64", expected)
    array: Float32Array = np.frombuffer(content, dtype="<f4").astype(np.float32, copy=False).reshape(shape)
    return array
