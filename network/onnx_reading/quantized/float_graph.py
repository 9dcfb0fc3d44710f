"""Pass over the graph of a quantized file: from codes to real numbers, before the graph is translated into layers.

Weights become the real numbers behind their codes. Activation tensors are not quantized any more; the real interval of
each is recorded. Quantization that clamps at zero, as a ReLU does, leaves a clamp to that interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from onnx import TensorProto

from network.onnx_reading.graph import Graph, Node
from network.onnx_reading.quantized import dynamic, linear, qoperators
from network.onnx_reading.quantized.parameters import Interval, dequantized
from network.onnx_reading.quantized.qonnx import quant, refuse
from network.onnx_reading.quantized.rewriting import Rewriting, name_of

REWRITES: Final[Mapping[str, tuple[Callable[[Rewriting, Node], None], int]]] = {
    "BipolarQuant": (refuse, 0),
    "ConvInteger": (dynamic.integer_product, 2),
    "DequantizeLinear": (linear.dequantize_linear, 2),
    "DynamicQuantizeLinear": (dynamic.dynamic_quantize_linear, 1),
    "DynamicQuantizeMatMul": (dynamic.dynamic_matrix_product, 3),
    "FloatQuant": (refuse, 0),
    "IntQuant": (quant, 4),
    "MatMulInteger": (dynamic.integer_product, 2),
    "MatMulIntegerToFloat": (dynamic.product_to_float, 4),
    "MultiThreshold": (refuse, 0),
    "QGemm": (qoperators.gemm, 6),
    "QLinearAdd": (qoperators.binary("Add"), 7),
    "QLinearAveragePool": (qoperators.unary("AveragePool"), 4),
    "QLinearConcat": (qoperators.concat, 5),
    "QLinearConv": (qoperators.convolution, 8),
    "QLinearGlobalAveragePool": (qoperators.unary("GlobalAveragePool"), 4),
    "QLinearLeakyRelu": (qoperators.unary("LeakyRelu"), 4),
    "QLinearMatMul": (qoperators.matrix_product, 8),
    "QLinearMul": (qoperators.binary("Mul"), 7),
    "QLinearSigmoid": (qoperators.unary("Sigmoid"), 4),
    "QLinearSoftmax": (qoperators.unary("Softmax"), 4),
    "Quant": (quant, 4),
    "QuantizeLinear": (linear.quantize_linear, 2),
    "Trunc": (refuse, 0),
}
"""Function that rewrites a node, and its smallest number of inputs, by the name of the operator."""

_MOVES: Final = frozenset(
    {
        "Concat", "DepthToSpace", "Dropout", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Resize", "Slice",
        "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators whose result holds codes of the same quantization as what they read."""

_CODE_CONSTANTS: Final[Mapping[str, tuple[int, ...]]] = {"Clip": (1, 2), "Pad": (2,)}
"""Indices of the constant inputs that are codes if the first input holds codes."""


@dataclass(frozen=True, eq=False)
class FloatGraph:
    """Float form of a quantized graph.

    Attributes:
        graph: The graph without quantization; the same object if the file is not quantized.
        intervals: Smallest and largest real number of every value that the file quantizes with constant scales, by the
            name of the value in `graph`.
    """

    graph: Graph
    intervals: Mapping[str, Interval]


def without_quantization(graph: Graph) -> FloatGraph:
    """Return the float form of a graph.

    Args:
        graph: The graph of a file, quantized or not.

    Raises:
        UnsupportedOperator: If a form of quantization is not supported; names the node.
        InvalidNetwork: If scales, zero points and codes contradict each other; names the node.
    """
    if not any(node.operator in REWRITES for node in graph.nodes):
        return FloatGraph(graph, {})
    state = Rewriting(graph)
    for node in graph.nodes:
        rewrite, inputs = REWRITES.get(node.operator, (_keep, 0))
        if len(node.inputs) < inputs or (inputs and not (node.outputs and node.outputs[0])):
            raise node.invalid(
                f"has {len(node.inputs)} inputs and {len(node.outputs)} outputs; expected at least {inputs} inputs, "
                "and a first output"
            )
        rewrite(state, node)
    graph = replace(graph, nodes=tuple(state.nodes), initializers=state.constants, sources=state.sources)
    return FloatGraph(graph, state.intervals)


def _keep(state: Rewriting, node: Node) -> None:
    """Keep a node that is not quantized, and note what it does to constants, codes and clamps."""
    if node.operator == "Constant" and node.outputs:
        value = node.attributes.get("value", node.attributes.get("value_float"))
        if isinstance(value, TensorProto | float):
            state.constants[node.outputs[0]] = value if isinstance(value, TensorProto) else np.array(value, np.float32)
    if any(name in state.quantizations for name in node.inputs):
        node = _on_codes(state, node)
    elif node.operator in _MOVES and name_of(node, 0) in state.unscaled:
        state.unscaled.update(node.outputs)
    if state.needs_no_clamp(node.operator, node.inputs):
        state.clamped.update(node.outputs)
    state.nodes.append(node)


def _on_codes(state: Rewriting, node: Node) -> Node:
    """Return the form of a node that reads codes in the file and real numbers in the float graph.

    Raises:
        UnsupportedOperator: If the node computes with codes.
        InvalidNetwork: If the node joins codes of different quantizations.
    """
    used = state.quantizations.get(name_of(node, 0))
    indices = _CODE_CONSTANTS.get(node.operator)
    if used is None or (indices is None and node.operator not in _MOVES):
        raise node.unsupported(
            "computes with the codes of a quantized tensor; expected DequantizeLinear before it, or an operator that "
            "only moves codes"
        )
    if any(not used.equals(state.quantizations[name]) for name in node.inputs if name in state.quantizations):
        raise node.invalid("joins tensors of different scales or zero points; expected one quantization for all")
    inputs = list(node.inputs)
    for index in indices or ():
        if name_of(node, index):
            codes = state.parameter(node, index, "of codes")
            state.take_room(codes.size, node)
            inputs[index] = state.add_constant(f"{inputs[index]}_real", dequantized(node, codes, used, -1))
    if node.operator == "Pad" and not name_of(node, 2) and used.zero_point.any():
        raise node.unsupported("pads with the code 0, which is not the real number 0; expected the zero point")
    state.quantizations.update(dict.fromkeys(filter(None, node.outputs), used))
    return replace(node, inputs=tuple(inputs))
