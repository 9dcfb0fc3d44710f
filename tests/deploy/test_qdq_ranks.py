"""The ONNX form of a network has inputs and outputs of the source file's rank, and onnxruntime computes the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from deploy.integer_network import IntegerNetwork
from deploy.interpreter import real_values
from deploy.qdq import onnx_bytes
from deploy.qdq_ranks import output_extents, to_onnx_input
from network.host_graph import HostGraph, HostRead
from network.layers import Padding, Shape
from network.network_input import InputFormat, NetworkInput
from tests.builders import with_input_format
from tests.deploy.onnx_runs import Runtime, session
from tests.deploy.random_networks import Builder
from tests.network.onnx_reading.onnx_models import model, node, random, read

PLAIN = Runtime(narrow_types=False, optimized=False, fuses_integers=False)


def network_of(shape: Shape, dims: tuple[int, ...], *, channels_last: bool = False) -> tuple[Builder, IntegerNetwork]:
    builder = Builder(np.random.default_rng(3), shape)
    hidden = builder.convolution("input", 5, (1, 1), padding=Padding())
    builder.fully_connected(hidden, 6)
    return builder, with_input_format(builder.network(), InputFormat(dims, channels_last))


@pytest.mark.parametrize(
    ("shape", "dims", "channels_last", "operators"),
    [
        (Shape(7), (7,), False, ["Reshape"]),
        (Shape(1, 4, 6), (4, 6), False, ["Reshape"]),
        (Shape(1, 4, 6), (4, 6), True, ["Reshape"]),
        (Shape(3, 1, 8), (3, 8), False, ["Reshape"]),
        (Shape(3, 1, 8), (8, 3), True, ["Reshape", "Transpose"]),
        (Shape(3, 2, 4), (24,), True, ["Reshape", "Transpose"]),
        (Shape(3, 2, 4), (3, 2, 4), False, []),
        (Shape(3, 2, 4), (2, 4, 3), True, []),
    ],
)
def test_the_input_keeps_its_rank(
    shape: Shape, dims: tuple[int, ...], channels_last: bool, operators: list[str]
) -> None:
    builder, network = network_of(shape, dims, channels_last=channels_last)
    built = onnx.load_from_string(onnx_bytes(network))
    onnx.checker.check_model(built, full_check=True)
    assert [each.op_type for each in built.graph.node][: len(operators)] == operators
    (given,) = built.graph.input
    extents = [each.dim_value for each in given.type.tensor_type.shape.dim][1:]
    assert extents == list(dims if len(dims) < 3 else shape)
    plain = onnx.load_from_string(onnx_bytes(with_input_format(network, InputFormat(tuple(shape)))))
    real = real_values(network, "input", builder.codes(5)).astype(np.float32)
    (expected,) = session(plain, PLAIN).run(None, {"input": real})
    samples = to_onnx_input(network.only_input, real)
    (found,) = session(built, PLAIN).run(None, {"input": samples})
    np.testing.assert_array_equal(found, expected)
    if len(dims) < 3:
        restored = network.only_input.format.to_input_tensor(samples, shape)
        np.testing.assert_array_equal(restored, real)


def test_each_of_several_inputs_keeps_its_rank() -> None:
    _, network = network_of(Shape(3, 2, 4), (3, 2, 4))
    given = NetworkInput("vector", network.tensors[network.outputs[0]].shape, InputFormat((6,)))
    tensor = replace(network.tensors[network.outputs[0]], name="vector")
    image = replace(network.only_input, format=InputFormat((2, 4, 3), channels_last=True))
    several = replace(network, inputs=(image, given), tensors={"input": network.tensors["input"], "vector": tensor,
        **{name: each for name, each in network.tensors.items() if name != "input"}})  # fmt: skip
    built = onnx.load_from_string(onnx_bytes(several))
    onnx.checker.check_model(built, full_check=True)
    extents = [[each.dim_value for each in value.type.tensor_type.shape.dim][1:] for value in built.graph.input]
    assert extents == [[3, 2, 4], [6]]


def test_outputs_have_the_extents_of_the_file() -> None:
    builder, network = network_of(Shape(2, 3, 4), (2, 3, 4))
    hidden, scores = (layer.output for layer in network.layers)
    network = replace(network, outputs=(scores, hidden))
    extents = {scores: (6,), hidden: (5, 12)}
    built = onnx.load_from_string(onnx_bytes(network, output_extents=extents))
    onnx.checker.check_model(built, full_check=True)
    assert [each.name for each in built.graph.output] == [scores, hidden]
    real = real_values(network, "input", builder.codes(5)).astype(np.float32)
    plain = session(onnx.load_from_string(onnx_bytes(network)), PLAIN).run(None, {"input": real})
    found = session(built, PLAIN).run(None, {"input": real})
    for name, wanted, values in zip((scores, hidden), plain, found, strict=True):
        assert values.shape == (5, *extents[name])
        np.testing.assert_array_equal(values, wanted.reshape(values.shape))


def test_which_outputs_have_extents_of_their_own() -> None:
    reads = (
        HostRead("scores", "g", (1, 6)),
        HostRead("image", "c", (1, 2, 3, 4)),
        HostRead("pixels", "c", (1, 24), channels_last=True),
        HostRead("vector", "v", (5,)),
        HostRead("twice", "w", (1, 4)),
        HostRead("again", "w", (1, 2, 2)),
        HostRead("inner", "h", (1, 9)),
        HostRead("x", "x", (1, 3), is_sample=True),
    )
    shapes = {
        "g": Shape(6), "c": Shape(2, 3, 4), "v": Shape(5), "w": Shape(4), "h": Shape(9), "x": Shape(3),
    }  # fmt: skip
    outputs = ("scores", "image", "pixels", "vector", "twice", "again", "x")
    assert output_extents(HostGraph(reads, outputs), shapes) == {"g": (6,), "v": (5,)}
    assert output_extents(None, shapes) == {}


def test_ranks_of_a_read_file() -> None:
    constants = {"w": random(4, 1, 3, 3), "m": random(4, 5), "axis": np.array([1])}
    nodes = [node("Unsqueeze", "x axis", "i"), node("Conv", "i w", "c"), node("GlobalAveragePool", "c", "p"),
             node("Flatten", "p", "f"), node("Gemm", "f m", "y"), node("Sigmoid", "c", "z")]  # fmt: skip
    network = read(model(nodes, ("N", 8, 6), constants, outputs="y z"))
    assert network.only_input.format.dims == (8, 6)
    assert output_extents(network.host_graph, network.shapes) == {"y": (5,)}
