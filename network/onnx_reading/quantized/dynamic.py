"""Dynamic quantization: each activation tensor gets its scale while the network runs; weights have constant scales.

    (y, scale, zero point) = DynamicQuantizeLinear(x)
    accumulator = MatMulInteger(y, weight codes, zero point, weight zero point)
    result = Cast(accumulator) * (scale * weight scale)

In the float graph y is x, its scale 1 and its zero point 0; the products with the scales are then constants, which the
reader folds into the weights.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from network.onnx_reading.proto import Node
from network.onnx_reading.quantized.parameters import Quantization, dequantized
from network.onnx_reading.quantized.rewriting import Rewriting, name_of

_UNIT: Final = Quantization(np.ones(1), np.zeros(1, np.int64), 0, 255)
"""Quantization of a tensor whose codes were replaced by its real numbers."""


def dynamic_quantize_linear(state: Rewriting, node: Node) -> None:
    """Replace DynamicQuantizeLinear by its real input, the scale 1 and the zero point 0."""
    if len(node.outputs) != 3 or not node.outputs[0]:
        raise node.invalid(f"has {len(node.outputs)} outputs; expected codes, scale and zero point")
    codes, scale, zero_point = node.outputs
    state.write("Identity", node.inputs[:1], (codes,), name=node.name)
    state.constants[scale] = np.ones((), np.float32)
    state.constants[zero_point] = np.zeros((), np.uint8)
    state.quantizations[codes] = _UNIT


def integer_product(state: Rewriting, node: Node) -> None:
    """Replace MatMulInteger or ConvInteger (codes, weight codes, zero point, weight zero point) by MatMul or Conv.

    The result stays the accumulator: the weights are divided by the scale of the codes, which the file multiplies by
    later.
    """
    is_convolution = node.operator == "ConvInteger"
    name = name_of(node, 0)
    written = state.quantizations.get(name)
    zeros = state.parameter(node, 2, "zero point") if name_of(node, 2) else np.zeros(1, np.uint8)
    if written is None:
        written = Quantization(np.ones(1), zeros.reshape(-1).astype(np.int64), 0, 255)
    used = Quantization(written.scale, zeros.reshape(-1).astype(np.int64), written.lowest, written.highest)
    if used.zero_point.shape != used.scale.shape or used.scale.size != 1:
        raise node.unsupported("has several scales or zero points for its first input; expected one of each")
    data = state.real(node, 0, used)
    codes = state.parameter(node, 1, "weight")
    weight_zeros = state.parameter(node, 3, "zero point") if name_of(node, 3) else np.zeros(1, codes.dtype)
    scales = np.full(weight_zeros.size, 1 / float(written.scale[0]))
    weight = Quantization(scales, weight_zeros.reshape(-1).astype(np.int64), 0, 255)
    state.take_room(codes.size, node)
    real = state.add_constant(f"{node.inputs[1]}_real", dequantized(node, codes, weight, 0 if is_convolution else -1))
    state.write("Conv" if is_convolution else "MatMul", (data, real), node.outputs, node.attributes, node.name)
    state.unscaled.add(node.outputs[0])


def dynamic_matrix_product(state: Rewriting, node: Node) -> None:
    """Replace com.microsoft's DynamicQuantizeMatMul (a, b's codes, scale, zero point, bias) by MatMul and Add."""
    weight = state.quantization(node, 2, 3, state.parameter(node, 1, "weight").dtype)
    _product_and_bias(state, node, node.inputs[0], state.real(node, 1, weight, axis=-1), name_of(node, 4))


def product_to_float(state: Rewriting, node: Node) -> None:
    """Replace com.microsoft's MatMulIntegerToFloat (a, b, scales of a and b, zero points of a and b, bias)."""
    data = state.quantization(node, 2, 4)
    weight = state.quantization(node, 3, 5, state.parameter(node, 1, "weight").dtype)
    real = state.real(node, 0, data)
    _product_and_bias(state, node, real, state.real(node, 1, weight, axis=-1), name_of(node, 6))


def _product_and_bias(state: Rewriting, node: Node, data: str, weight: str, bias: str) -> None:
    if not bias:
        state.write("MatMul", (data, weight), node.outputs, name=node.name)
        return
    product = state.fresh(f"{node.outputs[0]}_product")
    state.write("MatMul", (data, weight), (product,), name=node.name)
    state.write("Add", (product, bias), node.outputs)
