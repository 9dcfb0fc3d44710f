"""QuantizeLinear and DequantizeLinear: constants become floats, and activation tensors pass unchanged."""

from __future__ import annotations

from typing import Final

import numpy as np
from onnx import TensorProto

from network.onnx_reading.graph import Node
from network.onnx_reading.quantized.parameters import dequantized, quantized
from network.onnx_reading.quantized.rewriting import Rewriting, name_of

_CODE_TYPES: Final = {
    TensorProto.UINT8: np.uint8, TensorProto.INT8: np.int8, TensorProto.UINT16: np.uint16, TensorProto.INT16: np.int16,
}  # fmt: skip
"""Numpy type of the codes by the ONNX element type in the attribute output_dtype."""


def quantize_linear(state: Rewriting, node: Node) -> None:
    """Replace QuantizeLinear by its real input, clamped at zero where its codes start there."""
    _refuse_blocks(node)
    code_type = _CODE_TYPES.get(node.attributes.get("output_dtype", 0), np.uint8)
    used = state.quantization(node, 1, 2, code_type)
    real = state.constant(name_of(node, 0))
    if real is None:
        state.write_quantized(node, "Identity", node.inputs[:1], used)
        return
    state.take_room(real.size, node)
    codes = quantized(node, real, used, _axis(node))
    state.constants[node.outputs[0]] = codes
    state.record_source(node.outputs[0], name_of(node, 0))


def dequantize_linear(state: Rewriting, node: Node) -> None:
    """Replace DequantizeLinear by a float constant, or by the real numbers that were quantized."""
    _refuse_blocks(node)
    name = name_of(node, 0)
    codes = state.constant(name)
    used = state.quantization(node, 1, 2, np.uint8 if codes is None else codes.dtype)
    if codes is None:
        real = state.real(node, 0, used)
        state.write("Identity", (real,), node.outputs, name=node.name)
        if real in state.clamped:
            state.clamped.add(node.outputs[0])
        return
    state.take_room(codes.size, node)
    state.constants[node.outputs[0]] = dequantized(node, codes, used, _axis(node))
    state.record_source(node.outputs[0], name)


def _axis(node: Node) -> int:
    axis = node.attributes.get("axis", 1)
    if not isinstance(axis, int):
        raise node.invalid("has the attribute 'axis' of another type; expected a whole number")
    return axis


def _refuse_blocks(node: Node) -> None:
    if node.attributes.get("block_size", 0):
        raise node.unsupported(
            "has scales per block (attribute block_size); expected one scale, or one per index along an axis"
        )
