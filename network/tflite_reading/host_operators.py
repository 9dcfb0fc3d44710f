"""Table of the TFLite operators that the host computes behind the network: the ONNX nodes of each.

To support another operator, add a row to `OPERATORS`: a function that writes its nodes. An operator without a row is
named in the report, and the host program leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from onnx import TensorProto

from network.layers import ActivationFunction
from network.tflite_reading.call import FUSED
from network.tflite_reading.graph import Attribute
from network.tflite_reading.host_writer import HostWriter

_TO_THE_END: Final = np.iinfo(np.int64).max


Row = Callable[[HostWriter], None]


def _same(operator: str) -> Row:
    return lambda writer: writer.write(operator, writer.inputs, writer.outputs)


def _fused(operator: str) -> Row:
    return lambda writer: writer.write_fused(operator, writer.inputs)


def _clamp(number: int) -> Row:
    return lambda writer: writer.write_clamp(writer.inputs[0], FUSED[number])


def _softmax(writer: HostWriter) -> None:
    beta = writer.attributes.get("Beta", 1.0)
    scaled = writer.fresh()
    writer.write("Mul", (writer.inputs[0], writer.add_constant(beta, np.float32)), (scaled,))
    writer.write("Softmax", (scaled,), writer.outputs, axis=-1)


def _reshape(writer: HostWriter) -> None:
    writer.write("Reshape", (writer.inputs[0], writer.add_constant(writer.output_dims[0], np.int64)), writer.outputs)


def _transpose(writer: HostWriter) -> None:
    writer.write("Transpose", writer.inputs[:1], writer.outputs, perm=writer.integers(1))


def _concatenation(writer: HostWriter) -> None:
    axis = writer.attributes.get("Axis", 0)
    writer.write_fused("Concat", writer.inputs, axis=axis)


def _reduction(operator: str) -> Row:
    def write(writer: HostWriter) -> None:
        axes = writer.add_constant(writer.integers(1), np.int64)
        keeps = len(writer.output_dims[0]) == len(writer.input_dims[0])
        if operator == "ReduceSum":
            writer.write(operator, (writer.inputs[0], axes), writer.outputs, keepdims=int(keeps))
        else:
            writer.write(operator, writer.inputs[:1], writer.outputs, axes=writer.integers(1), keepdims=int(keeps))

    return write


def _choice(operator: str) -> Row:
    def write(writer: HostWriter) -> None:
        (axis,) = writer.integers(1)
        chosen = writer.fresh()
        writer.write(operator, writer.inputs[:1], (chosen,), axis=axis, keepdims=0)
        _as_kind(writer, chosen, 0)

    return write


def _top_k(writer: HostWriter) -> None:
    count, indices = writer.add_constant(writer.integers(1), np.int64), writer.fresh()
    writer.write("TopK", (writer.inputs[0], count), (writer.outputs[0], indices), axis=-1)
    _as_kind(writer, indices, 1)


def _as_kind(writer: HostWriter, value: str, index: int) -> None:
    """Append the conversion of whole numbers to the type of an output: int32 or int64."""
    kind = TensorProto.INT32 if writer.output_kinds[index] == "INT32" else TensorProto.INT64
    writer.write("Cast", (value,), (writer.outputs[index],), to=kind)


def _slice(writer: HostWriter) -> None:
    begin, size = writer.integers(1), writer.integers(2)
    end = [_TO_THE_END if extent < 0 else at + extent for at, extent in zip(begin, size, strict=True)]
    writer.write("Slice", (writer.inputs[0], *_bounds(writer, begin, end)), writer.outputs)


def _bounds(writer: HostWriter, *bounds: list[int]) -> tuple[str, ...]:
    return tuple(writer.add_constant(each, np.int64) for each in bounds)


def _strided_slice(writer: HostWriter) -> None:
    begin, end, stride = (writer.integers(index) for index in (1, 2, 3))
    names = ("Begin", "End", "ShrinkAxis", "Ellipsis", "NewAxis")
    masks = {name: writer.attributes.get(f"{name}Mask", 0) for name in names}
    if masks["Ellipsis"] or masks["NewAxis"] or min(stride, default=1) < 1:
        raise LookupError("the slice has no form here")
    for axis in range(len(begin)):
        begin[axis] = 0 if _has_bit(masks["Begin"], axis) else begin[axis]
        end[axis] = _TO_THE_END if _has_bit(masks["End"], axis) else end[axis]
        if _has_bit(masks["ShrinkAxis"], axis):
            end[axis] = begin[axis] + 1 if begin[axis] != -1 else _TO_THE_END
    part, axes = writer.fresh(), list(range(len(begin)))
    writer.write("Slice", (writer.inputs[0], *_bounds(writer, begin, end, axes, stride)), (part,))
    writer.write("Reshape", (part, writer.add_constant(writer.output_dims[0], np.int64)), writer.outputs)


def _has_bit(mask: Attribute, axis: int) -> bool:
    return isinstance(mask, int) and bool(mask >> axis & 1)


def _split(value: int, axis_input: int) -> Row:
    """Return the row of SPLIT (axis, value) or SPLIT_V (value, sizes, axis)."""

    def write(writer: HostWriter) -> None:
        (axis,) = writer.integers(axis_input)
        sizes = writer.add_constant([dims[axis] for dims in writer.output_dims], np.int64)
        writer.write("Split", (writer.inputs[value], sizes), writer.outputs, axis=axis)

    return write


def _gather(writer: HostWriter) -> None:
    if writer.attributes.get("BatchDims", 0):
        raise LookupError("a gather by batch has no form here")
    writer.write("Gather", writer.inputs, writer.outputs, axis=writer.attributes.get("Axis", 0))


def _squared_difference(writer: HostWriter) -> None:
    difference = writer.fresh()
    writer.write("Sub", writer.inputs, (difference,))
    writer.write("Mul", (difference, difference), writer.outputs)


def _rsqrt(writer: HostWriter) -> None:
    root = writer.fresh()
    writer.write("Sqrt", writer.inputs, (root,))
    writer.write("Reciprocal", (root,), writer.outputs)


def _leaky_relu(writer: HostWriter) -> None:
    writer.write("LeakyRelu", writer.inputs, writer.outputs, alpha=writer.attributes.get("Alpha", 0.0))


OPERATORS: Final[Mapping[str, Row]] = {
    "ABS": _same("Abs"),
    "ADD": _fused("Add"),
    "ARG_MAX": _choice("ArgMax"),
    "ARG_MIN": _choice("ArgMin"),
    "CONCATENATION": _concatenation,
    "DEQUANTIZE": _same("Identity"),
    "DIV": _fused("Div"),
    "ELU": _same("Elu"),
    "EXP": _same("Exp"),
    "EXPAND_DIMS": _reshape,
    "GATHER": _gather,
    "HARD_SWISH": _same("HardSwish"),
    "LEAKY_RELU": _leaky_relu,
    "LOG": _same("Log"),
    "LOGISTIC": _same("Sigmoid"),
    "LOG_SOFTMAX": lambda writer: writer.write("LogSoftmax", writer.inputs, writer.outputs, axis=-1),
    "MAXIMUM": _same("Max"),
    "MEAN": _reduction("ReduceMean"),
    "MINIMUM": _same("Min"),
    "MUL": _fused("Mul"),
    "NEG": _same("Neg"),
    "PRELU": _same("PRelu"),
    "QUANTIZE": _same("Identity"),
    "REDUCE_MAX": _reduction("ReduceMax"),
    "REDUCE_MIN": _reduction("ReduceMin"),
    "RELU": _clamp(1),
    "RELU6": _clamp(3),
    "RELU_0_TO_1": lambda writer: writer.write_clamp(writer.inputs[0], ActivationFunction(0.0, 1.0)),
    "RELU_N1_TO_1": _clamp(2),
    "RESHAPE": _reshape,
    "RSQRT": _rsqrt,
    "SLICE": _slice,
    "SOFTMAX": _softmax,
    "SPLIT": _split(1, 0),
    "SPLIT_V": _split(0, 2),
    "SQRT": _same("Sqrt"),
    "SQUARED_DIFFERENCE": _squared_difference,
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _fused("Sub"),
    "SUM": _reduction("ReduceSum"),
    "TANH": _same("Tanh"),
    "TOPK_V2": _top_k,
    "TRANSPOSE": _transpose,
}
"""Function that writes the ONNX nodes of an operator, by the name of the operator."""
