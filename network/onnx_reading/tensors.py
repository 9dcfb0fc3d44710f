"""ONNX tensors as numpy arrays, with every size checked against the bytes that are really there."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from network.errors import InvalidNetwork, UnreadableFile, UnsupportedOperator

ConstantArray = npt.NDArray[Any]

FLOATING: Final = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})

# Element type -> type of the raw bytes, and the field that holds the elements where there are no raw bytes.
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
    """'FLOAT' for 1, and so on."""
    names: dict[int, str] = {number: name for name, number in TensorProto.DataType.items()}
    return names.get(data_type, f"number {data_type}")


def refuse_external_data(tensor: TensorProto, owner: str) -> None:
    """Weights in other files are refused before anything is looked at: no path is followed.

    Raises:
        UnreadableFile: the tensor names another file.
    """
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise UnreadableFile(
            f"{owner} keeps its data in another file; expected everything inside the ONNX file: "
            "save it with the weights included (torch.onnx.export with external_data=False, or onnx.save)"
        )


def to_array(tensor: TensorProto, owner: str) -> ConstantArray:
    """The tensor's elements; bfloat16 becomes float32, all other types stay.

    Raises:
        InvalidNetwork: the data does not have as many elements as the dimensions say.
        UnsupportedOperator: an element type that no weight, bound or shape has.
        UnreadableFile: data outside the file.
    """
    refuse_external_data(tensor, owner)
    if tensor.data_type not in _STORED:
        raise UnsupportedOperator(
            f"{owner} holds elements of type {element_type_name(tensor.data_type)}; expected floats or integers"
        )
    if tensor.HasField("segment"):
        raise UnsupportedOperator(f"{owner} is stored in segments; expected it in one piece")
    dims = tuple(tensor.dims)
    if min(dims, default=1) < 0:
        raise InvalidNetwork(f"{owner} has a negative extent in its dimensions {list(dims)}")
    stored_type, field = _STORED[tensor.data_type]
    if tensor.HasField("raw_data"):
        raw = tensor.raw_data
        present = len(raw) / np.dtype(stored_type).itemsize
    else:
        present = len(getattr(tensor, field))
    if present != math.prod(dims):
        raise InvalidNetwork(
            f"{owner} has dimensions {list(dims)}, that is {math.prod(dims)} elements, but data for {present:g}; "
            "the file is damaged"
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
    """Small types travel in 32-bit integers; float16 as its bit pattern."""
    numbers = np.array(tensor.int32_data, dtype=np.int32)
    if tensor.data_type == TensorProto.FLOAT16:
        return numbers.astype(np.uint16).view(np.float16)
    return numbers.astype(stored_type)
