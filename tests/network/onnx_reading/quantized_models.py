"""Quantized forms of a small float network, made by onnxruntime's quantizer, and comparisons of outputs."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnxruntime.quantization import (  # type: ignore[import-untyped]  # it ships no types
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from network.network import Network
from tests.network.float_reference import evaluate
from tests.network.onnx_reading.onnx_models import Array, model, node, runtime_outputs

INPUT_DIMS: Final = (3, 8, 8)


def samples(count: int = 64) -> Array:
    return np.random.default_rng(3).uniform(-1, 1, size=(count, *INPUT_DIMS)).astype(np.float32)


def on_grid(*shape: int, seed: int = 0) -> Array:
    """Return weights that are whole multiples of 1/127 with a largest magnitude of 1: their int8 form is exact."""
    codes = np.random.default_rng(seed + sum(shape)).integers(-126, 127, size=shape)
    codes.reshape(shape[0], -1)[:, 0] = 127
    if len(shape) == 2:
        codes[0] = 127
    return (codes / np.float32(127)).astype(np.float32)


def float_model() -> onnx.ModelProto:
    """Return a network with a residual sum, two branches, both kinds of pool, and a softmax at its end."""
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2 b2", "c2", pads=[1, 1, 1, 1], group=4),
        node("Relu", "c2", "r2"),
        node("Add", "r2 r1", "a"),
        node("MaxPool", "a", "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", "a", "v", kernel_shape=[2, 2], strides=[2, 2]),
        node("Concat", "m v", "k", axis=1),
        node("Conv", "k w3 b3", "c3"),
        node("GlobalAveragePool", "c3", "g"),
        node("Flatten", "g", "f"),
        node("MatMul", "f w4", "p"),
        node("Add", "p b4", "z"),
        node("Softmax", "z", "y"),
    ]
    constants = {
        "w1": on_grid(4, 3, 3, 3), "b1": on_grid(4) / 4, "w2": on_grid(4, 1, 3, 3), "b2": on_grid(4) / 8,
        "w3": on_grid(6, 8, 1, 1) / 8, "b3": on_grid(6), "w4": on_grid(6, 5) / 2, "b4": on_grid(5) / 4,
    }  # fmt: skip
    built = model(nodes, ("N", *INPUT_DIMS), constants)
    # The quantizer gives fused nodes the file's names only where shapes are known.
    return onnx.shape_inference.infer_shapes(_with_output_shape(built, ("N", 5)))


def _with_output_shape(built: onnx.ModelProto, dims: tuple[int | str, ...]) -> onnx.ModelProto:
    built.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, list(dims)))
    return built


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    def __init__(self) -> None:
        self._batches: Iterator[Mapping[str, Array]] = iter([{"x": samples()}])

    def get_next(self) -> Mapping[str, Array] | None:
        return next(self._batches, None)


def statically_quantized(built: onnx.ModelProto, quant_format: str, **options: Any) -> onnx.ModelProto:
    """Return a model with codes of 8 bits, calibrated on `samples`.

    Args:
        built: The float model.
        quant_format: "QDQ" or "QOperator".
        options: Further options of onnxruntime's quantize_static.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "quantized.onnx")
        onnx.save(built, source)
        logging.disable(logging.WARNING)
        quantize_static(source, target, _Calibration(), quant_format=QuantFormat[quant_format], **options)
        logging.disable(logging.NOTSET)
        return onnx.load(target)


def dynamically_quantized(built: onnx.ModelProto, **options: Any) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "quantized.onnx")
        onnx.save(built, source)
        logging.disable(logging.WARNING)
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, **options)
        logging.disable(logging.NOTSET)
        return onnx.load(target)


def outputs_of(network: Network, inputs: Array) -> Array:
    """Return the network's first output for samples, [n, elements], with the softmax where the file has one."""
    ours = evaluate(network, inputs)[network.outputs[0]].reshape(len(inputs), -1)
    if network.ends_in_softmax:
        powers = np.exp(ours - ours.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return ours


def file_outputs(built: onnx.ModelProto, inputs: Array) -> Array:
    """Return onnxruntime's first output for samples, [n, elements]; one run a sample where the batch is fixed to 1."""
    batch = built.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    parts = np.split(inputs, len(inputs)) if batch == 1 else [inputs]
    return np.concatenate([runtime_outputs(built, part)[0].reshape(len(part), -1) for part in parts])
