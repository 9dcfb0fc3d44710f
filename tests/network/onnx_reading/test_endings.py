"""Test where networks end: what needs no kernel behind the last layers is left to the host, and is stated."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from network.errors import InvalidNetwork, UnsupportedOperator
from tests.network.float_reference import evaluate
from tests.network.onnx_reading.onnx_models import model, node, positive, random, read, runtime_outputs, samples_for

WEIGHTS: dict[str, Any] = {
    "w": random(4, 3, 3, 3), "m": random(144, 5), "v": random(5, 5), "one": np.array([1]), "half": np.float32(0.5),
    "k": positive(5), "starts": np.array([1]), "ends": np.array([3]), "axes": np.array([1]), "parts": np.array([2, 3]),
    "s": np.array([0, 2, 72]), "three": np.array([3]), "scales": np.array([1, 1, 2, 2], np.float32),
}  # fmt: skip

CLASSES = [node("Conv", "x w", "c"), node("Flatten", "c", "f"), node("Gemm", "f m", "g")]

ENDINGS: dict[str, tuple[list[onnx.NodeProto], str, tuple[str, ...], list[str]]] = {
    # nodes behind the class scores "g", outputs of the file, outputs of the network, what the host computes
    "sigmoid": ([node("Sigmoid", "g", "y")], "y", ("g",), ["Sigmoid of 'g'"]),
    "softmax": ([node("Softmax", "g", "y", axis=1)], "y", ("g",), ["Softmax of 'g'"]),
    "softmax and a scaling": (
        [node("Softmax", "g", "p", axis=1), node("Mul", "p half", "y")], "y", ("g",), ["Softmax, Mul of 'g'"],
    ),
    "the largest": ([node("ArgMax", "g", "y", axis=1)], "y", ("g",), ["ArgMax of 'g'"]),
    "the three largest": ([node("TopK", "g three", "y i", axis=1)], "y i", ("g",), ["TopK of 'g'", "TopK of 'g'"]),
    "a part": ([node("Slice", "g starts ends axes", "y")], "y", ("g",), ["Slice of 'g'"]),
    "two parts": ([node("Split", "g parts", "y z", axis=1)], "y z", ("g",), ["Split of 'g'", "Split of 'g'"]),
    "swish": (
        [node("Sigmoid", "g", "s1"), node("Mul", "g s1", "y")], "y", ("g",), ["Sigmoid, Mul of 'g'"],
    ),
    "a scaling behind a sigmoid": (
        [node("Sigmoid", "g", "s1"), node("Mul", "s1 k", "y")], "y", ("g",), ["Sigmoid, Mul of 'g'"],
    ),
    "only dimensions": ([node("Unsqueeze", "g axes", "y")], "y", ("g",), []),
    "clamped, then a sigmoid": (
        [node("Relu", "g", "r"), node("Sigmoid", "r", "y")], "y", ("r",), ["Sigmoid of 'r'"],
    ),
    "the scores as well": ([node("Sigmoid", "g", "y"), node("Identity", "g", "z")], "z y", ("g",), ["Sigmoid of 'g'"]),
    "two heads, one with a sigmoid": (
        [node("Gemm", "g v", "h"), node("Sigmoid", "g", "y")], "h y", ("h", "g"), ["Sigmoid of 'g'"],
    ),
    "an image of another layer": (
        [node("Transpose", "c", "t", perm=[0, 2, 3, 1]), node("Tanh", "t", "z"), node("Identity", "g", "y")],
        "y z", ("g", "c"), ["Transpose, Tanh of 'c'"],
    ),
    "an enlarged image": (
        [node("Resize", "c - scales", "y"), node("Identity", "g", "z")], "y z", ("c", "g"), ["Resize of 'c'"],
    ),
}  # fmt: skip


def with_value(built: onnx.ModelProto, names: tuple[str, ...]) -> onnx.ModelProto:
    """Return the model with other values as its outputs."""
    changed = onnx.ModelProto()
    changed.CopyFrom(built)
    del changed.graph.output[:]
    changed.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return changed


@pytest.mark.parametrize("form", ENDINGS)
def test_the_host_computes_the_rest(form: str) -> None:
    nodes, given, outputs, steps = ENDINGS[form]
    built = model([*CLASSES, *nodes], constants=WEIGHTS, outputs=given)
    network = read(built)
    assert network.outputs == outputs
    assert [str(each) for each in network.host_steps] == steps
    samples = samples_for(built)
    tensors = evaluate(network, samples)
    for tensor, expected in zip(outputs, runtime_outputs(with_value(built, outputs), samples), strict=True):
        np.testing.assert_allclose(tensors[tensor].reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


def test_the_host_steps_name_the_outputs_of_the_file() -> None:
    nodes = [*CLASSES, node("Sigmoid", "g", "probabilities")]
    (steps,) = read(model(nodes, constants=WEIGHTS, outputs="probabilities")).host_steps
    assert (steps.output, steps.tensors, steps.operators) == ("probabilities", ("g",), ("Sigmoid",))


def test_a_softmax_alone_is_recorded_as_before() -> None:
    assert read(model([*CLASSES, node("Softmax", "g", "y", axis=1)], constants=WEIGHTS)).ends_in_softmax
    assert not read(model([*CLASSES, node("Sigmoid", "g", "y")], constants=WEIGHTS)).ends_in_softmax


def test_a_network_that_is_compared_with_its_input() -> None:
    nodes = [node("Gemm", "x v", "g"), node("Sub", "x g", "y")]
    network = read(model(nodes, ("N", 5), WEIGHTS))
    assert network.outputs == ("g",)
    assert [str(steps) for steps in network.host_steps] == ["Sub of 'x' and 'g'"]


def test_a_decision_at_the_end() -> None:
    branches = {
        name: helper.make_graph([node("Mul", f"g {by}", name)], name, [],
                                [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])
        for name, by in (("then_branch", "half"), ("else_branch", "k"))
    }  # fmt: skip
    nodes = [*CLASSES, node("ReduceMax", "g", "largest", keepdims=0), node("Greater", "largest half", "is_large"),
             node("If", "is_large", "y", **branches)]  # fmt: skip
    network = read(model(nodes, constants=WEIGHTS))
    assert network.outputs == ("g",)
    assert [str(steps) for steps in network.host_steps] == ["ReduceMax, Greater, If of 'g'"]


@pytest.mark.parametrize("operator", ["Sigmoid", "Softplus", "ArgMax"])
def test_nothing_is_left_without_a_layer_with_weights(operator: str) -> None:
    with pytest.raises(UnsupportedOperator, match=rf"'Y' \({operator}\)"):
        read(model([node("Relu", "x", "r"), node(operator, "r", "y")]))


def test_weights_behind_an_operator_keep_it_in_the_way() -> None:
    with pytest.raises(UnsupportedOperator, match=r"'S1' \(Sigmoid\)"):
        read(model([*CLASSES, node("Sigmoid", "g", "s1"), node("Gemm", "s1 v", "y")], constants=WEIGHTS))


def test_what_no_output_needs_is_not_judged() -> None:
    nodes = [*CLASSES, node("Sigmoid", "g", "s1"), node("LSTM", "s1 w w", "unused"), node("Relu", "g", "y")]
    network = read(model(nodes, constants=WEIGHTS))
    assert network.outputs == ("y",)
    assert not network.host_steps


def test_an_input_that_no_output_needs() -> None:
    built = model([*CLASSES, node("Relu", "g", "y"), node("Relu", "is_training", "unused")], constants=WEIGHTS)
    built.graph.input.insert(0, helper.make_tensor_value_info("is_training", TensorProto.FLOAT, [1]))
    assert read(built).input_names == ("x",)


def test_an_output_that_is_a_shape() -> None:
    with pytest.raises(InvalidNetwork, match="'y' is a constant"):
        read(model([*CLASSES, node("Shape", "g", "y")], constants=WEIGHTS))


def test_too_many_outputs() -> None:
    names = [f"y{index}" for index in range(101)]
    nodes = [*CLASSES, *(node("Sigmoid", "g", name) for name in names)]
    with pytest.raises(UnsupportedOperator, match="101 outputs"):
        read(model(nodes, constants=WEIGHTS, outputs=" ".join(names)))
