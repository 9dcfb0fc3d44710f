"""Scales and zero points: checks, and the conversion between real numbers and codes.

    real = (code - zero point) * scale
    code = clamp(round to even(real / scale) + zero point)

These are the definitions of DequantizeLinear and QuantizeLinear in the ONNX specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from network.onnx_reading.proto import Node
from network.onnx_reading.tensors import ConstantArray

Interval = tuple[float, float]
"""Smallest and largest real number of a quantized tensor."""

_CODE_KINDS: Final = "iu"

_EXACT_IN_FLOAT32_BYTES: Final = 2


@dataclass(frozen=True, eq=False, slots=True)
class Quantization:
    """Affine quantization of a tensor: one scale and zero point, or one of each per index along an axis.

    Attributes:
        scale: Scales, of shape [1] or [extent of the axis]; finite and above zero.
        zero_point: Zero points, of the same shape.
        lowest: Smallest code.
        highest: Largest code.
    """

    scale: npt.NDArray[np.float64]
    zero_point: npt.NDArray[np.int64]
    lowest: int
    highest: int

    @property
    def interval(self) -> Interval:
        """Smallest and largest real number that has a code, over all scales."""
        low, high = (self.lowest - self.zero_point) * self.scale, (self.highest - self.zero_point) * self.scale
        return float(low.min()), float(high.max())

    def equals(self, other: Quantization) -> bool:
        """Return whether two tensors have the same scales, up to float32 rounding, and the same zero points."""
        return (
            self.scale.shape == other.scale.shape
            and np.allclose(self.scale, other.scale, rtol=1e-6, atol=0)
            and np.array_equal(self.zero_point, other.zero_point)
        )


def quantization(
    node: Node, scale: ConstantArray, zero_point: ConstantArray | None, code_type: npt.DTypeLike
) -> Quantization:
    """Return a quantization after checking its parameters.

    Args:
        node: The node that has the parameters, for error messages.
        scale: Scales, a number or a list.
        zero_point: Zero points, a number or a list of as many; None for zeros.
        code_type: Integer type of the codes if there are no zero points; otherwise the type of the zero points counts.

    Raises:
        InvalidNetwork: If a scale is not a finite number above zero, or if there are more or fewer zero points than
            scales.
        UnsupportedOperator: If scales and zero points have several dimensions, as in blocked quantization.
    """
    if scale.ndim > 1 and scale.size != 1:
        raise node.unsupported(
            f"has scales of shape {list(scale.shape)[:8]}; expected one scale, or one per index along an axis: "
            "blocked quantization is not supported"
        )
    if scale.dtype.kind != "f" or not np.isfinite(scale).all() or not (scale > 0).all():
        raise node.invalid(
            f"has a scale that is not a finite number above zero (type {scale.dtype}); the file is damaged: quantize "
            "the network again"
        )
    if zero_point is None:
        zero_point = np.zeros(scale.size, code_type)
    if zero_point.dtype.kind not in _CODE_KINDS or zero_point.size not in (1, scale.size) or not scale.size:
        raise node.invalid(
            f"has {scale.size} scales and {zero_point.size} zero points of type {zero_point.dtype}; expected equally "
            "many of each, and integers as zero points: quantize the network again"
        )
    limits = np.iinfo(zero_point.dtype)
    zeros = np.broadcast_to(zero_point.reshape(-1).astype(np.int64), (scale.size,))
    return Quantization(scale.reshape(-1).astype(np.float64), zeros, int(limits.min), int(limits.max))


def dequantized(node: Node, codes: ConstantArray, used: Quantization, axis: int) -> npt.NDArray[np.float32]:
    """Return the real numbers of constant codes.

    Args:
        node: The node that dequantizes them, for error messages.
        codes: The codes, of an integer type.
        used: Their quantization.
        axis: Axis of the scales, if there are several.

    Raises:
        InvalidNetwork: If the codes are not integers, or if the number of scales differs from the axis's extent.
    """
    if codes.dtype.kind not in _CODE_KINDS:
        raise node.invalid(f"dequantizes a constant of type {codes.dtype}; expected integers")
    scale, zero_point = _along(node, codes, used, axis)
    # Differences of codes of at most 16 bits are exact in float32, which takes half the memory.
    real_type = np.float32 if codes.dtype.itemsize <= _EXACT_IN_FLOAT32_BYTES else np.float64
    with np.errstate(over="ignore"):
        real = (codes.astype(real_type) - zero_point.astype(real_type)) * scale.astype(real_type)
        return np.asarray(real, dtype=np.float32)


def quantized(node: Node, real: ConstantArray, used: Quantization, axis: int) -> npt.NDArray[np.int64]:
    """Return the codes of constant real numbers.

    Args:
        node: The node that quantizes them, for error messages.
        real: The real numbers.
        used: Their quantization.
        axis: Axis of the scales, if there are several.

    Raises:
        InvalidNetwork: If the numbers are not finite floats, or if the number of scales differs from the axis's extent.
    """
    if real.dtype.kind != "f" or not np.isfinite(real).all():
        raise node.invalid(f"quantizes a constant of type {real.dtype}; expected finite floats")
    scale, zero_point = _along(node, real, used, axis)
    codes = np.clip(np.rint(real.astype(np.float64) / scale) + zero_point, used.lowest, used.highest)
    return codes.astype(np.int64)


def _along(
    node: Node, values: ConstantArray, used: Quantization, axis: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return scales and zero points in a shape that broadcasts along an axis of the values."""
    if used.scale.size == 1:
        return used.scale.reshape(()), used.zero_point.reshape(())
    if not -values.ndim <= axis < values.ndim or values.shape[axis] != used.scale.size:
        raise node.invalid(
            f"has {used.scale.size} scales along the axis {axis} of a constant of shape {list(values.shape)[:8]}; "
            "expected one scale, or as many as the axis is long"
        )
    shape = [1] * values.ndim
    shape[axis] = used.scale.size
    return used.scale.reshape(shape), used.zero_point.reshape(shape)
