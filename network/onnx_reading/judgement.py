"""Judgement of nodes that cannot be read, and of the nodes behind them, whose inputs have no known value."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from network.errors import UnsupportedOperator
from network.onnx_reading.call import Call
from network.onnx_reading.causes import Cause, Obstacle, Unknown, UnsupportedNode
from network.onnx_reading.views import View
from network.passes.temporary_layers import Obstructed

_KEEPS_SHAPE: Final = frozenset((
    "Celu", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Pow", "PRelu",
    "Selu", "Sigmoid", "Softplus", "Softsign", "Swish", "Tanh", "GroupNormalization", "InstanceNormalization",
    "LayerNormalization", "LpNormalization", "RMSNormalization", "Softmax", "Mul", "Sub", "Div", "Max", "Min",
    "Sqrt", "Neg", "Abs", "Clip",
))  # fmt: skip
"""Operators whose output has the shape of their largest input, so that the nodes behind them can be judged."""

_COMBINES: Final = frozenset(("Mul", "Sub", "Div", "Max", "Min"))
"""Operators that are read for one activation tensor and constants only."""

_WEIGHTS_FIRST: Final = {"Conv": 1, "Gemm": 1, "MatMul": 1}
"""Index of the input that must be a constant matrix or kernel, by operator."""


def obstructed(call: Call, error: UnsupportedOperator) -> View | Unknown:
    """Record the node as an obstacle, and return the value that stands for its outputs.

    Args:
        call: The node, which cannot be read.
        error: The reason.

    Returns:
        A view of a tensor of the same shape if the operator keeps the shape of its input, otherwise `Unknown`.
    """
    node, translation = call.node, call.translation
    cause = error.cause if isinstance(error, UnsupportedNode) else Cause.FORM
    translation.obstacles[node.name] = Obstacle(str(node), cause, str(error))
    views = [value for value in call.known_values() if isinstance(value, View)]
    # A second output of a readable node, such as the mask of a Dropout, has no value, but is no constant either.
    reads_second_output = any(translation.values.get(name, views) is None for name in node.reads)
    if not views and not reads_second_output and not call.reads_unknown_activation():
        return Unknown(is_constant=True)
    if node.operator not in _KEEPS_SHAPE or node.domain or not views or not node.outputs or call.reads_unknown():
        return Unknown(is_constant=False)
    largest = max(views, key=lambda view: view.elements)
    translation.emit(Obstructed(name=node.name, inputs=(largest.tensor,), output=call.output))
    return replace(largest, tensor=call.output, after_softmax=False)


def computes_from_activations(call: Call) -> UnsupportedNode:
    """Return the error for an operator that is supported on constants only and reads an activation tensor."""
    cause = {"Gather": Cause.PART, "Slice": Cause.PART}.get(call.node.operator, Cause.OPERATOR)
    if call.node.operator == "Gather" and not call.is_activation(0):
        return call.node.unsupported(
            "looks up rows of a table by an activation tensor; expected no embedding: compute it in the application, "
            "and give the network its result",
            Cause.LOOKUP,
        )
    return call.node.unsupported(
        "computes from an activation tensor; expected constants as all inputs of this operator: remove it", cause
    )


def judged_without_value(call: Call, *, only_constants: bool) -> Unknown:
    """Return the value of a supported operator that reads a value that is not known.

    Args:
        call: The node.
        only_constants: Whether the operator is supported on constants only.

    Raises:
        UnsupportedNode: If the node cannot be read whatever the unknown value is.
    """
    node = call.node
    activations = [index for index in range(len(node.inputs)) if call.is_activation(index)]
    if node.operator == "Shape" or not activations:
        return Unknown(is_constant=True)
    if only_constants:
        raise computes_from_activations(call)
    if node.operator in _COMBINES and len(activations) > 1:
        raise node.unsupported(
            "combines two activation tensors; expected one activation tensor and one constant", Cause.PRODUCT
        )
    if _WEIGHTS_FIRST.get(node.operator) in activations:
        raise node.unsupported(
            "multiplies two activation tensors; expected constant weights: remove the product", Cause.PRODUCT
        )
    return Unknown(is_constant=False)
