"""Integer arithmetic of quantized networks: rounding, requantization, encoding of factors, and packing of codes into
bytes.

Example: the accumulator 1000 and the factor 0.0043 give 4.3 quantization steps of an output with zero point 3.

    0.0043 = m / 2^n       m = 1181975000, n = 38        |m| is in [2^30, 2^31)
    1000 * m               1181975000000
      + 2^(n-1)            1319413953472                 round half up: add half a step, then the shift rounds down
      >> n                 4, and + 3 gives the code 7, which is inside [0, 2^b - 1]
    2.5 rounds to 3 and -2.5 rounds to -2: a half is rounded up, not to the even number

Example of packing, with the first element in the least significant bits:

    4 bits   codes 1, 2, 3         bytes 0x21 0x03
    2 bits   codes 3, 0, 1, 2, 3   bytes 0x93 0x03

Each row (the channels of a pixel, the weights of an output channel) starts on a new byte.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from network.allocation import Bits
from network.errors import ConversionError
from network.memory.packing import packed_row_bytes

IntArray = npt.NDArray[np.int64]
CodeArray = npt.NDArray[np.uint8]

INT32_MAX: Final = 2**31 - 1
MAX_SHIFT: Final = 62
"""Largest shift n of a requantization: |accumulator * m| is below 2^62, and 2^61 can be added in 64 bits."""

MAX_SUM_ERROR: Final = Fraction(1, 8)
"""Largest error in steps that 32-bit addition may add to a sum of tensors."""


def top_code(bits: Bits) -> int:
    """Return the largest integer code of the given number of bits, 2^bits - 1."""
    return (1 << bits) - 1


def round_half_up(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return floor(x + 1/2), the nearest whole number with ties rounded up, e.g. -2.5 to -2; every quantization rounds
    this way.
    """
    rounded: npt.NDArray[np.floating] = np.floor(values + 0.5)
    return rounded


@dataclass(frozen=True, slots=True, eq=False)
class Requantization:
    """Requantization factors m / 2^n, which convert an integer accumulator to quantization steps of a layer's output
    tensor.

    Attributes:
        multiplier: The multipliers m, int32, of shape [1] for the whole layer or [channels]. A multiplier is negative
            where the gamma of the batch norm is negative.
        shift: The shifts n, int8 from 0 to 62, in the shape of `multiplier`.

    Raises:
        ValueError: if the shapes differ, or if a shift is out of range.
    """

    multiplier: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int8]

    def __post_init__(self) -> None:
        if self.multiplier.shape != self.shift.shape or self.multiplier.ndim != 1:
            raise ValueError(
                f"the multipliers have the shape {list(self.multiplier.shape)} and the shifts the shape "
                f"{list(self.shift.shape)}; expected one dimension with one shift for each multiplier"
            )
        if (self.shift < 0).any() or (self.shift > MAX_SHIFT).any():
            raise ValueError(
                f"the requantization has a shift outside 0 to {MAX_SHIFT}; expected whole numbers from 0 to {MAX_SHIFT}"
            )

    @property
    def factors(self) -> npt.NDArray[np.float64]:
        """Real requantization factors m / 2^n, in the shape of the multipliers m."""
        return np.ldexp(self.multiplier.astype(np.float64), -self.shift.astype(np.int64))


def encode_factors(factors: npt.ArrayLike, layer: str) -> Requantization:
    """Encode each real requantization factor as the nearest m / 2^n, with |m| in [2^30, 2^31) unless the shift n is at
    its maximum `MAX_SHIFT`.

    Args:
        factors: The real factors of any sign, [k].
        layer: The name of the layer in the error message.

    Raises:
        ConversionError: if a factor is not finite, or if its magnitude is 2^31 or more.
    """
    multipliers, shifts = [], []
    for factor in np.atleast_1d(np.asarray(factors, dtype=np.float64)).tolist():
        if not math.isfinite(factor) or abs(factor) >= 2.0**31:
            raise ConversionError(
                f"layer '{layer}' needs a requantization factor of {factor}; expected a finite number with a "
                "magnitude below 2^31: the scales of its input, weights and output are too different, so "
                "calibrate or train the network again"
            )
        shift = MAX_SHIFT if factor == 0 else min(31 - math.frexp(factor)[1], MAX_SHIFT)
        multiplier = round(Fraction(factor) * 2**shift)
        if abs(multiplier) > INT32_MAX:  # rounded up to 2^31
            shift -= 1
            multiplier = round(Fraction(factor) * 2**shift)
        if shift < 0:
            raise ConversionError(
                f"layer '{layer}' needs a requantization factor of {factor}; expected a magnitude below 2^31 - "
                "1/2, the largest that an int32 multiplier encodes: calibrate or train the network again"
            )
        multipliers.append(multiplier)
        shifts.append(shift)
    return Requantization(np.array(multipliers, dtype=np.int32), np.array(shifts, dtype=np.int8))


def encode_factors_of_sum(factors: npt.ArrayLike, layer: str) -> Requantization:
    """Encode the real requantization factor of each term of a sum as the nearest m / 2^n, with one shift n for all
    terms.

    The largest |m| is in [2^30, 2^31) if n is not limited by `MAX_SHIFT`. With one shift, a sum of terms is rounded
    only once, after the addition. A smaller factor has fewer significant bits than the largest, but the same maximum
    absolute error, 2^-(n+1).

    Args:
        factors: The real factors of any sign, [k].
        layer: The name of the layer in the error message.

    Raises:
        ConversionError: if a factor is not finite, or if its magnitude is 2^31 or more.
    """
    values = np.atleast_1d(np.asarray(factors, dtype=np.float64))
    shift = int(encode_factors(values, layer).shift.min())
    multipliers = [round(Fraction(factor) * 2**shift) for factor in values.tolist()]
    return Requantization(np.array(multipliers, dtype=np.int32), np.full(len(values), shift, dtype=np.int8))


def encode_factors_of_int32_sum(
    factors: npt.ArrayLike, layer: str, largest_steps: Sequence[int], zero_point: int
) -> Requantization:
    """Encode the real requantization factor of each term of a sum so that a chip can add in 32 bits.

    The shift n is the largest for which sum |m_i| * largest_steps_i + (zero_point + 1) * 2^n is below 2^31. If rounding
    the factors could then change the sum by more than `MAX_SUM_ERROR` steps, as with factors beyond 2^20, the result is
    that of `encode_factors_of_sum`, which needs 64 bits.

    Args:
        factors: The real factors of any sign, [k].
        layer: The name of the layer in the error message.
        largest_steps: The largest |q_i - z_i| of each input, [k].
        zero_point: The zero point of the output.

    Raises:
        ConversionError: if a factor is not finite, or if its magnitude is 2^31 or more.
    """
    wide = encode_factors_of_sum(factors, layer)
    exact = [Fraction(factor) for factor in np.atleast_1d(np.asarray(factors, dtype=np.float64)).tolist()]
    for shift in range(INT32_MAX.bit_length() - 1, 0, -1):
        multipliers = [round(factor * 2**shift) for factor in exact]
        largest = sum(abs(m) * steps for m, steps in zip(multipliers, largest_steps, strict=True))
        if largest + ((zero_point + 1) << shift) > INT32_MAX:
            continue
        terms = zip(multipliers, exact, largest_steps, strict=True)
        if sum(abs(Fraction(m, 2**shift) - factor) * steps for m, factor, steps in terms) > MAX_SUM_ERROR:
            break
        return Requantization(np.array(multipliers, np.int32), np.full(len(multipliers), shift, np.int8))
    return wide


def requantize(accumulator: IntArray, requantization: Requantization, zero_point: int, bits: Bits) -> CodeArray:
    """Convert accumulators to output codes of b bits: clamp(z + round_half_up(accumulator * m / 2^n), 0, 2^b - 1).

    Args:
        accumulator: The accumulators: values of int32 in an int64 array, [..., channels].
        requantization: The multipliers m and shifts n, [1] or [channels] along the last axis.
        zero_point: The zero point z of the output.
        bits: Number of bits b of the output: 8, 4 or 2.

    Returns:
        The codes, uint8 [..., channels].
    """
    products = accumulator * requantization.multiplier.astype(np.int64)
    return round_to_codes(products, requantization.shift, zero_point, bits)


def round_to_codes(products: IntArray, shift: npt.NDArray[np.int8], zero_point: int, bits: Bits) -> CodeArray:
    """Convert products p of accumulators and multipliers to output codes of b bits: clamp(z + round_half_up(p / 2^n),
    0, 2^b - 1).

    Args:
        products: The products p of accumulators and multipliers, int64 [..., channels], with a magnitude below
            2^62 + 2^61. The array is overwritten.
        shift: The shifts n, [1] or [channels].
        zero_point: The zero point z of the output.
        bits: Number of bits b of the output: 8, 4 or 2.

    Returns:
        The codes, uint8 [..., channels].
    """
    wide_shift = shift.astype(np.int64)
    products += np.where(wide_shift > 0, np.int64(1) << np.maximum(wide_shift - 1, 0), 0)
    products >>= wide_shift
    products += zero_point
    np.clip(products, 0, top_code(bits), out=products)
    return products.astype(np.uint8)


def quantize(
    values: npt.NDArray[np.floating], scale: float | npt.NDArray[np.floating], zero_point: int | IntArray, bits: Bits
) -> CodeArray:
    """Quantize real values x to integer codes: clamp(round_half_up(x / scale) + zero_point, 0, 2^bits - 1)."""
    steps = round_half_up(np.asarray(values, dtype=np.float64) / scale) + zero_point
    codes: CodeArray = np.clip(steps, 0, top_code(bits)).astype(np.uint8)
    return codes


def pack_rows(codes: CodeArray, bits: Bits) -> npt.NDArray[np.uint8]:
    """Pack integer codes of 8, 4 or 2 bits into bytes; the first code of a byte is in its least significant bits.

    Args:
        codes: The codes, uint8 [rows, elements].
        bits: Number of bits of each code: 8, 4 or 2.

    Returns:
        The bytes, uint8 [rows, packed_row_bytes(elements, bits)]. The unused bits of a row's last byte are 0.

    Raises:
        ValueError: if a code exceeds 2^bits - 1.
    """
    rows, elements = codes.shape
    if codes.size and int(codes.max()) > top_code(bits):
        raise ValueError(f"a code of {int(codes.max())} does not fit into {bits} bits")
    per_byte = 8 // bits
    row_bytes = packed_row_bytes(elements, bits)
    padded = np.zeros((rows, row_bytes * per_byte), dtype=np.uint8)
    padded[:, :elements] = codes
    shifts = np.arange(per_byte, dtype=np.uint8) * np.uint8(bits)
    packed: npt.NDArray[np.uint8] = np.bitwise_or.reduce(padded.reshape(rows, row_bytes, per_byte) << shifts, axis=2)
    return packed


def unpack_rows(packed: npt.NDArray[np.uint8], elements: int, bits: Bits) -> CodeArray:
    """Unpack bytes into integer codes of 8, 4 or 2 bits; the first code of a byte is in its least significant bits.

    Args:
        packed: The bytes, uint8 [rows, packed_row_bytes(elements, bits)].
        elements: Number of codes of each row.
        bits: Number of bits of each code: 8, 4 or 2.

    Returns:
        The codes, uint8 [rows, elements].

    Raises:
        ValueError: if the rows have another number of bytes.
    """
    if packed.shape[1] != packed_row_bytes(elements, bits):
        raise ValueError(f"{elements} codes of {bits} bits need {packed_row_bytes(elements, bits)} bytes for each row")
    shifts = np.arange(8 // bits, dtype=np.uint8) * np.uint8(bits)
    codes = (packed[:, :, None] >> shifts) & np.uint8(top_code(bits))
    return np.ascontiguousarray(codes.reshape(len(packed), packed.shape[1] * len(shifts))[:, :elements])
