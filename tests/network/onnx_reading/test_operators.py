"""Test every supported operator, in every supported form, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from network.layers import (
    LINEAR,
    RELU,
    RELU6,
    Activation,
    AveragePool,
    Concat,
    Convolution,
    MaxPool,
    Pad,
    Padding,
    Shape,
)
from tests.network.onnx_reading.onnx_models import agreeing, model, node, positive, random, read

CONVOLUTIONS: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    # attributes, weights, input
    "plain": ({}, (4, 3, 3, 3), (3, 8, 8)),
    "asymmetric pads": ({"pads": [0, 1, 2, 3]}, (4, 3, 3, 3), (3, 8, 8)),
    "kernel_shape given": ({"kernel_shape": [3, 2], "strides": [2, 1]}, (4, 3, 3, 2), (3, 8, 7)),
    "groups": ({"group": 2}, (6, 2, 3, 3), (4, 8, 8)),
    "depthwise": ({"group": 4, "pads": [1, 1, 1, 1]}, (4, 1, 3, 3), (4, 8, 8)),
    "depthwise, two filters a channel": ({"group": 4}, (8, 1, 3, 3), (4, 8, 8)),
    "dilation": ({"dilations": [2, 3]}, (4, 3, 3, 3), (3, 9, 10)),
    "same upper": ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (4, 3, 3, 3), (3, 8, 8)),
    "same lower": ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (4, 3, 3, 3), (3, 8, 8)),
    "same upper, stride above kernel": ({"auto_pad": "SAME_UPPER", "strides": [3, 3]}, (4, 3, 2, 2), (3, 8, 8)),
    "valid": ({"auto_pad": "VALID"}, (4, 3, 3, 3), (3, 8, 8)),
    "not set": ({"auto_pad": "NOTSET", "pads": [1, 0, 0, 1]}, (4, 3, 3, 3), (3, 8, 8)),
    "sequence": ({"pads": [1, 2], "strides": [2], "dilations": [2]}, (4, 3, 3), (3, 11)),
    "sequence, same": ({"auto_pad": "SAME_UPPER", "strides": [2]}, (4, 3, 4), (3, 11)),
}


@pytest.mark.parametrize("form", CONVOLUTIONS)
@pytest.mark.parametrize("has_bias", [False, True])
def test_convolution(form: str, has_bias: bool) -> None:
    attributes, weight, dims = CONVOLUTIONS[form]
    constants = {"w": random(*weight)} | ({"b": random(weight[0])} if has_bias else {})
    built = model([node("Conv", "x w b" if has_bias else "x w", "y", **attributes)], ("N", *dims), constants)
    network = agreeing(built)
    assert [layer.name for layer in network.layers] == ["Y"]


POOLS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "max": ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}, (3, 8, 8)),
    "max, stride of 1 by default": ("MaxPool", {"kernel_shape": [3, 2]}, (3, 8, 8)),
    "max, padded": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 2]}, (3, 8, 8)),
    "max, same upper": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, (3, 8, 8)),
    "max, same lower": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"}, (3, 8, 8)),
    "max, ceiling": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, (3, 8, 8)),
    "max, ceiling, window in the padding": (
        "MaxPool",
        {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
        (3, 6, 6),
    ),
    "max, dilations of 1": ("MaxPool", {"kernel_shape": [2, 2], "dilations": [1, 1]}, (3, 5, 5)),
    "max, sequence": ("MaxPool", {"kernel_shape": [3], "strides": [2], "pads": [1, 0]}, (3, 11)),
    "average": ("AveragePool", {"kernel_shape": [2, 3], "strides": [2, 1]}, (3, 8, 8)),
    "average, padding left out": ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, (3, 8, 8)),
    "average, padding counted": (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1], "count_include_pad": 1},
        (3, 8, 8),
    ),
    "average, same upper": (
        "AveragePool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        (3, 8, 8),
    ),
    "average, ceiling": ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, (3, 8, 8)),
    "average, ceiling without effect": (
        "AveragePool",
        {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1},
        (3, 8, 8),
    ),
    "average, ceiling, no padding to count": (
        "AveragePool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1},
        (3, 8, 8),
    ),
    "global average": ("GlobalAveragePool", {}, (3, 8, 6)),
    "global average, sequence": ("GlobalAveragePool", {}, (3, 6)),
    "global max": ("GlobalMaxPool", {}, (3, 8, 6)),
}


@pytest.mark.parametrize("form", POOLS)
def test_pool(form: str) -> None:
    operator, attributes, dims = POOLS[form]
    network = agreeing(model([node(operator, "x", "y", **attributes)], ("N", *dims)))
    assert isinstance(network.layers[0], MaxPool if "ax" in operator else AveragePool)


@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceMax"])
@pytest.mark.parametrize("keeps", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2], [3], [2]])
@pytest.mark.parametrize("opset", [11, 13, 17, 18, 22])
def test_reduction_over_the_image(operator: str, keeps: int, axes: list[int], opset: int) -> None:
    in_inputs = opset >= (18 if operator == "ReduceMean" else 20)
    if operator == "ReduceMax" and opset >= 18:
        in_inputs = True
    if in_inputs:
        built = model([node(operator, "x axes", "y", keepdims=keeps)], constants={"axes": np.array(axes)}, opset=opset)
    else:
        built = model([node(operator, "x", "y", keepdims=keeps, axes=axes)], opset=opset)
    agreeing(built)


GEMMS: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...] | None]] = {
    "plain": ({}, (12, 5), (5,)),
    "transposed": ({"transB": 1}, (5, 12), (5,)),
    "no bias": ({"transB": 1}, (5, 12), None),
    "alpha and beta": ({"alpha": 0.5, "beta": 2.0}, (12, 5), (5,)),
    "one bias for all": ({}, (12, 5), (1,)),
    "bias in a row": ({}, (12, 5), (1, 5)),
}


@pytest.mark.parametrize("form", GEMMS)
@pytest.mark.parametrize("opset", [11, 13, 22])
def test_gemm(form: str, opset: int) -> None:
    attributes, matrix, bias = GEMMS[form]
    constants = {"w": random(*matrix)} | ({} if bias is None else {"b": random(*bias)})
    built = model([node("Gemm", "x w b" if bias else "x w", "y", **attributes)], ("N", 12), constants, opset=opset)
    agreeing(built)


def test_matmul_and_add_are_one_layer() -> None:
    nodes = [node("MatMul", "x w", "m"), node("Add", "b m", "y")]
    network = agreeing(model(nodes, ("N", 12), {"w": random(12, 5), "b": random(5)}))
    assert [(layer.name, layer.output) for layer in network.layers] == [("M", "y")]


def test_matmul_of_one_row() -> None:
    nodes = [node("Reshape", "x s", "r"), node("MatMul", "r w", "y")]
    agreeing(model(nodes, ("N", 12), {"s": np.array([-1, 1, 12]), "w": random(12, 5)}))


NORM = {"gamma": random(4), "beta": random(4, seed=1), "mean": random(4, seed=2), "variance": positive(4)}


@pytest.mark.parametrize("opset", [11, 14, 15, 22])
def test_batch_norm_goes_into_the_convolution(opset: int) -> None:
    nodes = [
        node("Conv", "x w b", "c"),
        node("BatchNormalization", "c gamma beta mean variance", "n", epsilon=0.01, momentum=0.5),
        node("Relu", "n", "y"),
    ]
    network = agreeing(model(nodes, constants={"w": random(4, 3, 3, 3), "b": random(4), **NORM}, opset=opset))
    (layer,) = network.layers
    assert isinstance(layer, Convolution)
    assert layer.batch_norm is not None
    assert (layer.name, layer.output, layer.activation) == ("C", "y", RELU)


def test_batch_norm_of_features_goes_into_the_fully_connected_layer() -> None:
    nodes = [node("Gemm", "x w", "c"), node("BatchNormalization", "c gamma beta mean variance", "y")]
    assert len(agreeing(model(nodes, ("N", 6), {"w": random(6, 4), **NORM})).layers) == 1


def test_two_batch_norms_in_a_row() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("BatchNormalization", "c gamma beta mean variance", "n"),
        node("BatchNormalization", "n beta gamma mean variance", "y"),
    ]
    assert len(agreeing(model(nodes, constants={"w": random(4, 3, 3, 3), **NORM})).layers) == 1


CLAMPS: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], int]] = {
    "relu": ([node("Relu", "c", "y")], {}, 17),
    "clip": ([node("Clip", "c low high", "y")], {"low": np.float32(0), "high": np.float32(6)}, 17),
    "clip of opset 11": ([node("Clip", "c low high", "y")], {"low": np.float32(-1), "high": np.float32(2)}, 11),
    "clip, low left out": ([node("Clip", "c - high", "y")], {"high": np.float32(6)}, 13),
    "clip, high left out": ([node("Clip", "c low", "y")], {"low": np.float32(-2)}, 13),
    "clip, no bounds": ([node("Clip", "c", "y")], {}, 13),
    "clip, the largest float is no bound": (
        [node("Clip", "c low high", "y")],
        {"low": np.float32(0), "high": np.finfo(np.float32).max},
        13,
    ),
    "clip, bounds from Constant nodes": (
        [
            node("Constant", "", "low", value_float=0.0),
            node("Constant", "", "high", value=onnx.numpy_helper.from_array(np.array(6, np.float32))),
            node("Clip", "c low high", "y"),
        ],
        {},
        13,
    ),
    "relu and min": ([node("Relu", "c", "r"), node("Min", "r six", "y")], {"six": np.float32(6)}, 17),
    "max and min": (
        [node("Max", "zero c", "r"), node("Min", "six r", "y")],
        {"six": np.array([6], np.float32), "zero": np.float32(0)},
        17,
    ),
}


@pytest.mark.parametrize("form", CLAMPS)
def test_clamp(form: str) -> None:
    nodes, constants, opset = CLAMPS[form]
    weights = {"w": random(4, 3, 3, 3)}
    network = agreeing(model([node("Conv", "x w", "c"), *nodes], constants=weights | constants, opset=opset))
    assert len(network.layers) == 1


def test_clip_to_6_equals_relu6() -> None:
    nodes = [node("Conv", "x w", "c"), node("Clip", "c low high", "y")]
    constants = {"w": random(4, 3, 3, 3), "low": np.float32(0), "high": np.float32(6)}
    assert agreeing(model(nodes, constants=constants)).layers[0].activation == RELU6


CONSTANTS = {"scalar": (), "one": (1,), "channels": (4, 1, 1), "channels with batch": (1, 4, 1, 1)}


@pytest.mark.parametrize("shape", CONSTANTS)
@pytest.mark.parametrize(
    ("operator", "inputs"),
    [(operator, inputs) for operator in ("Add", "Sub", "Mul", "Sum") for inputs in ("c k", "k c")] + [("Div", "c k")],
)
def test_constant_goes_into_the_convolution(operator: str, inputs: str, shape: str) -> None:
    nodes = [node("Conv", "x w", "c"), node(operator, inputs, "y")]
    network = agreeing(model(nodes, constants={"w": random(4, 3, 3, 3), "k": positive(*CONSTANTS[shape])}))
    assert [layer.name for layer in network.layers] == ["C"]


def test_constants_around_a_batch_norm_go_into_it() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Mul", "c k", "m"),
        node("BatchNormalization", "m gamma beta mean variance", "n"),
        node("Div", "n k", "d"),
        node("Sub", "d k", "y"),
    ]
    network = agreeing(model(nodes, constants={"w": random(4, 3, 3, 3), "k": positive(4, 1, 1), **NORM}))
    assert len(network.layers) == 1


def test_add_of_tensors() -> None:
    nodes = [node("Conv", "x w", "a"), node("Conv", "x v", "b"), node("Add", "a b", "s"), node("Relu", "s", "y")]
    network = agreeing(model(nodes, constants={"w": random(4, 3, 3, 3), "v": random(4, 3, 3, 3, seed=5)}))
    assert [(layer.kind, layer.activation) for layer in network.layers][2] == ("add", RELU)


def test_sum_of_three_and_of_one() -> None:
    nodes = [
        node("Conv", "x w", "a"),
        node("Relu", "a", "r"),
        node("Sum", "a r a", "s"),
        node("Sum", "s", "y"),
    ]
    agreeing(model(nodes, constants={"w": random(4, 3, 3, 3)}))


@pytest.mark.parametrize("axis", [2, 3, -1, -2])
def test_concat_of_rows_and_columns(axis: int) -> None:
    nodes = [
        node("MaxPool", "x", "p", kernel_shape=[1, 3] if axis in {3, -1} else [3, 1]),
        node("Concat", "x p x", "c", axis=axis),
        node("Conv", "c w", "y"),
    ]
    network = agreeing(model(nodes, constants={"w": random(4, 3, 3, 3)}))
    assert network.shapes["c"] == (Shape(3, 8, 22) if axis in {3, -1} else Shape(3, 22, 8))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1)])
def test_concat_of_flattened_images(order: tuple[int, ...]) -> None:
    nodes = [
        node("MaxPool", "x", "p", kernel_shape=[3, 3]), node("Transpose", "x", "t", perm=order),
        node("Transpose", "p", "u", perm=order), node("Flatten", "t", "f"), node("Flatten", "u", "g"),
        node("Concat", "g f", "c", axis=1), node("Relu", "c", "r"), node("Gemm", "r w", "y"),
    ]  # fmt: skip
    agreeing(model(nodes, constants={"w": random(3 * 64 + 3 * 36, 2)}))


def test_concat_of_channels() -> None:
    nodes = [
        node("Conv", "x w", "a"),
        node("Relu", "a", "b"),
        node("Concat", "a b a", "c", axis=-3),
        node("GlobalAveragePool", "c", "g"),
        node("Flatten", "g", "f"),
        node("Concat", "f f", "y", axis=1),
    ]
    network = agreeing(model(nodes, constants={"w": random(4, 3, 3, 3)}))
    assert [layer.kind for layer in network.layers] == ["convolution", "activation", "concat", "average_pool", "concat"]
    assert isinstance(network.layers[2], Concat)


PADS: dict[str, tuple[list[int], Any]] = {
    "rows and columns": ([0, 0, 1, 2, 0, 0, 3, 4], Padding(1, 2, 3, 4)),
    "channels": ([0, 2, 0, 0, 0, 1, 0, 0], Padding()),
    "all": ([0, 1, 1, 1, 0, 1, 1, 1], Padding(1, 1, 1, 1)),
}


@pytest.mark.parametrize("form", PADS)
@pytest.mark.parametrize("opset", [11, 13, 18, 22])
def test_pad(form: str, opset: int) -> None:
    pads, padding = PADS[form]
    network = agreeing(model([node("Pad", "x p", "y")], constants={"p": np.array(pads)}, opset=opset))
    (layer,) = network.layers
    assert isinstance(layer, Pad)
    assert layer.padding == padding


def test_pad_with_axes_and_value() -> None:
    constants = {"p": np.array([1, 2, 3, 4]), "v": np.float32(0), "a": np.array([-1, 2])}
    network = agreeing(model([node("Pad", "x p v a", "y", mode="constant")], constants=constants, opset=18))
    assert getattr(network.layers[0], "padding", None) == Padding(2, 1, 4, 3)


@pytest.mark.parametrize("dims", [(3, 9), (5,)])
def test_pad_of_sequences_and_vectors(dims: tuple[int, ...]) -> None:
    pads = [0, *[1] * len(dims), 0, *[2] * len(dims)]
    agreeing(model([node("Pad", "x p", "y")], ("N", *dims), {"p": np.array(pads)}))


@pytest.mark.parametrize("opset", [11, 12, 13, 22])
def test_softmax_at_the_end_is_noted(opset: int) -> None:
    nodes = [node("Gemm", "x w", "g"), node("Softmax", "g", "y")]
    network = agreeing(model(nodes, ("N", 12), {"w": random(12, 5)}, opset=opset))
    assert network.ends_in_softmax
    assert network.outputs == ("g",)


def test_softmax_over_an_images_channels_and_moved_after_it() -> None:
    nodes = [node("Conv", "x w", "c"), node("Softmax", "c", "s", axis=1), node("Identity", "s", "y")]
    assert agreeing(model(nodes, constants={"w": random(4, 3, 8, 8)})).ends_in_softmax


def test_dropout_and_identity_do_nothing() -> None:
    nodes = [node("Conv", "x w", "c"), node("Dropout", "c", "d mask"), node("Identity", "d", "y")]
    network = agreeing(model(nodes, constants={"w": random(4, 3, 3, 3)}))
    assert network.outputs == ("c",)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16])
@pytest.mark.parametrize("raw", [True, False])
def test_weights_of_every_floating_type(kind: int, raw: bool) -> None:
    weight = random(4, 3, 1, 1).astype(np.float16).astype(np.float32)
    if kind == TensorProto.BFLOAT16:
        weight = (weight.view(np.uint32) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    built = model([node("Conv", "x w", "y")])
    if raw:
        raw_contents: dict[int, bytes] = {
            TensorProto.FLOAT: weight.tobytes(),
            TensorProto.FLOAT16: weight.astype(np.float16).tobytes(),
            TensorProto.DOUBLE: weight.astype(np.float64).tobytes(),
            TensorProto.BFLOAT16: (weight.view(np.uint32) >> 16).astype(np.uint16).tobytes(),
        }
        contents: Any = raw_contents[kind]
    else:
        contents = weight.reshape(-1).tolist()
    built.graph.initializer.append(onnx.helper.make_tensor("w", kind, weight.shape, contents, raw=raw))
    (layer,) = read_weights(built)
    np.testing.assert_array_equal(layer, weight)


def read_weights(built: onnx.ModelProto) -> list[np.ndarray[Any, Any]]:
    return [layer.weight for layer in read(built).weight_layers if layer.weight is not None]


def test_a_clamp_is_a_layer_if_its_input_has_other_readers() -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Add", "c r", "y")]
    network = agreeing(model(nodes, constants={"w": random(4, 3, 3, 3)}))
    assert [layer.kind for layer in network.layers] == ["convolution", "activation", "add"]
    assert isinstance(network.layers[1], Activation)
    assert network.layers[0].activation == LINEAR
