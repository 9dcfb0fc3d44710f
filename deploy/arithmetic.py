"""The integer arithmetic, defined once: rounding, requantization, multipliers and packing.

By hand: an accumulator of 1000 that stands for 1000 * 0.0043 = 4.3 steps of an output with zero point 3:

    0.0043 = m / 2^n       m = 1181975000, n = 38        |m| lies in [2^30, 2^31)
    1000 * m               1181975000000
      + 2^(n-1)            1319413953472                 half up: half a step is added, then the shift floors
      >> n                 4, and + 3 is 7, inside [0, 2^b - 1]
    a value of 2.5 gives 3 and -2.5 gives -2: half goes up, not to even

Packing, the first element in the least significant bits:

    4 bits   codes 1, 2, 3         bytes 0x21 0x03
    2 bits   codes 3, 0, 1, 2, 3   bytes 0x93 0x03

Each row (a pixel's channels, an output channel's weights) starts on a byte of its own.
"""

from __future__ import annotations

import math
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
"""acc * m stays below 2^62 in magnitude, so half a step of 2^61 more still fits into 64 bits."""


def top_code(bits: Bits) -> int:
    """The largest code at `bits` bits."""
    return (1 << bits) - 1


def round_half_up(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """floor(x + 1/2), the rounding of every quantization: halves go up, -2.5 to -2."""
    rounded: npt.NDArray[np.floating] = np.floor(values + 0.5)
    return rounded


@dataclass(frozen=True, slots=True, eq=False)
class Requantization:
    """The factors m / 2^n from an accumulator to the steps of an output tensor.

    Attributes:
        multiplier: m, int32 values, [1] for a layer or [channels]; negative where a batch norm's gamma is.
        shift: n, from 0 to 62, as many as there are multipliers.
    """

    multiplier: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int8]

    def __post_init__(self) -> None:
        if self.multiplier.shape != self.shift.shape or self.multiplier.ndim != 1:
            raise ValueError("a requantization has one shift per multiplier")
        if (self.shift < 0).any() or (self.shift > MAX_SHIFT).any():
            raise ValueError(f"shifts lie between 0 and {MAX_SHIFT}")

    @property
    def factors(self) -> npt.NDArray[np.float64]:
        """The real factors, m / 2^n."""
        return np.ldexp(self.multiplier.astype(np.float64), -self.shift.astype(np.int64))


def encode_factors(factors: npt.ArrayLike, layer: str) -> Requantization:
    """The nearest m / 2^n to each real factor, |m| in [2^30, 2^31) wherever n allows it.

    Args:
        factors: real factors, any sign, [k].
        layer: named in the error.

    Raises:
        ConversionError: a factor that is not finite, or 2^31 and more in magnitude.
    """
    multipliers, shifts = [], []
    for factor in np.atleast_1d(np.asarray(factors, dtype=np.float64)).tolist():
        if not math.isfinite(factor) or abs(factor) >= 2.0**31:
            raise ConversionError(
                f"layer '{layer}' needs a requantization factor of {factor}; it must be finite and below 2^31: "
                "its scales lie too far apart"
            )
        shift = MAX_SHIFT if factor == 0 else min(31 - math.frexp(factor)[1], MAX_SHIFT)
        multiplier = round(Fraction(factor) * 2**shift)
        if abs(multiplier) > INT32_MAX:  # rounded up to 2^31
            shift -= 1
            multiplier = round(Fraction(factor) * 2**shift)
        if shift < 0:
            raise ConversionError(f"layer '{layer}' needs a requantization factor of {factor}, above int32's range")
        multipliers.append(multiplier)
        shifts.append(shift)
    return Requantization(np.array(multipliers, dtype=np.int32), np.array(shifts, dtype=np.int8))


def encode_factors_of_sum(factors: npt.ArrayLike, layer: str) -> Requantization:
    """The nearest m / 2^n to each real factor with one n for all: the largest |m| in [2^30, 2^31) wherever n allows it.

    A sum of terms can then be rounded once, after adding. A smaller factor has fewer significant bits, but the same
    absolute error as the largest: half of 2^-n.

    Args:
        factors: real factors, any sign, [k].
        layer: named in the error.

    Raises:
        ConversionError: as `encode_factors`.
    """
    values = np.atleast_1d(np.asarray(factors, dtype=np.float64))
    shift = int(encode_factors(values, layer).shift.min())
    multipliers = [round(Fraction(factor) * 2**shift) for factor in values.tolist()]
    return Requantization(np.array(multipliers, dtype=np.int32), np.full(len(values), shift, dtype=np.int8))


def requantize(accumulator: IntArray, requantization: Requantization, zero_point: int, bits: Bits) -> CodeArray:
    """y = clamp(z_y + round_half_up(acc * m / 2^n), 0, 2^b - 1).

    Args:
        accumulator: int32 values held in int64, [..., channels].
        requantization: [1] or [channels], along the last axis.
        zero_point: z_y.
        bits: b.

    Returns:
        Codes, [..., channels].
    """
    products = accumulator * requantization.multiplier.astype(np.int64)
    return round_to_codes(products, requantization.shift, zero_point, bits)


def round_to_codes(products: IntArray, shift: npt.NDArray[np.int8], zero_point: int, bits: Bits) -> CodeArray:
    """y = clamp(z_y + round_half_up(p / 2^n), 0, 2^b - 1), the last part of every requantization.

    Args:
        products: accumulators times multipliers, below 2^62 + 2^61 in magnitude, [..., channels]; overwritten.
        shift: n, [1] or [channels].
        zero_point: z_y.
        bits: b.

    Returns:
        Codes, [..., channels].
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
    """Real values -> codes: clamp(round_half_up(x / s) + z, 0, 2^b - 1)."""
    steps = round_half_up(np.asarray(values, dtype=np.float64) / scale) + zero_point
    codes: CodeArray = np.clip(steps, 0, top_code(bits)).astype(np.uint8)
    return codes


def pack_rows(codes: CodeArray, bits: Bits) -> npt.NDArray[np.uint8]:
    """Codes [rows, elements] -> bytes [rows, packed_row_bytes]; the first element in the least significant bits."""
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
    """Bytes [rows, packed_row_bytes] -> codes [rows, elements]; the inverse of `pack_rows`."""
    if packed.shape[1] != packed_row_bytes(elements, bits):
        raise ValueError(f"{elements} codes of {bits} bits take {packed_row_bytes(elements, bits)} bytes a row")
    shifts = np.arange(8 // bits, dtype=np.uint8) * np.uint8(bits)
    codes = (packed[:, :, None] >> shifts) & np.uint8(top_code(bits))
    return np.ascontiguousarray(codes.reshape(len(packed), packed.shape[1] * len(shifts))[:, :elements])
