"""Builders of tiny ONNX models, and their outputs by onnxruntime and by bitbudget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
from onnx import TensorProto, helper, numpy_helper

from network.network import Network
from network.onnx_reading import read_onnx
from tests.network.float_reference import evaluate

Array = npt.NDArray[Any]


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node, e.g. `node("Conv", "x w", "y", group=2)`; "-" is an optional input that is left out.

    The name of the node is that of its first output in capitals.
    """
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(operator, names, outputs.split(), name=outputs.split(maxsplit=1)[0].upper(), **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    input_dims: Sequence[int | str] = ("N", 3, 8, 8),
    constants: Mapping[str, Any] | None = None,
    *,
    outputs: str = "y",
    opset: int = 17,
    input_type: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Return a model with the graph input "x" and the constants as initializers."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info("x", input_type, list(input_dims))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed + sum(shape)).normal(size=shape).astype(np.float32)


def positive(*shape: int) -> Array:
    return np.abs(random(*shape)) + np.float32(0.5)


def samples_for(built: onnx.ModelProto, count: int = 2) -> Array:
    value = built.graph.input[0].type.tensor_type
    dims = [dim.dim_value for dim in value.shape.dim][1:]
    batch = value.shape.dim[0].dim_value or count
    generator = np.random.default_rng(7)
    if value.elem_type == TensorProto.UINT8:
        return generator.integers(0, 256, size=(batch, *dims)).astype(np.uint8)
    return generator.normal(size=(batch, *dims)).astype(np.float32) * 3


def runtime_outputs(built: onnx.ModelProto, samples: Array) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(built.SerializeToString(), options)
    return [np.asarray(output) for output in session.run(None, {built.graph.input[0].name: samples})]


def read(built: onnx.ModelProto) -> Network:
    return read_onnx(built.SerializeToString(), "tiny")


def agreeing(built: onnx.ModelProto, order: Sequence[int] = (0, 1, 2, 3)) -> Network:
    """Return the network that is read from a model, after checking its outputs against those of onnxruntime.

    Args:
        built: The model.
        order: Order of the dimensions by which the network's output [n, c, h, w] is transposed to that of the model.
    """
    samples = samples_for(built)
    network = read(built)
    tensors = evaluate(network, samples)
    theirs = runtime_outputs(built, samples)
    assert len(theirs) == len(network.outputs)
    for tensor, expected in zip(network.outputs, theirs, strict=True):
        ours = tensors[tensor].transpose(order).reshape(len(samples), -1)
        if network.ends_in_softmax:
            ours = np.exp(ours) / np.exp(ours).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(ours, expected.reshape(len(samples), -1), rtol=1e-4, atol=1e-4)
    return network
