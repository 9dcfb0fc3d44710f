"""Operators that compute with codes (the QOperator form): each becomes the float operator of the same computation.

The inputs of such a node are groups of codes, scale and zero point; see the ONNX specification, and ONNX Runtime's
ContribOperators.md for the domain com.microsoft.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from network.onnx_reading.proto import Node
from network.onnx_reading.quantized.parameters import Quantization, dequantized
from network.onnx_reading.quantized.rewriting import Rewriting, name_of

_INT32: Final = np.iinfo(np.int32)


def convolution(state: Rewriting, node: Node) -> None:
    """Replace QLinearConv (x, its scale, its zero point, w, .., .., y's scale, y's zero point, bias) by Conv."""
    data, weight = state.quantization(node, 1, 2), state.quantization(node, 4, 5)
    inputs = [state.real(node, 0, data), state.real(node, 3, weight, axis=0)]
    if name_of(node, 8):
        inputs.append(_bias(state, node, 8, _one_scale(node, data) * weight.scale))
    state.write_quantized(node, "Conv", tuple(inputs), state.quantization(node, 6, 7), node.attributes)


def matrix_product(state: Rewriting, node: Node) -> None:
    """Replace QLinearMatMul (a, its scale, its zero point, b, .., .., y's scale, y's zero point) by MatMul."""
    left, right = state.quantization(node, 1, 2), state.quantization(node, 4, 5)
    inputs = (state.real(node, 0, left), state.real(node, 3, right, axis=-1))
    state.write_quantized(node, "MatMul", inputs, state.quantization(node, 6, 7))


def gemm(state: Rewriting, node: Node) -> None:
    """Replace QGemm (a, .., .., b, .., .., bias, y's scale, y's zero point) by Gemm; without y's scale, y is real.

    The bias holds int32 codes of the scale alpha * a's scale * b's scale.
    """
    left, right = state.quantization(node, 1, 2), state.quantization(node, 4, 5)
    alpha = node.attributes.get("alpha", 1.0)
    if not isinstance(alpha, float):
        raise node.invalid("has the attribute 'alpha' of another type; expected a number")
    matrix_axis = 0 if node.attributes.get("transB", 0) else 1
    inputs = [state.real(node, 0, left), state.real(node, 3, right, axis=matrix_axis)]
    if name_of(node, 6):
        inputs.append(_bias(state, node, 6, _one_scale(node, left) * right.scale * alpha))
    if name_of(node, 7):
        state.write_quantized(node, "Gemm", tuple(inputs), state.quantization(node, 7, 8), node.attributes)
    else:
        state.write("Gemm", tuple(inputs), node.outputs, node.attributes, node.name)


def _one_scale(node: Node, used: Quantization) -> float:
    """Return the scale of an activation tensor that has only one."""
    if used.scale.size != 1:
        raise node.unsupported(f"has {used.scale.size} scales for its first input; expected one scale")
    return float(used.scale[0])


def _bias(state: Rewriting, node: Node, index: int, scale: npt.NDArray[np.float64]) -> str:
    """Return the name of the real bias behind int32 codes with the scale of the accumulator and no zero point."""
    codes = state.parameter(node, index, "bias")
    state.take_room(codes.size, node)
    used = Quantization(scale, np.zeros(scale.shape, np.int64), int(_INT32.min), int(_INT32.max))
    return state.add_constant(f"{node.inputs[index]}_real", dequantized(node, codes, used, -1))


def binary(operator: str) -> Callable[[Rewriting, Node], None]:
    """Return the function for QLinearAdd or QLinearMul (a, .., .., b, .., .., y's scale, y's zero point).

    Args:
        operator: Name of the float operator.
    """

    def rewrite(state: Rewriting, node: Node) -> None:
        inputs = tuple(state.real(node, at, state.quantization(node, at + 1, at + 2), axis=-1) for at in (0, 3))
        state.write_quantized(node, operator, inputs, state.quantization(node, 6, 7))

    return rewrite


def unary(operator: str) -> Callable[[Rewriting, Node], None]:
    """Return the function for an operator (x, its scale, its zero point, y's scale, y's zero point).

    Args:
        operator: Name of the float operator; it gets the attributes of the node.
    """

    def rewrite(state: Rewriting, node: Node) -> None:
        real = state.real(node, 0, state.quantization(node, 1, 2))
        state.write_quantized(node, operator, (real,), state.quantization(node, 3, 4), _float_attributes(node))

    return rewrite


def _float_attributes(node: Node) -> Mapping[str, Any]:
    """Return the attributes of the float operator: without the order of the image and the opset of the source."""
    if node.attributes.get("channels_last", 0):
        raise node.unsupported("has channels_last=1; expected images with their channels first")
    return {name: value for name, value in node.attributes.items() if name not in ("channels_last", "opset")}


def concat(state: Rewriting, node: Node) -> None:
    """Replace QLinearConcat (y's scale, y's zero point, then codes, scale and zero point of each input) by Concat."""
    if len(node.inputs) < 5 or len(node.inputs) % 3 != 2:
        raise node.invalid(
            f"has {len(node.inputs)} inputs; expected a scale and a zero point, and three inputs for each tensor"
        )
    inputs = tuple(
        state.real(node, at, state.quantization(node, at + 1, at + 2)) for at in range(2, len(node.inputs), 3)
    )
    state.write_quantized(node, "Concat", inputs, state.quantization(node, 0, 1), node.attributes)
