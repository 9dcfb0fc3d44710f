"""Small TFLite files built with flatbuffers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import flatbuffers
import numpy as np
import numpy.typing as npt
import tflite

from network.tflite_reading.options import OPTIONS

SHARED: Final = Path(__file__).parents[3].parent / "shared" / "networks"

Array = npt.NDArray[Any]

_OTHER_OPTIONS: Final = {
    "MEAN": "ReducerOptions",
    "PACK": "PackOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "SHAPE": "ShapeOptions",
    "SUM": "ReducerOptions",
}
"""Options that LiteRT requires and the reader does not evaluate."""


@dataclass(frozen=True, eq=False)
class T:
    """A tensor of a file to build: float32 unless its data or `kind` says otherwise.

    Its data is in a buffer of its own, or in that of the tensor with the index `data_of`.
    """

    dims: tuple[int, ...]
    data: Array | None = None
    kind: str = "FLOAT32"
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    name: str = ""
    data_of: int | None = None
    signature: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Op:
    """An operator of a file to build; `options` uses the names of the schema's fields."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, float | list[int]] = field(default_factory=dict)


def constant(values: npt.ArrayLike, dtype: str = "float32", **quantization: Any) -> T:
    """A constant tensor."""
    array = np.asarray(values, dtype=dtype)
    return T(array.shape, array, array.dtype.name.upper(), **quantization)


def build(
    tensors: Sequence[T], operators: Sequence[Op], inputs: Sequence[int] = (0,), outputs: Sequence[int] | None = None
) -> bytes:
    """The bytes of a file; its output is the last tensor unless others are given."""
    builder = flatbuffers.Builder(1024)
    kinds = list(dict.fromkeys(op.kind for op in operators))
    codes = [_code(builder, kind) for kind in kinds]
    buffers = [_buffer(builder, None), *(_buffer(builder, each.data) for each in tensors)]
    built_tensors = [
        _tensor(builder, each, index if each.data_of is None else each.data_of) for index, each in enumerate(tensors)
    ]
    built_operators = [_operator(builder, each, kinds.index(each.kind)) for each in operators]
    subgraph = _table(
        builder,
        "SubGraph",
        Tensors=_offsets(builder, built_tensors),
        Inputs=builder.CreateNumpyVector(np.asarray(inputs, np.int32)),
        Outputs=builder.CreateNumpyVector(np.asarray([len(tensors) - 1] if outputs is None else outputs, np.int32)),
        Operators=_offsets(builder, built_operators),
    )
    model = _table(
        builder,
        "Model",
        Version=3,
        OperatorCodes=_offsets(builder, codes),
        Subgraphs=_offsets(builder, [subgraph]),
        Buffers=_offsets(builder, buffers),
    )
    builder.Finish(model, file_identifier=b"TFL3")
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, table: str, **fields: Any) -> int:
    module = importlib.import_module(f"tflite.{table}")
    getattr(module, f"{table}Start")(builder)
    for name, value in fields.items():
        getattr(module, f"{table}Add{name}")(builder, value)
    return int(getattr(module, f"{table}End")(builder))


def _offsets(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _code(builder: flatbuffers.Builder, kind: str) -> int:
    if kind.startswith("custom:"):
        return _table(
            builder, "OperatorCode", BuiltinCode=32, DeprecatedBuiltinCode=32, CustomCode=builder.CreateString(kind[7:])
        )
    number = getattr(tflite.BuiltinOperator, kind)
    return _table(builder, "OperatorCode", BuiltinCode=number, DeprecatedBuiltinCode=min(number, 127), Version=1)


def _buffer(builder: flatbuffers.Builder, data: Array | None) -> int:
    if data is None:
        return _table(builder, "Buffer")
    raw = np.frombuffer(data.tobytes(), np.uint8)
    builder.StartVector(1, len(raw), 16)
    builder.head -= len(raw)
    builder.Bytes[builder.head : builder.head + len(raw)] = raw.tobytes()
    return _table(builder, "Buffer", Data=builder.EndVector())


def _tensor(builder: flatbuffers.Builder, tensor: T, index: int) -> int:
    fields: dict[str, Any] = {
        "Shape": builder.CreateNumpyVector(np.asarray(tensor.dims, np.int32)),
        "Type": getattr(tflite.TensorType, tensor.kind),
        "Buffer": index + 1,
        "Name": builder.CreateSharedString(tensor.name or f"t{index}"),
    }
    if tensor.signature:
        fields["ShapeSignature"] = builder.CreateNumpyVector(np.asarray(tensor.signature, np.int32))
    if tensor.scales:
        scales = builder.CreateNumpyVector(np.asarray(tensor.scales, np.float32))
        zeros = tensor.zero_points or (0,) * len(tensor.scales)
        zero_points = builder.CreateNumpyVector(np.asarray(zeros, np.int64))
        fields["Quantization"] = _table(
            builder, "QuantizationParameters", Scale=scales, ZeroPoint=zero_points, QuantizedDimension=tensor.axis
        )
    return _table(builder, "Tensor", **fields)


def _operator(builder: flatbuffers.Builder, op: Op, code: int) -> int:
    fields: dict[str, Any] = {
        "OpcodeIndex": code,
        "Inputs": builder.CreateNumpyVector(np.asarray(op.inputs, np.int32)),
        "Outputs": builder.CreateNumpyVector(np.asarray(op.outputs, np.int32)),
    }
    given = OPTIONS.get(op.kind)
    if given is not None:
        options = {
            name: builder.CreateNumpyVector(np.asarray(value, np.int32)) if isinstance(value, list) else value
            for name, value in op.options.items()
        }
        fields["BuiltinOptions"] = _table(builder, given.table.__name__, **options)
        fields["BuiltinOptionsType"] = given.number
    elif op.options:  # of an operator whose options the reader does not evaluate
        table = {
            "MEAN": "ReducerOptions",
            "REDUCE_MAX": "ReducerOptions",
            "PACK": "PackOptions",
            "SHAPE": "ShapeOptions",
        }[op.kind]
        fields["BuiltinOptions"] = _table(builder, table, **op.options)
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, table)
    return _table(builder, "Operator", **fields)
