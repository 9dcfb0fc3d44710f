"""Table of the supported ONNX operators: the function that translates each, its attributes and its number of inputs.

A node with an attribute that is not in the table is rejected, so that a newer form of an operator is not misread. To
support another operator, add a row here; `docs/adding-an-operator.md` describes the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from network.errors import UnsupportedOperator
from network.onnx_reading import constants, joins, movements, pointwise, products, reductions, windows
from network.onnx_reading.advice import ADVICE, CAUSES
from network.onnx_reading.call import Call
from network.onnx_reading.causes import Cause, TooManyElements, Unknown
from network.onnx_reading.graph import UNREADABLE, Node
from network.onnx_reading.judgement import computes_from_activations, judged_without_value, obstructed
from network.onnx_reading.translation import Translation, Value
from network.onnx_reading.views import View


@dataclass(frozen=True, slots=True)
class Operator:
    """Support of one ONNX operator.

    Attributes:
        read: Function that translates a node of the operator and returns the value of its first output.
        attributes: Names of the attributes that `read` uses, or that do not change the result at inference.
        inputs: Smallest and largest number of inputs.
    """

    read: Callable[[Call], Value]
    attributes: frozenset[str]
    inputs: tuple[int, int]


def _row(read: Callable[[Call], Value], attributes: str, min_inputs: int, max_inputs: int) -> Operator:
    return Operator(read, frozenset(attributes.split()), (min_inputs, max_inputs))


_WINDOW = "auto_pad kernel_shape pads strides dilations"
_MANY = 10_000
_QUANTIZED_PREFIXES = ("Q", "DequantizeLinear", "DynamicQuantize")

OPERATORS: Final[Mapping[str, Operator]] = {
    "Add": _row(pointwise.add, "", 2, 2),
    "AveragePool": _row(windows.average_pool, f"{_WINDOW} ceil_mode count_include_pad", 1, 1),
    "BatchNormalization": _row(pointwise.batch_normalization, "epsilon momentum training_mode", 5, 5),
    "Cast": _row(pointwise.cast, "to saturate", 1, 1),
    "Clip": _row(pointwise.clip, "min max", 1, 3),
    "Concat": _row(joins.concat, "axis", 1, _MANY),
    "Constant": _row(constants.constant, "value value_int value_ints value_float value_floats value_string", 0, 0),
    "ConstantOfShape": _row(constants.constant_of_shape, "value", 1, 1),
    "Conv": _row(windows.convolution, f"{_WINDOW} group", 2, 3),
    "Div": _row(pointwise.divide, "", 2, 2),
    "Dropout": _row(movements.dropout, "ratio seed", 1, 3),
    "Flatten": _row(movements.flatten, "axis", 1, 1),
    "Gather": _row(constants.FOLDS["Gather"], "axis", 2, 2),
    "Gemm": _row(products.gemm, "alpha beta transA transB", 2, 3),
    "GlobalAveragePool": _row(reductions.global_average_pool, "", 1, 1),
    "GlobalMaxPool": _row(reductions.global_max_pool, "", 1, 1),
    "Identity": _row(movements.identity, "", 1, 1),
    "LogSoftmax": _row(pointwise.softmax, "axis", 1, 1),
    "MatMul": _row(products.matmul, "", 2, 2),
    "Max": _row(pointwise.maximum, "", 1, _MANY),
    "MaxPool": _row(windows.max_pool, f"{_WINDOW} ceil_mode storage_order", 1, 1),
    "Min": _row(pointwise.minimum, "", 1, _MANY),
    "Mul": _row(pointwise.multiply, "", 2, 2),
    "Neg": _row(constants.FOLDS["Neg"], "", 1, 1),
    "Pad": _row(windows.pad, "mode pads value", 1, 4),
    "Reciprocal": _row(constants.FOLDS["Reciprocal"], "", 1, 1),
    "ReduceL2": _row(constants.FOLDS["ReduceL2"], "axes keepdims noop_with_empty_axes", 1, 2),
    "ReduceMax": _row(reductions.reduce_max, "axes keepdims noop_with_empty_axes", 1, 2),
    "ReduceMean": _row(reductions.reduce_mean, "axes keepdims noop_with_empty_axes", 1, 2),
    "ReduceProd": _row(constants.FOLDS["ReduceProd"], "axes keepdims noop_with_empty_axes", 1, 2),
    "Relu": _row(pointwise.relu, "", 1, 1),
    "Reshape": _row(movements.reshape, "allowzero shape", 1, 2),
    "Shape": _row(movements.shape_of, "start end", 1, 1),
    "Slice": _row(constants.FOLDS["Slice"], "starts ends axes", 1, 5),
    "Softmax": _row(pointwise.softmax, "axis", 1, 1),
    "Sqrt": _row(constants.FOLDS["Sqrt"], "", 1, 1),
    "Squeeze": _row(movements.squeeze, "axes", 1, 2),
    "Sub": _row(pointwise.subtract, "", 2, 2),
    "Sum": _row(pointwise.add, "", 1, _MANY),
    "Transpose": _row(movements.transpose, "perm", 1, 1),
    "Unsqueeze": _row(movements.unsqueeze, "axes", 1, 2),
}
"""Support of each operator, by its ONNX name."""


def translate(translation: Translation) -> None:
    """Translate every node of the graph in order, and store the values, layers and obstacles in the translation.

    A node that cannot be read becomes an obstacle; the nodes behind it are judged as far as that is possible without
    its value.

    Args:
        translation: State of the translation, at its start.

    Raises:
        InvalidNetwork: If the inputs and attributes of a node contradict each other, or if shapes do not match.
        InputLayoutRequired: If an operator requires another layout of the network's input than was assumed.
        TooManyElements: If the constants of the graph grow too much.
    """
    for node in translation.graph.nodes:
        call = Call(node, translation)
        outputs = tuple(filter(None, node.outputs))
        translation.values.update(dict.fromkeys(outputs))
        try:
            value = _value(call)
        except TooManyElements:
            raise
        except UnsupportedOperator as error:
            translation.values.update(dict.fromkeys(outputs, obstructed(call, error)))
        else:
            translation.values[node.outputs[0]] = value


def _value(call: Call) -> Value | Unknown:
    """Return the value of the node's first output."""
    node = call.node
    operator = _supported(node)
    if UNREADABLE in node.attributes.values():
        name = next(name for name, value in node.attributes.items() if value is UNREADABLE)
        raise node.unsupported(
            f"has the attribute '{name[:80]}', which is a subgraph, a reference, a sparse tensor or a list of strings; "
            "expected numbers, a string or a dense tensor"
        )
    unknown = sorted(node.attributes.keys() - operator.attributes)
    if unknown:
        known = ", ".join(sorted(operator.attributes)) or "none"
        raise node.unsupported(
            f"has the attribute '{unknown[0][:80]}', which is not supported; the supported attributes of the "
            f"operator are: {known}"
        )
    min_inputs, max_inputs = operator.inputs
    if not min_inputs <= len(node.inputs) <= max_inputs or not node.outputs or not node.outputs[0]:
        raise node.invalid(
            f"has {len(node.inputs)} inputs and {len(node.outputs)} outputs; expected {min_inputs} to {max_inputs} "
            "inputs, and a first output"
        )
    if call.reads_unknown():
        return judged_without_value(call, only_constants=operator.read is constants.FOLDS.get(node.operator))
    return _read(call, operator)


def _supported(node: Node) -> Operator:
    """Return the row of the node's operator in the table."""
    if node.refusal is not None:
        raise node.refusal
    if node.domain:
        raise node.unsupported(
            f"is of the operator domain '{node.domain[:80]}'; expected standard ONNX operators: export without "
            "optimizations for a runtime",
            Cause.QUANTIZED if node.operator.startswith(_QUANTIZED_PREFIXES) else Cause.CUSTOM,
        )
    operator = OPERATORS.get(node.operator)
    if operator is None:
        advice = ADVICE.get(node.operator, "docs/operators.md lists the supported operators")
        cause = CAUSES.get(node.operator, Cause.OPERATOR)
        raise node.unsupported(f"has an operator that is not supported; {advice}", cause)
    return operator


def _read(call: Call, operator: Operator) -> Value:
    """Return the value of the node's first output: folded if all inputs are constants, otherwise by the table."""
    node = call.node
    fold = constants.FOLDS.get(node.operator)
    if fold is not None and not any(isinstance(call.value(i), View) for i in range(len(node.inputs)) if call.has(i)):
        folded = fold(call)
        if call.has(0):
            call.translation.sources[node.outputs[0]] = call.translation.source_of(call.largest_constant())
        return folded
    if operator.read is fold:
        raise computes_from_activations(call)
    return operator.read(call)
