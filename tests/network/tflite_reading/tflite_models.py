"""Small TFLite files built with flatbuffers, and the LiteRT interpreter as the reference for what they compute."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import flatbuffers
import numpy as np
import numpy.typing as npt
import tflite

from network.layers import ActivationFunction, Layer
from network.network import Network
from network.tflite_reading.options import OPTIONS

SHARED: Final = Path(__file__).parents[3].parent / "shared" / "networks"

Array = npt.NDArray[Any]

_OTHER_OPTIONS: Final = {
    "MEAN": "ReducerOptions",
    "PACK": "PackOptions",
    "REDUCE_MAX": "ReducerOptions",
    "SHAPE": "ShapeOptions",
}
"""Options that LiteRT requires and the reader does not evaluate."""


@dataclass(frozen=True, eq=False)
class T:
    """A tensor of a file to build: float32 unless its data or `kind` says otherwise."""

    dims: tuple[int, ...]
    data: Array | None = None
    kind: str = "FLOAT32"
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    name: str = ""


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
    built_tensors = [_tensor(builder, each, index) for index, each in enumerate(tensors)]
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


class Oracle:
    """LiteRT on one file, with the values of all its tensors as real numbers."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it recommends this only for debugging, which a test is
            self._interpreter = Interpreter(
                model_content=content, num_threads=1, experimental_preserve_all_tensors=True
            )
        self._interpreter.allocate_tensors()
        (self.input,) = self._interpreter.get_input_details()
        self.outputs = self._interpreter.get_output_details()
        self.details = self._interpreter.get_tensor_details()

    @property
    def input_dims(self) -> tuple[int, ...]:
        return tuple(self.input["shape"].tolist())

    @property
    def input_scale(self) -> tuple[float, int]:
        """Scale and zero point of the input; a scale of 0 for float inputs."""
        scale, zero_point = self.input["quantization"]
        return float(scale), int(zero_point)

    def samples(self, count: int, amplitude: float = 1.0) -> list[npt.NDArray[np.float32]]:
        """Random inputs as real numbers: normal, or uniform over the share `amplitude` of the input's range."""
        rng = np.random.default_rng(0)
        scale, zero_point = self.input_scale
        if not scale:
            return [rng.normal(size=self.input_dims).astype(np.float32) * np.float32(amplitude) for _ in range(count)]
        limits = np.iinfo(self.input["dtype"])
        low, high = (limits.min - zero_point) * amplitude, (limits.max - zero_point) * amplitude
        codes = [np.round(rng.uniform(low, high, size=self.input_dims)) for _ in range(count)]
        return [(each * scale).astype(np.float32) for each in codes]

    def run(self, sample: npt.NDArray[np.float32], network: Network | None = None) -> npt.NDArray[np.float64]:
        """The real numbers of the first output, or of the tensor that is the output of `network`, flattened."""
        scale, zero_point = self.input_scale
        given = (np.round(sample / scale) + zero_point).astype(self.input["dtype"]) if scale else sample
        self._interpreter.set_tensor(self.input["index"], given)
        self._interpreter.invoke()
        detail = self.outputs[0]
        if network is not None:
            name, size = network.outputs[0], network.shapes[network.outputs[0]].elements
            detail = next(
                each for each in self.details if each["name"].split(";")[0] == name and math.prod(each["shape"]) == size
            )
        values = self._interpreter.get_tensor(detail["index"]).astype(np.float64).ravel()
        scale, zero_point = detail["quantization"]
        return np.asarray((values - zero_point) * scale if scale else values)


def saturated(network: Network) -> Network:
    """The network whose tensors are clamped to the ranges of the quantized file, as the file's codes are."""

    def clamped(layer: Layer) -> Layer:
        if layer.output not in network.ranges:
            return layer
        low, high = network.ranges[layer.output]
        function = layer.activation
        return replace(layer, activation=ActivationFunction(max(function.low, low), min(function.high, high)))

    return replace(network, layers=tuple(map(clamped, network.layers)))


def snr_db(expected: Array, found: Array) -> float:
    """Signal-to-noise ratio in dB."""
    noise = float(((expected - found) ** 2).sum())
    return float("inf") if noise == 0 else float(10 * np.log10(float((expected**2).sum()) / noise))


def with_bias_axes_mended(content: bytes) -> bytes:
    """A file in which the quantization of each vector has the axis 0: LiteRT refuses the axis 3 of old converters."""
    mended = bytearray(content)
    subgraph = tflite.Model.GetRootAs(mended, 0).Subgraphs(0)
    for index in range(subgraph.TensorsLength()):
        tensor = subgraph.Tensors(index)
        quantization = tensor.Quantization()
        if quantization is not None and tensor.ShapeLength() == 1 and (offset := quantization._tab.Offset(16)):
            start = quantization._tab.Pos + offset
            mended[start : start + 4] = bytes(4)
    return bytes(mended)
