"""Test the rejection of unsupported and invalid graphs: each message names the node and says what is wrong with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from network.errors import InvalidNetwork, UnsupportedOperator
from network.onnx_reading.advice import ADVICE
from network.onnx_reading.operators import OPERATORS
from tests.network.onnx_reading.onnx_models import model, node, positive, random, read

WEIGHTS: dict[str, Any] = {
    "w": random(4, 3, 3, 3),
    "m": random(192, 5),
    "four": random(4, 5),
    "k": positive(3, 1, 1),
    "low": np.float32(0.5),
    "high": np.float32(6),
    "k1": random(3),
    "p": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "pb": np.array([1, 0, 0, 0, 0, 0, 0, 0]),
    "neg": np.array([0, 0, -1, 0, 0, 0, 0, 0]),
    "one": np.float32(1),
    "s": np.array([-1, 3, 64]),
    "whole": np.array([-1]),
    "batch": np.array([1, -1]),
    "wrong": np.array([0, 7]),
    "axes": np.array([0]),
    "rows": positive(3, 8, 1),
    "eights": np.array([-1, 8]),
    "zero": np.float32(0),
}

UNSUPPORTED: dict[str, tuple[list[onnx.NodeProto], str]] = {
    # nodes, and text that the message contains in addition to the node and the operator
    "operator": ([node("Hardmax", "x", "y")], "not supported; docs/operators.md lists"),
    "leaky relu": ([node("LeakyRelu", "x", "y", alpha=0.1)], "ReLU6"),
    "hard swish": ([node("HardSwish", "x", "y")], "ReLU6"),
    "hard swish, taken apart": (
        [node("Add", "x one", "a"), node("Clip", "a zero high", "c"), node("Mul", "x c", "y")],
        "swish",
    ),
    "sigmoid at the end": ([node("Sigmoid", "x", "y")], "at the end of the network, remove it"),
    "layer norm": ([node("LayerNormalization", "x k", "y")], "use batch norm"),
    "quantized to one bit": (
        [node("BipolarQuant", "x one", "y", domain="qonnx.custom_op.general")],
        "export the float network",
    ),
    "transposed convolution": ([node("ConvTranspose", "x w", "y")], "enlarge an image"),
    "chosen class": ([node("ArgMax", "x", "y", axis=1)], "remove it from the end of the network"),
    "TensorFlow's own": ([node("StatefulPartitionedCall", "x", "y", config=b"\xb2\xff")], "TFLite"),
    "attribute": ([node("MaxPool", "x", "y", kernel_shape=[2, 2], new_option=1)], "new_option"),
    "dilated pool": ([node("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[2, 2])], "dilations"),
    "dilated average": ([node("AveragePool", "x", "y", kernel_shape=[2, 2], dilations=[1, 2])], "not supported"),
    "storage order": ([node("MaxPool", "x", "y", kernel_shape=[2, 2], storage_order=1)], "storage_order"),
    "ceiling that counts padding": (
        [
            node(
                "AveragePool", "x", "y",
                kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=1,
            )
        ],
        "ceil_mode",
    ),
    "3-D pool": ([node("MaxPool", "x", "y", kernel_shape=[2, 2, 2])], "kernel_shape"),
    "training batch norm": ([node("BatchNormalization", "x k1 k1 k1 k1", "y", training_mode=1)], "training_mode"),
    "clamp that leaves zero out": ([node("Clip", "x low high", "y")], "0.5"),
    "clamp to nothing": ([node("Clip", "x zero zero", "y")], "[0.0, 0.0]"),
    "product of tensors": ([node("Relu", "x", "r"), node("Mul", "r x", "y")], "constant"),
    "difference of tensors": ([node("Relu", "x", "r"), node("Sub", "r x", "y")], "constant"),
    "constant divided by a tensor": ([node("Div", "k x", "y")], "expected the constant second"),
    "constant per row": ([node("Mul", "x rows", "y")], "channel"),
    "largest of tensors": ([node("Relu", "x", "r"), node("Max", "r x", "y")], "number"),
    "sum that broadcasts": ([node("GlobalAveragePool", "x", "g"), node("Add", "x g", "y")], "shape"),
    "sum in two orders": ([node("Transpose", "x", "t", perm=[0, 1, 3, 2]), node("Add", "x t", "y")], "order"),
    "tensors and constants": ([node("Relu", "x", "r"), node("Sum", "x r one", "y")], "constants"),
    "concat of rows and columns": (
        [node("Transpose", "x", "t", perm=[0, 1, 3, 2]), node("Concat", "x t", "y", axis=2)],
        "expected an axis of the tensor",
    ),
    "concat of rows of different lengths": (
        [node("MaxPool", "x", "less", kernel_shape=[2, 2]), node("Concat", "x less", "y", axis=2)],
        "expected an axis of the tensor",
    ),
    "concat of the batch": ([node("Concat", "x x", "y", axis=0)], "batch"),
    "concat with a constant": ([node("Concat", "x k", "y", axis=1)], "constants"),
    "flattened in two orders, then concatenated": (
        [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("Flatten", "x", "f"), node("Flatten", "t", "g"),
         node("Concat", "f g", "y", axis=1)],
        "expected an axis of the tensor",
    ),
    "reflected padding": ([node("Pad", "x p", "y", mode="reflect")], "mode"),
    "padding with ones": ([node("Pad", "x p one", "y")], "zero"),
    "padding of the batch": ([node("Pad", "x pb", "y")], "batch"),
    "transposed input of a product": ([node("Flatten", "x", "f"), node("Gemm", "f m", "y", transA=1)], "transA"),
    "product at every position": ([node("MatMul", "x m", "y")], "position"),
    "weights from a tensor": ([node("Conv", "x x", "y")], "constant"),
    "product of activations": ([node("Flatten", "x", "f"), node("MatMul", "f f", "y")], "constant"),
    "reshape without a batch": ([node("Reshape", "x whole", "y")], "batch"),
    "reshape to one sample": ([node("Reshape", "x batch", "y")], "batch"),
    "product at every position, positions in the batch": ([node("Reshape", "x eights", "y")], "1x1 convolution"),
    "reshape to another image": ([node("Relu", "x", "r"), node("Reshape", "r s", "q"), node("Conv", "q w", "y")],
                                 "Conv"),
    "transposed image": ([node("Conv", "x w", "c"), node("Transpose", "c", "t", perm=[0, 1, 3, 2]),
                          node("GlobalAveragePool", "t", "g"), node("Flatten", "g", "f"),
                          node("Gemm", "f four", "y")], "transposed"),
    "moved batch": ([node("Transpose", "x", "y")], "batch"),
    "mean over everything": ([node("ReduceMean", "x", "y")], "axes"),
    "mean over channels": ([node("ReduceMean", "x", "y", axes=[1])], "rows and columns"),
    "mean over the batch": ([node("ReduceMean", "x", "y", axes=[0])], "batch"),
    "flattened batch": ([node("Flatten", "x", "y", axis=0)], "axis=0"),
    "squeezed batch": ([node("Squeeze", "x axes", "y")], "batch"),
    "cast to integers": ([node("Cast", "x", "y", to=TensorProto.INT32)], "INT32"),
    "softmax in the middle": ([node("Softmax", "x", "z", axis=1), node("Relu", "z", "y")], "end"),
    "softmax over rows": ([node("Softmax", "x", "y", axis=2)], "channels"),
    "second output": ([node("Dropout", "x", "d mask"), node("Cast", "mask", "y", to=1)], "mask"),
    "square root of a tensor": ([node("Sqrt", "x", "y")], "constants"),
    "part of a tensor": ([node("Gather", "x whole", "y", axis=1)], "constants"),
    "the batch's extent computed with": (
        [node("Shape", "x", "n"), node("Mul", "n n", "nn"), node("Reshape", "x nn", "y")],
        "batch",
    ),
}  # fmt: skip


def test_advice_is_for_unsupported_operators_only() -> None:
    assert not ADVICE.keys() & OPERATORS.keys()


@pytest.mark.parametrize("form", UNSUPPORTED)
def test_unsupported(form: str) -> None:
    nodes, said = UNSUPPORTED[form]
    with pytest.raises(UnsupportedOperator) as caught:
        read(model(nodes, constants=WEIGHTS))
    message = str(caught.value)
    assert said in message
    assert any(f"'{each.name}' ({each.op_type})" in message for each in nodes), message
    assert "\n" not in message


def test_training_batch_norm_before_it_had_an_attribute() -> None:
    norm = node("BatchNormalization", "x k1 k1 k1 k1", "y mean variance saved_mean saved_variance")
    with pytest.raises(UnsupportedOperator, match=r"'Y' \(BatchNormalization\).*model\.eval\(\)"):
        read(model([norm], constants=WEIGHTS, opset=11))


def test_computing_without_a_batch() -> None:
    with pytest.raises(UnsupportedOperator, match=r"'Y' \(Conv\).*squeezed away"):
        read(model([node("Squeeze", "x", "q"), node("Conv", "q w", "y")], (1, 3, 8, 8), WEIGHTS))


INVALID: dict[str, tuple[list[onnx.NodeProto], str]] = {
    "channels": ([node("Concat", "x x", "d", axis=1), node("Conv", "d w", "y")], "'Y'"),
    "groups": ([node("Conv", "x w", "y", group=2)], "groups"),
    "no groups": ([node("Conv", "x w", "y", group=0)], "groups"),
    "kernel_shape": ([node("Conv", "x w", "y", kernel_shape=[5, 5])], "kernel_shape"),
    "negative pads": ([node("Conv", "x w", "y", pads=[-1, 0, 0, 0])], "'Y'"),
    "too few pads": ([node("Conv", "x w", "y", pads=[1, 1])], "pads"),
    "stride of zero": ([node("Conv", "x w", "y", strides=[0, 1])], "strides"),
    "absurd stride": ([node("Conv", "x w", "y", strides=[2**62, 1])], "strides"),
    "auto_pad": ([node("Conv", "x w", "y", auto_pad="SOMEHOW")], "SOMEHOW"),
    "auto_pad of another type": ([node("Conv", "x w", "y", auto_pad=3)], "auto_pad"),
    "kernel above the image": ([node("MaxPool", "x", "y", kernel_shape=[9, 9])], "9x9"),
    "windows of padding": ([node("MaxPool", "x", "y", kernel_shape=[2, 2], pads=[2, 0, 0, 0])], "padding"),
    "norm of other channels": (
        [node("Conv", "x w", "c"), node("BatchNormalization", "c k1 k1 k1 k1", "y")],
        "channels",
    ),
    "features": (
        [node("GlobalAveragePool", "x", "g"), node("Flatten", "g", "f"), node("Gemm", "f m", "y")],
        "features",
    ),
    "elements": ([node("Reshape", "x wrong", "y")], "192"),
    "axis": ([node("Softmax", "x", "y", axis=7)], "axis"),
    "cropping": ([node("Pad", "x neg", "y")], "crop"),
    "division by zero": ([node("Div", "x zero", "y")], "zero"),
    "missing input": ([node("Conv", "x", "y")], "inputs"),
    "missing weights": ([node("Conv", "x -", "y")], "does not have the input"),
    "dangling": ([node("Relu", "nowhere", "y")], "nowhere"),
    "written twice": ([node("Relu", "x", "y"), node("Relu", "x", "y")], "already"),
    "writes the input": ([node("Relu", "x", "x"), node("Relu", "x", "y")], "already"),
    "cycle": ([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")], "cycle"),
    "reads itself": ([node("Add", "x y", "y")], "cycle"),
    "constant output": ([node("Identity", "k", "y")], "input"),
    "missing output": ([node("Relu", "x", "z")], "'y'"),
    "no layer": ([node("Identity", "x", "y")], "no layer"),
}


@pytest.mark.parametrize("form", INVALID)
def test_invalid(form: str) -> None:
    nodes, said = INVALID[form]
    with pytest.raises(InvalidNetwork) as caught:
        read(model(nodes, constants=WEIGHTS))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["w", "b", "gamma", "mean", "k"])
def test_values_that_are_not_finite(where: str, value: float) -> None:
    nodes = [
        node("Conv", "x w b", "c"),
        node("BatchNormalization", "c gamma gamma mean variance", "n"),
        node("Mul", "n k", "y"),
    ]
    constants: dict[str, Any] = {
        "w": random(4, 3, 3, 3), "b": random(4), "gamma": random(4), "mean": random(4), "variance": positive(4),
        "k": positive(4, 1, 1),
    }  # fmt: skip
    constants[where].reshape(-1)[1] = value
    with pytest.raises(InvalidNetwork, match=r"'(C|N|Y)'.*(NaN|infinite)"):
        read(model(nodes, constants=constants))


@pytest.mark.parametrize(("variance", "epsilon"), [(-1.0, 0.1), (0.0, 0.0), (1.0, -2.0), (1.0, float("nan"))])
def test_batch_norm_without_a_deviation(variance: float, epsilon: float) -> None:
    built = model(
        [node("Conv", "x w", "c"), node("BatchNormalization", "c g g g v", "y", epsilon=epsilon)],
        constants={"w": random(4, 3, 3, 3), "g": random(4), "v": np.full(4, variance, np.float32)},
    )
    with pytest.raises(InvalidNetwork, match="'Y'"):
        read(built)


def test_weights_too_large_for_float32() -> None:
    with pytest.raises(InvalidNetwork, match=r"'Y'.*infinite"):
        read(model([node("Conv", "x w", "y")], constants={"w": np.full((4, 3, 3, 3), 1e300)}))


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT8])
def test_integer_weights(kind: int) -> None:
    built = model([node("Conv", "x w", "y")])
    built.graph.initializer.append(helper.make_tensor("w", kind, [4, 3, 1, 1], [1] * 12))
    with pytest.raises(UnsupportedOperator, match="floats"):
        read(built)


@pytest.mark.parametrize("domain", ["com.microsoft", "ai.onnx.ml"])
def test_foreign_domain(domain: str) -> None:
    built = model([helper.make_node("FusedConv", ["x", "w"], ["y"], name="fused", domain=domain)], constants=WEIGHTS)
    with pytest.raises(UnsupportedOperator, match=rf"'fused' \(FusedConv\).*{domain}"):
        read(built)


@pytest.mark.parametrize("opset", [1, 5, 1000])
def test_opset(opset: int) -> None:
    with pytest.raises(UnsupportedOperator, match=f"opset {opset}"):
        read(model([node("Relu", "x", "y")], opset=opset))


def test_subgraph() -> None:
    body = helper.make_graph([node("Relu", "x", "z")], "body", [], [])
    branch = helper.make_node("If", ["k"], ["y"], name="choice", then_branch=body, else_branch=body)
    with pytest.raises(UnsupportedOperator, match=r"'choice' \(If\).*subgraph"):
        read(model([branch], constants=WEIGHTS))


@pytest.mark.parametrize("dims", [("N", 3, "height", 8), ("N", None, 8, 8)])
def test_open_dimensions(dims: tuple[Any, ...]) -> None:
    with pytest.raises(UnsupportedOperator, match="option input_shape, for example --input-shape 1,"):
        read(model([node("Relu", "x", "y")], dims))


@pytest.mark.parametrize("dims", [("N",), (3, 4, 5, 6, 7)])
def test_number_of_dimensions(dims: tuple[Any, ...]) -> None:
    with pytest.raises(UnsupportedOperator, match="dimensions"):
        read(model([node("Relu", "x", "y")], dims))


def test_a_constant_that_the_exporter_wrote_as_an_input() -> None:
    built = model([node("Sub", "x mean", "y")])
    built.graph.input.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["N", 3, 8, 8]))
    with pytest.raises(UnsupportedOperator, match=r"combines two activation tensors.*the input 'mean'.*--saved-model"):
        read(built)


def test_initializers_among_the_inputs_do_not_count_as_inputs() -> None:
    built = model([node("Conv", "x w", "y")], constants=WEIGHTS)
    built.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3, 3, 3]))
    assert read(built).input_names == ("x",)


def test_sparse_initializers() -> None:
    built = model([node("Conv", "x w", "y")])
    built.graph.sparse_initializer.add()
    with pytest.raises(UnsupportedOperator, match="sparse"):
        read(built)
