"""QONNX's Quant: quantization and dequantization in one node, with any number of bits.

    y = (clamp(round(x / scale + zero point)) - zero point) * scale

Source: QONNX, docs/qonnx-custom-ops/quant_op.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from network.onnx_reading.graph import Node
from network.onnx_reading.quantized.parameters import Quantization
from network.onnx_reading.quantized.rewriting import Rewriting, name_of
from network.onnx_reading.tensors import ConstantArray

MAX_BITS: Final = 8
"""Largest number of bits of a weight or an activation tensor."""

_MAX_BIAS_BITS: Final = 32
_MAX_ZERO_POINT: Final = 2**31

_NEAREST: Final = "ROUND"
_ROUNDINGS: Final[Mapping[str, Callable[[Any], Any]]] = {
    _NEAREST: np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "ROUND_TO_ZERO": np.trunc,
    "DOWN": np.trunc,
    "HALF_UP": lambda values: np.sign(values) * np.floor(np.abs(values) + 0.5),
}
"""Rounding functions by the value of the attribute rounding_mode."""


def quant(state: Rewriting, node: Node) -> None:
    """Replace Quant (x, scale, zero point, bits) by a float constant, or by its real input.

    Raises:
        UnsupportedOperator: If there are more than 8 bits, or 32 for a bias, or if the rounding mode is not supported.
        InvalidNetwork: If a scale is not above zero, or if shapes do not match.
    """
    scale, zero_point, bits = (
        _numbers(state, node, index, what) for index, what in enumerate(("scale", "zero point", "number of bits"), 1)
    )
    real = state.constant(name_of(node, 0))
    is_bias = real is not None and real.ndim <= 1
    most = _MAX_BIAS_BITS if is_bias else MAX_BITS
    if bits.size != 1 or not 1 <= bits.reshape(-1)[0] <= most or bits.reshape(-1)[0] % 1:
        raise node.unsupported(
            f"quantizes to {', '.join(f'{each:g}' for each in bits.reshape(-1)[:3])} bits; "
            f"expected a whole number of 1 to {most} bits"
        )
    if not np.isfinite(scale).all() or not (scale > 0).all() or not scale.size:
        raise node.invalid("has a scale that is not a finite number above zero; quantize the network again")
    if not (np.abs(zero_point) <= _MAX_ZERO_POINT).all() or not zero_point.size:
        raise node.invalid(f"has a zero point that is not a number of at most {_MAX_ZERO_POINT}; quantize it again")
    lowest, highest = _code_limits(node, int(bits.reshape(-1)[0]))
    if real is None:
        _activations(state, node, scale, zero_point, lowest, highest)
        return
    rounded = _ROUNDINGS.get(_rounding(node))
    if rounded is None:
        raise node.unsupported(f"has rounding_mode={_rounding(node)}; expected one of {', '.join(_ROUNDINGS)}")
    state.take_room(real.size, node)
    _check_shapes(node, real, scale, zero_point)
    # Overflow gives infinity, which is rejected where it becomes a weight.
    with np.errstate(over="ignore", invalid="ignore"):
        codes = np.clip(rounded(real / scale + zero_point), lowest, highest)
        state.constants[node.outputs[0]] = ((codes - zero_point) * scale).astype(np.float32)
    state.record_source(node.outputs[0], name_of(node, 0))


def _numbers(state: Rewriting, node: Node, index: int, what: str) -> npt.NDArray[np.float64]:
    """Return a constant input of a node in float64, after rounding to float32."""
    given = state.parameter(node, index, what)
    state.take_room(given.size, node)
    with np.errstate(over="ignore", under="ignore"):
        return given.astype(np.float32).astype(np.float64)


def refuse(_: Rewriting, node: Node) -> None:
    """Reject an operator of QONNX whose codes have no affine quantization, or whose form is not supported."""
    raise node.unsupported(
        "is not supported; of QONNX's operators only Quant is: export the float network, bitbudget chooses the bits"
    )


def _activations(
    state: Rewriting, node: Node, scale: ConstantArray, zero_point: ConstantArray, lowest: int, highest: int
) -> None:
    """Replace Quant of an activation tensor; only the lowest code of zero leaves a clamp, as that of a ReLU."""
    if scale.size != zero_point.size and 1 not in (scale.size, zero_point.size):
        raise node.invalid(f"has {scale.size} scales and {zero_point.size} zero points; expected equally many")
    if _rounding(node) not in (_NEAREST, "HALF_EVEN", "HALF_UP"):
        raise node.unsupported(
            f"has rounding_mode={_rounding(node)}, which shifts the mean of an activation tensor; expected {_NEAREST}"
        )
    state.take_room(scale.size + zero_point.size, node)
    scales, zeros = np.broadcast_arrays(scale.reshape(-1), np.rint(zero_point.reshape(-1)).astype(np.int64))
    state.write_quantized(node, "Identity", node.inputs[:1], Quantization(scales, zeros, lowest, highest))
    # The result of Quant is real in the file, too.
    del state.quantizations[node.outputs[0]]


def _rounding(node: Node) -> str:
    return str(node.attributes.get("rounding_mode", _NEAREST)).upper()


def _code_limits(node: Node, bits: int) -> tuple[int, int]:
    """Return the smallest and largest code; a narrow range leaves one code out, so that it is symmetric."""
    narrow = 1 if node.attributes.get("narrow", 0) else 0
    if node.attributes.get("signed", 1):
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow


def _check_shapes(node: Node, real: ConstantArray, scale: ConstantArray, zero_point: ConstantArray) -> None:
    try:
        shape = np.broadcast_shapes(real.shape, scale.shape, zero_point.shape)
    except ValueError:
        shape = ()
    if real.dtype.kind != "f" or shape != real.shape:
        raise node.invalid(
            f"has scales of shape {list(scale.shape)[:8]} for a constant of type {real.dtype} and shape "
            f"{list(real.shape)[:8]}; expected floats, and scales that broadcast over them"
        )
