"""Test ONNX files with several inputs: two sensors, an image and a vector, states that a program feeds back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import pytest
from onnx import TensorProto, helper

from network.errors import UnsupportedOperator
from network.joined_samples import joined_dims, samples_of_inputs
from network.layers import Concat, Flattening, Shape
from network.network import Network
from tests.network.float_reference import evaluate
from tests.network.onnx_reading.onnx_models import model, node, random, read

Dims = Sequence[int | str]


def several(
    nodes: Sequence[onnx.NodeProto], inputs: dict[str, Dims], constants: dict[str, Any], outputs: str = "y"
) -> onnx.ModelProto:
    """Return a model with the given graph inputs, in this order."""
    built = model(nodes, constants=constants, outputs=outputs)
    del built.graph.input[:]
    built.graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims)) for name, dims in inputs.items()
    )
    return built


def agreeing(built: onnx.ModelProto) -> Network:
    """Return the network that is read from a model, after checking its outputs for one sample against onnxruntime."""
    network = read(built)
    sample = np.random.default_rng(3).normal(size=(1, *joined_dims(network.inputs))).astype(np.float32)
    parts = samples_of_inputs(sample, network.inputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(built.SerializeToString(), options)
    given = {
        value.name: parts[value.name].reshape([dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim])
        for value in built.graph.input
    }
    tensors = evaluate(network, sample)
    for tensor, expected in zip(network.outputs, session.run(list(network.outputs), given), strict=True):
        np.testing.assert_allclose(tensors[tensor].ravel(), np.asarray(expected).ravel(), rtol=1e-4, atol=1e-4)
    return network


@pytest.mark.parametrize("batch", ["N", 1])
def test_an_image_and_a_vector(batch: int | str) -> None:
    nodes = [
        node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Flatten", "r", "f"),
        node("Concat", "f z", "k", axis=1), node("Gemm", "k d", "h"), node("Relu", "h", "g"), node("Gemm", "g e", "y"),
    ]  # fmt: skip
    constants = {"w": random(4, 3, 3, 3), "d": random(4 * 36 + 5, 6), "e": random(6, 2)}
    network = agreeing(several(nodes, {"x": (batch, 3, 8, 8), "z": (batch, 5)}, constants))
    assert [(each.name, each.shape, each.format.dims) for each in network.inputs] == [
        ("x", Shape(3, 8, 8), (3, 8, 8)),
        ("z", Shape(5), (5,)),
    ]
    assert [layer.flattening for layer in network.layers if isinstance(layer, Concat)] == [Flattening.CHANNELS_FIRST]
    assert not network.is_chain


def test_an_image_flattened_pixel_by_pixel_and_a_vector() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w", "c"),
        node("Transpose", "c", "u", perm=[0, 2, 3, 1]), node("Flatten", "u", "f"),
        node("Concat", "z f", "k", axis=-1), node("Gemm", "k d", "y"),
    ]  # fmt: skip
    constants = {"w": random(4, 3, 3, 3), "d": random(4 * 36 + 5, 2)}
    network = agreeing(several(nodes, {"z": ("N", 5), "x": ("N", 8, 8, 3)}, constants))
    assert network.input_names == ("z", "x")
    assert network.inputs[1].format.channels_last
    assert [layer.flattening for layer in network.layers if isinstance(layer, Concat)] == [Flattening.CHANNELS_LAST]


def test_a_state_that_is_fed_back() -> None:
    nodes = [
        node("Concat", "x s", "c", axis=1),
        node("Gemm", "c d", "h"),
        node("Relu", "h", "s2"),
        node("Gemm", "s2 e", "y"),
    ]
    constants = {"d": random(12, 4), "e": random(4, 2)}
    network = agreeing(several(nodes, {"x": (1, 8), "s": (1, 4)}, constants, outputs="y s2"))
    assert network.outputs == ("y", "s2")


def test_a_state_whose_first_dimension_is_not_the_batch() -> None:
    nodes = [
        node("Reshape", "s flat", "v"), node("Concat", "x v", "c", axis=1), node("Gemm", "c d", "y"),
    ]  # fmt: skip
    constants = {"flat": np.array([1, -1]), "d": random(48, 2)}
    network = agreeing(several(nodes, {"x": (1, 8), "s": (4, 2, 5)}, constants))
    assert network.inputs[1].format.dims == (4, 2, 5)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_buffer_of_the_last_frames(*, channels_last: bool) -> None:
    """The slice that becomes the next buffer is left to the host, which reads the concatenation or computes it."""
    dims: dict[str, Dims] = {"x": (1, 4, 2), "s": (1, 4, 5)}
    nodes = [node("Concat", "s x", "k", axis=2), node("Conv", "k w", "c"), node("Relu", "c", "y")]
    if channels_last:
        dims = {"x": (1, 2, 4), "s": (1, 5, 4)}
        nodes = [
            node("Concat", "s x", "k", axis=1), node("Transpose", "k", "t", perm=[0, 2, 1]), node("Conv", "t w", "c"),
            node("Relu", "c", "y"),
        ]  # fmt: skip
    time = 1 if channels_last else 2
    constants = {"w": random(3, 4, 3), "from": np.array([2]), "to": np.array([7]), "axes": np.array([time])}
    built = several([*nodes, node("Slice", "k from to axes", "s2")], dims, constants, outputs="y s2")
    network = read(built)
    assert [each.shape for each in network.inputs] == [Shape(4, 1, 2), Shape(4, 1, 5)]
    host = "Concat, Slice of 's' and 'x'" if channels_last else "Slice of 'k'"
    assert [str(steps) for steps in network.host_steps] == [host]
    assert network.outputs == (("y",) if channels_last else ("y", "k"))
    agreeing(several(nodes, dims, constants))


def test_a_vector_without_a_batch() -> None:
    nodes = [
        node("Unsqueeze", "z axes", "v"), node("Concat", "x v", "c", axis=1), node("Gemm", "c d", "y"),
    ]  # fmt: skip
    network = agreeing(several(nodes, {"x": (1, 8), "z": (3,)}, {"axes": np.array([0]), "d": random(11, 2)}))
    assert [each.shape.channels for each in network.inputs] == [8, 3]


def channels_first(name: str, result: str) -> onnx.NodeProto:
    return node("Transpose", name, result, perm=[0, 3, 1, 2])


IMAGES: dict[str, Dims] = {"a": ("N", 6, 5, 2), "b": ("N", 6, 5, 2)}

JOINED_IMAGES = {
    "two convolutions": (
        [
            channels_first("a", "p"), channels_first("b", "q"), node("Conv", "p w", "c"), node("Conv", "q w", "d"),
            node("Add", "c d", "y"),
        ],
        2,
    ),
    "concat of channels, then a transpose": (
        [node("Concat", "a b", "k", axis=-1), channels_first("k", "t"), node("Conv", "t w", "y")],
        4,
    ),
    "concat behind transposes": (
        [channels_first("a", "p"), channels_first("b", "q"), node("Concat", "p q", "k", axis=1),
         node("Conv", "k w", "y")],
        4,
    ),
    "sum, then a transpose": (
        [node("Add", "a b", "k"), channels_first("k", "t"), node("Conv", "t w", "y")],
        2,
    ),
    "one is convolved before, the sum after": (
        [
            channels_first("a", "p"), node("Conv", "p w", "c", pads=[1, 1, 1, 1]), node("Add", "a b", "k"),
            channels_first("k", "t"), node("Add", "c t", "y"),
        ],
        2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", JOINED_IMAGES)
def test_two_images_with_their_channels_last(form: str) -> None:
    nodes, channels = JOINED_IMAGES[form]
    network = agreeing(several(nodes, IMAGES, {"w": random(2, channels, 3, 3)}))
    assert [each.shape for each in network.inputs] == [Shape(2, 6, 5)] * 2
    assert all(each.format.channels_last for each in network.inputs)


def test_each_input_has_its_own_scaling() -> None:
    nodes = [
        node("Sub", "x m", "xm"), node("Div", "z s", "zs"), node("Concat", "xm zs", "c", axis=1),
        node("Gemm", "c d", "y"),
    ]  # fmt: skip
    constants = {"m": np.float32(3), "s": np.float32(4), "d": random(6, 2)}
    network = agreeing(several(nodes, {"x": ("N", 4), "z": ("N", 2)}, constants))
    assert [layer.kind for layer in network.layers] == ["concat", "fully_connected"]
    assert [(each.format.subtract, each.format.multiply) for each in network.inputs] == [
        ((3.0,), (1.0,)),
        ((0.0,), (0.25,)),
    ]


def test_an_image_with_rows_and_columns_swapped_and_a_vector() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 1, 3, 2]), node("Conv", "t w", "c"), node("Flatten", "c", "f"),
        node("Gemm", "f d", "g"), node("Concat", "g z", "k", axis=1), node("Gemm", "k e", "y"),
    ]  # fmt: skip
    constants = {"w": random(2, 1, 3, 2), "d": random(2 * 5 * 6, 3), "e": random(5, 2)}
    network = agreeing(several(nodes, {"x": ("N", 1, 7, 7), "z": ("N", 2)}, constants))
    assert network.inputs[0].shape == Shape(1, 7, 7)


def test_inputs_that_no_output_needs_are_left_out() -> None:
    nodes = [node("Gemm", "x d", "y"), node("Relu", "unused", "other")]
    built = several(nodes, {"unused": ("N", 3), "x": ("N", 4), "z": ("N", 2, 2, 2, 2)}, {"d": random(4, 2)})
    assert read(built).input_names == ("x",)


@pytest.mark.parametrize("dims", [("N", 2), (), (1, 1, 2, 2, 2)])
def test_an_input_that_only_the_host_reads_is_left_out(dims: Dims) -> None:
    nodes = [node("Gemm", "x d", "g"), node("Relu", "g", "r"), node("Mul", "r mask", "y")]
    network = read(several(nodes, {"x": ("N", 4), "mask": dims}, {"d": random(4, 2)}))
    assert network.input_names == ("x",)
    assert network.outputs == ("r",)
    assert [str(steps) for steps in network.host_steps] == ["Mul of 'r' and 'mask'"]


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"x": (2, 4), "z": (3, 4)}, "different batches, 2 and 3"),
        ({"x": ("N", 4), "z": ("N", 1, 2, 2, 2)}, "input 'z' has 5 dimensions"),
        ({"x": ("N", 4), "z": ()}, "input 'z' has 0 dimensions"),
        ({f"x{index}": ("N", 4) for index in range(101)}, "101 inputs"),
    ],
)
def test_inputs_that_cannot_be_read(inputs: dict[str, Dims], text: str) -> None:
    nodes = [node("Concat", " ".join(inputs), "k", axis=1), node("Gemm", "k d", "y")]
    with pytest.raises(UnsupportedOperator, match=text):
        read(several(nodes, inputs, {"d": random(8, 2)}))
