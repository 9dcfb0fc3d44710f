"""Small networks with each operator that the host computes behind a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from tests.network.onnx_reading.onnx_models import model, node, positive, random

CONSTANTS: dict[str, Any] = {
    "w": random(6, 3, 3, 3) * np.float32(0.1), "m": random(216, 6) * np.float32(0.01), "half": np.float32(0.5),
    "k": positive(6), "big": random(1, 6, 6, 6),
    "two": np.array([2]), "three": np.array(3), "minus_three": np.array(-3), "start": np.array([1]),
    "end": np.array([5]), "back": np.array([4]), "front": np.array([-100]), "minus_two": np.array([-2]),
    "axis": np.array([1]), "last": np.array([-1]), "sizes": np.array([2, 4]), "shape": np.array([0, -1, 2]),
    "wide": np.array([3, 6]), "picks": np.array([4, -1]), "no": np.array([True, False] * 3), "low": np.float32(0.3),
    "high": np.float32(0.6),
}  # fmt: skip

HEAD = [
    node("Conv", "x w", "c"), node("Flatten", "c", "f"), node("Gemm", "f m", "g"), node("Sigmoid", "g", "s"),
    node("Sigmoid", "c", "t"), node("Greater", "s half", "b"),
]  # fmt: skip
"""Class scores "g" [1, 6] and an image "c" [1, 6, 6, 6], which no layer reads behind their sigmoids "s" and "t"."""

FORMS: dict[str, list[onnx.NodeProto]] = {
    "Abs": [node("Neg", "s", "n"), node("Abs", "n", "y")],
    "Add": [node("Add", "t big", "y")],
    "And": [node("And", "b no", "y")],
    "ArgMax": [node("ArgMax", "t", "y", axis=-1)],
    "ArgMin": [node("ArgMin", "s", "y", axis=1, keepdims=0)],
    "Cast": [node("Mul", "s k", "n"), node("Cast", "n", "y", to=TensorProto.INT64)],
    "Cast to double": [node("Cast", "s", "d", to=TensorProto.DOUBLE), node("Cast", "d", "y", to=TensorProto.FLOAT)],
    "Ceil": [node("Mul", "g s", "n"), node("Ceil", "n", "y")],
    "Clip": [node("Clip", "s low high", "y")],
    "Clip from below": [node("Clip", "s low", "y")],
    "Concat": [node("Concat", "s g k2", "y", axis=-1), node("Identity", "s", "k2")],
    "Div": [node("Div", "k s", "y")],
    "Div of whole numbers": [
        node("Mul", "g k", "n"), node("Cast", "n", "i", to=TensorProto.INT64), node("Div", "i minus_three", "y"),
    ],
    "Dropout": [node("Dropout", "s", "y")],
    "Elu": [node("Sub", "s half", "n"), node("Elu", "n", "y", alpha=0.7)],
    "Equal": [node("ArgMax", "s", "i", axis=1), node("Equal", "i three", "y")],
    "Exp": [node("Exp", "s", "y")],
    "Expand": [node("Expand", "s wide", "y")],
    "Flatten": [node("Flatten", "t", "y", axis=2)],
    "Floor": [node("Mul", "g s", "n"), node("Floor", "n", "y")],
    "Gather": [node("Gather", "t picks", "y", axis=-2)],
    "Greater": [node("Greater", "s half", "y")],
    "GreaterOrEqual": [node("GreaterOrEqual", "s half", "y")],
    "HardSigmoid": [node("HardSigmoid", "s", "y", alpha=0.9, beta=-0.1)],
    "HardSwish": [node("Sub", "s half", "n"), node("HardSwish", "n", "y")],
    "Identity": [node("Identity", "s", "y")],
    "LeakyRelu": [node("Sub", "s half", "n"), node("LeakyRelu", "n", "y", alpha=0.2)],
    "Less": [node("Less", "s half", "y")],
    "LessOrEqual": [node("LessOrEqual", "s half", "y")],
    "Log": [node("Log", "s", "y")],
    "LogSoftmax": [node("LogSoftmax", "t", "y", axis=2)],
    "MatMul": [node("Transpose", "s", "st"), node("MatMul", "st s", "y")],
    "Max": [node("Max", "s half g", "y")],
    "Min": [node("Min", "s half", "y")],
    "Mul": [node("Mul", "s g", "y")],
    "Neg": [node("Neg", "s", "y")],
    "Not": [node("Not", "b", "y")],
    "Or": [node("Or", "b no", "y")],
    "PRelu": [node("Sub", "s half", "n"), node("PRelu", "n k", "y")],
    "Pow": [node("Pow", "s two", "y")],
    "Reciprocal": [node("Reciprocal", "s", "y")],
    "ReduceMax": [node("ReduceMax", "t", "y", axes=[2, 3])],
    "ReduceMean": [node("ReduceMean", "t", "y", axes=[-1], keepdims=0)],
    "ReduceMin": [node("ReduceMin", "t", "y", keepdims=0)],
    "ReduceSum": [node("ReduceSum", "s axis", "y")],
    "Relu": [node("Sub", "s half", "n"), node("Relu", "n", "y")],
    "Reshape": [node("Reshape", "s shape", "y")],
    "Round": [node("Mul", "s k", "n"), node("Round", "n", "y")],
    "Shape": [node("Shape", "t", "i"), node("Cast", "i", "n", to=TensorProto.FLOAT), node("Gather", "n start", "p"),
              node("Mul", "s p", "y")],
    "Sigmoid": [node("Sigmoid", "s", "y")],
    "Slice": [node("Slice", "s start end axis", "y")],
    "Slice backwards": [node("Slice", "t back front minus_two minus_two", "y")],
    "Softmax": [node("Softmax", "t", "y", axis=1)],
    "Softplus": [node("Softplus", "s", "y")],
    "Split": [node("Split", "s sizes", "y z", axis=1)],
    "Split into equal parts": [node("Split", "t", "y z", axis=-1)],
    "Sqrt": [node("Sqrt", "s", "y")],
    "Squeeze": [node("ReduceMax", "t", "r", axes=[1]), node("Squeeze", "r axis", "y")],
    "Sub": [node("Sub", "half s", "y")],
    "Sum": [node("Sum", "s g s", "y")],
    "Tanh": [node("Tanh", "s", "y")],
    "TopK": [node("TopK", "s two", "y i")],
    "TopK of the smallest": [node("TopK", "t two", "y i", axis=1, largest=0)],
    "Transpose": [node("Transpose", "t", "y", perm=[0, 2, 3, 1])],
    "Unsqueeze": [node("Unsqueeze", "s last", "y")],
    "Where": [node("Where", "b s g", "y")],
}  # fmt: skip
"""Nodes whose output "y" the host computes; the first word of a key is the operator that the line is for."""


def model_of(form: str) -> onnx.ModelProto:
    """Return a network whose host graph has the nodes of a form."""
    nodes = sorted([*HEAD, *FORMS[form]], key=lambda each: each.output[0] == "y")
    outputs = " ".join(each for each in FORMS[form][-1].output if each in "yzi")
    if form.startswith("Concat"):
        nodes, outputs = [*HEAD, *reversed(FORMS[form])], "y"
    return with_types(model(nodes, constants=CONSTANTS, outputs=outputs))


def with_types(built: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without the types of its outputs, which are not all float."""
    for value in built.graph.output:
        value.ClearField("type")
    return built
