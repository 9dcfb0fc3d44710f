"""Narrow constants of a layer with weights: a 16-bit multiplier and a 16-bit offset for each output channel, which need
4 bytes of flash and 32-bit arithmetic on a chip.

The definition of a layer does not change: y = clamp(z_y + floor(acc * m / 2^n + 1/2), 0, 2^b_y - 1), where acc is the
sum of (q_x - z_x) * (q_w - z_w) and the bias. A layer is narrow if the values of m, n and bias allow the following
form; else it is wide, with an int32 multiplier, a shift and an int32 offset for each channel, and a 64-bit product.

    e = 8 - b_x        a chip holds input codes of b_x bits as X = q_x * 2^e, like codes of 8 bits
    m                  |m| < 2^15, with one shift n for the whole layer
    s = n + e - 16     from 1 to 22
    offset             bias - z_x * sum (q_w - z_w) = o * 2^k, with o in int16 and one k for the whole layer
    A                  (o << (k + e)) + sum X * q_w - z_w * sum X   = acc * 2^e
    y                  clamp((floor(A * m / 2^16) + z_y * 2^s + 2^(s-1)) >> s, 0, 2^b_y - 1)

In the sums, padding has the code z_x, so that the offset is the same for all windows. They are computed modulo 2^32:
A is exact because |acc| * 2^e < 2^31, which is proved from the weights for all inputs; partial sums may wrap.

The codes are equal to those of the definition: A * m / 2^16 / 2^s = acc * m / 2^n, and for a whole number C,
floor((floor(v) + C) / 2^s) = floor((v + C) / 2^s). The last sum is an int32: the magnitude of A * m / 2^16 is below
2^31 * 2^15 / 2^16 = 2^30, and z_y * 2^s + 2^(s-1) < 256 * 2^22 = 2^30.

Example: a 4-bit input (e = 4) with z_x = 2, one weight of 3, bias 10, m = 19661, n = 17, z_y = 0. The offset is
10 - 2 * 3 = 4 = 4 * 2^0, and s = 5. For q_x = 7, acc = 10 + 5 * 3 = 25, and 25 * 19661 / 2^17 = 3.75 is rounded to 4.
On the chip A = (4 << 4) + 112 * 3 = 400, floor(400 * 19661 / 2^16) = 120, and (120 + 16) >> 5 = 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import INT32_MAX, CodeArray, IntArray, Requantization, top_code
from deploy.integer_network import IntegerAdd, IntegerConvolution, IntegerTensor
from deploy.proof import accumulator_bound, largest_step
from deploy.windows import padded, window_view
from network.allocation import Bits

MULTIPLIER_BITS: Final = 15
"""Number of bits of the magnitude of a narrow multiplier."""

PRODUCT_SHIFT: Final = 16
"""Number of low bits of the 48-bit product A * m that the multiplication instruction drops."""

MIN_SHIFT: Final = 1
MAX_SHIFT: Final = 22
"""Smallest and largest second shift s of a narrow layer."""

MAX_OFFSET_SHIFT: Final = 16
"""Largest shift k for which an offset o * 2^k is an int32."""

MAX_ZERO_POINT: Final = 255
"""Largest weight zero point on a chip, which stores it as a byte."""


class ConstantsForm(StrEnum):
    """Form of the requantization constants of a layer with weights on a chip."""

    NARROW = "narrow"
    """A 16-bit multiplier and a 16-bit offset for each output channel: 4 bytes, and 32-bit arithmetic."""
    WIDE = "wide"
    """An int32 multiplier, a shift and an int32 offset for each output channel: 12 bytes, and a 64-bit product."""


@dataclass(frozen=True, slots=True, eq=False)
class NarrowConstants:
    """Constants of a narrow layer with c output channels, as a chip stores them.

    Attributes:
        multiplier: The multipliers m, int16 [c].
        offset: The offsets o in units of 2^offset_shift accumulator steps, int16 [c].
        shift: The shift s after the multiplication, 1 to 22.
        offset_shift: The shift k of the offsets, 0 or more.
        input_shift: The shift e of the input codes: 8 minus the bits of the input.
    """

    multiplier: npt.NDArray[np.int16]
    offset: npt.NDArray[np.int16]
    shift: int
    offset_shift: int
    input_shift: int


def input_shift(bits: Bits) -> int:
    """Return the shift e by which a chip widens input codes of the given number of bits to 8 bits."""
    return 8 - bits


def shift_limits(bits: Bits) -> tuple[int, int]:
    """Return the smallest and the largest shift n of a narrow layer whose input codes have the given number of bits."""
    least = PRODUCT_SHIFT - input_shift(bits)
    return least + MIN_SHIFT, least + MAX_SHIFT


def chip_offsets(layer: IntegerConvolution, layer_input: IntegerTensor) -> IntArray:
    """Return what a chip adds to the sums of raw input codes and centred weights of each output channel: the bias minus
    z_x * sum (q_w - z_w), int64 [output_channels].
    """
    return layer.bias.astype(np.int64) - zero_point_sums(layer.codes, layer.weight_zero_point, layer_input)


def zero_point_sums(codes: CodeArray, zero_point: npt.NDArray[np.int32], layer_input: IntegerTensor) -> IntArray:
    """Return z_x * sum (q_w - z_w) of each output channel, int64 [output_channels].

    Args:
        codes: The weight codes q_w, uint8, output channels first.
        zero_point: The zero points z_w, [1] or [output_channels].
        layer_input: The tensor that the layer reads, with the zero point z_x.
    """
    sums = codes.reshape(len(codes), -1).sum(axis=1, dtype=np.int64) - codes[0].size * zero_point.astype(np.int64)
    scaled: IntArray = layer_input.zero_point * sums
    return scaled


def offset_shift_of(offsets: IntArray) -> int:
    """Return the smallest shift k for which offset / 2^k, rounded down, is an int16 for every offset."""
    low, high = int(offsets.min(initial=0)), int(offsets.max(initial=0))
    return (max(high, -low - 1) >> MULTIPLIER_BITS).bit_length()


def narrow_constants_of(
    layer: IntegerConvolution, layer_input: IntegerTensor, output: IntegerTensor
) -> NarrowConstants | None:
    """Return the narrow constants of a layer with weights, derived from its values; None if the layer is wide.

    A layer with thresholds has neither form: the result is None.

    Args:
        layer: The convolution or fully connected layer.
        layer_input: The tensor that the layer reads.
        output: The tensor that the layer writes.
    """
    multiplier, shifts = layer.requantization.multiplier.astype(np.int64), set(layer.requantization.shift.tolist())
    least, most = shift_limits(layer_input.bits)
    shift = max(shifts)
    if layer.thresholds is not None or len(shifts) > 1 or not least <= shift <= most:
        return None
    if (np.abs(multiplier) >> MULTIPLIER_BITS).any() or output.zero_point > MAX_ZERO_POINT:
        return None
    if (layer.weight_zero_point < 0).any() or (layer.weight_zero_point > MAX_ZERO_POINT).any():
        return None
    offsets = chip_offsets(layer, layer_input)
    offset_shift, widening = offset_shift_of(offsets), input_shift(layer_input.bits)
    if (offsets & ((1 << offset_shift) - 1)).any():
        return None
    if accumulator_bound(layer, layer_input) << widening > INT32_MAX:
        return None
    return NarrowConstants(
        np.broadcast_to(multiplier, offsets.shape).astype(np.int16),
        (offsets >> offset_shift).astype(np.int16),
        shift + widening - PRODUCT_SHIFT,
        offset_shift,
        widening,
    )


def values_of(
    constants: NarrowConstants, codes: CodeArray, zero_point: npt.NDArray[np.int32], layer_input: IntegerTensor
) -> tuple[npt.NDArray[np.int32], Requantization]:
    """Return the biases and the requantization that narrow constants stand for, the inverse of `narrow_constants_of`.

    Args:
        constants: The narrow constants of a layer.
        codes: The weight codes of the layer, uint8, output channels first.
        zero_point: The zero points of its weights, [1] or [output_channels].
        layer_input: The tensor that the layer reads.

    Raises:
        ValueError: if there is not one multiplier and one offset for each output channel, or a bias exceeds int32.
    """
    channels = (len(codes),)
    if constants.multiplier.shape != channels or constants.offset.shape != channels:
        raise ValueError(
            f"{len(codes)} output channels have multipliers of shape {list(constants.multiplier.shape)} and offsets of "
            f"shape {list(constants.offset.shape)}; expected one of each for every channel"
        )
    if zero_point.shape not in ((1,), channels):
        raise ValueError(f"weight zero points of shape {list(zero_point.shape)}; expected 1 or {len(codes)}")
    offsets = constants.offset.astype(np.int64) << constants.offset_shift
    bias = offsets + zero_point_sums(codes, zero_point, layer_input)
    if (np.abs(bias) > INT32_MAX).any():
        raise ValueError(f"the offsets give a bias of {bias[np.abs(bias).argmax()]}; expected values of int32")
    shift = np.full(channels, constants.shift + PRODUCT_SHIFT - constants.input_shift, np.int8)
    return bias.astype(np.int32), Requantization(constants.multiplier.astype(np.int32), shift)


def is_int32_sum(layer: IntegerAdd, inputs: Sequence[IntegerTensor], output: IntegerTensor) -> bool:
    """Return whether a chip can compute a sum of tensors in 32 bits: sum |m_i| * largest |q_i - z_i|, with the output's
    zero point and the half step of the rounding, in units of 2^-n steps, is below 2^31. n is at least 1.
    """
    shift = int(layer.requantization.shift[0])
    terms = zip(layer.requantization.multiplier.tolist(), inputs, strict=True)
    largest = sum(abs(factor) * largest_step(tensor) for factor, tensor in terms)
    return 0 < shift < INT32_MAX.bit_length() and largest + ((output.zero_point + 1) << shift) <= INT32_MAX


def chip_codes(
    layer: IntegerConvolution, layer_input: IntegerTensor, output: IntegerTensor, codes: CodeArray
) -> CodeArray:
    """Compute the output codes of a narrow layer as a chip does, in 32 bits: a slow reference for tests of kernels.

    Args:
        layer: The narrow layer.
        layer_input: The tensor that the layer reads.
        output: The tensor that the layer writes.
        codes: The input codes, uint8 [n, height, width, channels].

    Returns:
        The output codes, uint8 [n, height, width, channels].

    Raises:
        ValueError: if the layer is wide.
        OverflowError: if a value that a chip keeps in an int32 does not fit; this would be an error of the proof.
    """
    constants = narrow_constants_of(layer, layer_input, output)
    if constants is None:
        raise ValueError(f"layer '{layer.name}' is wide; expected a narrow layer")
    widened = codes.astype(np.int64) << constants.input_shift
    filled = padded(widened, layer.padding, layer_input.zero_point << constants.input_shift)
    windows = window_view(filled, layer.kernel, layer.stride, layer.dilation)
    per_group, channels = len(layer.codes) // layer.groups, layer.codes.shape[3]
    zero_points = np.broadcast_to(layer.weight_zero_point, len(layer.codes)).astype(np.int64)
    result = np.empty((*windows.shape[:3], len(layer.codes)), np.uint8)
    for channel, weights in enumerate(layer.codes.astype(np.int64)):
        first = channel // per_group * channels
        window = windows[..., first : first + channels]
        start = int(constants.offset[channel]) << (constants.offset_shift + constants.input_shift)
        sums = (window * weights).sum(axis=(3, 4, 5)) - zero_points[channel] * window.sum(axis=(3, 4, 5))
        product = _checked(start + sums, layer) * int(constants.multiplier[channel]) >> PRODUCT_SHIFT
        addend = (output.zero_point << constants.shift) + (1 << (constants.shift - 1))
        steps = _checked(product + addend, layer) >> constants.shift
        result[..., channel] = np.clip(steps, 0, top_code(output.bits))
    return result


def _checked(values: IntArray, layer: IntegerConvolution) -> IntArray:
    if values.size and not -INT32_MAX - 1 <= values.min() <= values.max() <= INT32_MAX:
        raise OverflowError(f"layer '{layer.name}' computes {values.min()} to {values.max()}; expected values of int32")
    return values
