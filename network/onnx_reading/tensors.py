"""Decoding of ONNX tensors to numpy arrays, with every size checked against the bytes in the file."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from network.errors import InvalidNetwork, UnreadableFile, UnsupportedOperator

ConstantArray = npt.NDArray[Any]

FLOATING: Final = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})

# Element type -> numpy type of the raw bytes, and the field that holds the elements if the tensor has no raw bytes.
_STORED: Final[dict[int, tuple[str, str]]] = {
    TensorProto.FLOAT: ("<f4", "float_data"),
    TensorProto.DOUBLE: ("<f8", "double_data"),
    TensorProto.FLOAT16: ("<f2", "int32_data"),
    TensorProto.BFLOAT16: ("<u2", "int32_data"),
    TensorProto.INT64: ("<i8", "int64_data"),
    TensorProto.INT32: ("<i4", "int32_data"),
    TensorProto.INT16: ("<i2", "int32_data"),
    TensorProto.INT8: ("i1", "int32_data"),
    TensorProto.UINT16: ("<u2", "int32_data"),
    TensorProto.UINT8: ("u1", "int32_data"),
    TensorProto.BOOL: ("?", "int32_data"),
}


def element_type_name(data_type: int) -> str:
    """Return the ONNX name of an element type, e.g. 'FLOAT' for 1."""
    names: dict[int, str] = {number: name for name, number in TensorProto.DataType.items()}
    return names.get(data_type, f"number {data_type}")


def refuse_external_data(tensor: TensorProto, owner: str) -> None:
    """Reject a tensor whose data is in another file; the path of that file is not opened.

    Args:
        tensor: The tensor to check.
        owner: The tensor's name with its kind, for the error message.

    Raises:
        UnreadableFile: If the tensor refers to another file.
    """
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise UnreadableFile(
            f"{owner} keeps its data in another file; expected all data inside the ONNX file: "
            "save it with the weights included (torch.onnx.export with external_data=False, or onnx.save)"
        )


def to_array(tensor: TensorProto, owner: str) -> ConstantArray:
    """Decode a tensor to an array of its dimensions; bfloat16 becomes float32, and all other types are kept.

    Args:
        tensor: The tensor to decode.
        owner: The tensor's name with its kind, for error messages.

    Raises:
        InvalidNetwork: If the number of elements in the data differs from that of the dimensions.
        UnsupportedOperator: If the element type is neither a floating-point nor an integer type, or if the tensor is
            stored in segments.
        UnreadableFile: If the data is in another file.
    """
    refuse_external_data(tensor, owner)
    if tensor.data_type not in _STORED:
        raise UnsupportedOperator(
            f"{owner} has elements of type {element_type_name(tensor.data_type)}; expected floats or integers"
        )
    if tensor.HasField("segment"):
        raise UnsupportedOperator(f"{owner} is stored in segments; expected it in one piece: export the network again")
    dims = tuple(tensor.dims)
    if min(dims, default=1) < 0:
        raise InvalidNetwork(f"{owner} has the dimensions {list(dims)}; expected extents of 0 or more")
    stored_type, field = _STORED[tensor.data_type]
    if tensor.HasField("raw_data"):
        raw = tensor.raw_data
        present = len(raw) / np.dtype(stored_type).itemsize
    else:
        present = len(getattr(tensor, field))
    if present != math.prod(dims):
        raise InvalidNetwork(
            f"{owner} has dimensions {list(dims)}, that is {math.prod(dims)} elements, but data for {present:g}; "
            "the file is damaged: export the network again"
        )
    if tensor.HasField("raw_data"):
        array = np.frombuffer(raw, dtype=stored_type)
    elif field == "int32_data":
        array = _from_int32_field(tensor, stored_type)
    else:
        array = np.array(getattr(tensor, field), dtype=stored_type)
    if tensor.data_type == TensorProto.BFLOAT16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.reshape(dims)


def _from_int32_field(tensor: TensorProto, stored_type: str) -> ConstantArray:
    """Return the elements of a type of at most 16 bits from 32-bit integers; float16 is stored as its bit pattern."""
    numbers = np.array(tensor.int32_data, dtype=np.int32)
    if tensor.data_type == TensorProto.FLOAT16:
        return numbers.astype(np.uint16).view(np.float16)
    return numbers.astype(stored_type)
