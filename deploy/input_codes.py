"""Conversion of samples to the integer codes of a network's input tensor: the one definition of their rounding.

A real value x of the input tensor has the code

    q = clamp(floor(x / scale + 1/2 + 2^-12) + zero_point, 0, 2^bits - 1)

A sample that is a byte has the code of x = (byte - subtract) * multiply, computed without any rounding: a table of 256
codes for each normalisation. Example, with scale = multiply = 1 / 127.5, subtract = 127.5 and the zero point 127:

    byte             0      1     127    128    255
    x / scale    -127.5 -126.5   -0.5    0.5  127.5     every byte is exactly between two codes
    code             0      1     127    128    255     a half is rounded up: each byte is its own code

Floating-point code that computes x in float32 has an error of up to 2^-14 quantization steps. Without the 2^-12, this
error would decide each of these codes. With the 2^-12, it decides none of them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, IntArray, quantize, top_code
from deploy.integer_network import IntegerTensor
from network.allocation import Bits
from network.errors import DatasetError
from network.network_input import InputFormat

HALF_TOLERANCE: Final = 2.0**-12
"""Distance below a half, in quantization steps, from which an input value is rounded up like the half itself."""

BYTE_VALUES: Final = 256
"""Number of different bytes."""

MAX_TABLE_ROWS: Final = 4096
"""Largest number of rows of a table from bytes to codes: 1 MiB. With more, samples have real values only."""

_EXACT_BELOW: Final = 1e-6
"""Distance from the rounding threshold, in quantization steps, below which a byte's code is computed with fractions."""

Float64Array = npt.NDArray[np.float64]


def codes_of_values(values: npt.NDArray[np.floating], scale: float, zero_point: int, bits: Bits) -> CodeArray:
    """Quantize real values of a network's input tensor to integer codes, in the shape of the values.

    Args:
        values: The real values x, of any shape.
        scale: Scale of the input tensor, above 0.
        zero_point: Zero point of the input tensor.
        bits: Number of bits of each code: 8, 4 or 2.
    """
    return quantize(np.asarray(values, dtype=np.float64) + HALF_TOLERANCE * scale, scale, zero_point, bits)


def codes_of_bytes(input_format: InputFormat, tensor: IntegerTensor) -> CodeArray:
    """Compute the exact table from bytes to codes of a network's input tensor.

    Args:
        input_format: Conversion of a sample to a real value.
        tensor: The input tensor, which gives scale, zero point and bits.

    Returns:
        The codes, uint8 [rows, 256]: one row for all elements, or one for each number of the input format.
    """
    steps = steps_of_bytes(input_format, tensor.scale) + (0.5 + HALF_TOLERANCE)
    rounded: IntArray = np.floor(steps).astype(np.int64)
    # float64 can be wrong at a threshold only; there, the code is computed from the same numbers without rounding.
    subtract, multiply = (np.broadcast_to(each, len(steps)) for each in (input_format.subtract, input_format.multiply))
    lift = Fraction(1, 2) + Fraction(HALF_TOLERANCE)
    for row, byte in np.argwhere(np.abs(steps - np.round(steps)) < _EXACT_BELOW).tolist():
        exact = (byte - Fraction(float(subtract[row]))) * Fraction(float(multiply[row])) / Fraction(tensor.scale)
        rounded[row, byte] = (exact + lift).__floor__()
    codes: CodeArray = np.clip(rounded + tensor.zero_point, 0, top_code(tensor.bits)).astype(np.uint8)
    return codes


def steps_of_bytes(input_format: InputFormat, scale: float) -> Float64Array:
    """Compute the real value of each byte in quantization steps, not yet rounded: float64 [rows, 256]."""
    subtract, multiply = (np.asarray(each)[:, None] for each in (input_format.subtract, input_format.multiply))
    # Every code is at most 255 steps from zero: larger numbers are limited, so that they can be converted to integers.
    with np.errstate(over="ignore"):
        steps: Float64Array = np.clip((np.arange(BYTE_VALUES) - subtract) * multiply / scale, -(2.0**31), 2.0**31)
    return steps


def distance_from_half(input_format: InputFormat, scale: float) -> float:
    """Return the smallest distance between a byte's real value and a half code, in quantization steps, 0 to 1/2."""
    steps = steps_of_bytes(input_format, scale) + 0.5
    return float(np.abs(steps - np.round(steps)).min())


def has_table(input_format: InputFormat) -> bool:
    """Return whether the samples are bytes, and their codes come from a table of at most `MAX_TABLE_ROWS` rows."""
    return input_format.samples_are_bytes and rows_of(input_format) <= MAX_TABLE_ROWS


def rows_of(input_format: InputFormat) -> int:
    """Return the number of different normalisations: 1, or one for each channel."""
    return max(len(input_format.subtract), len(input_format.multiply))


def is_identity(table: CodeArray) -> bool:
    """Return whether a table from bytes to codes, uint8 [rows, 256], gives each byte as its own code."""
    return bool((table == np.arange(BYTE_VALUES)).all())


def codes_of_samples(samples: npt.NDArray[np.uint8], input_format: InputFormat, tensor: IntegerTensor) -> CodeArray:
    """Convert samples that are bytes to the codes of a network's input tensor by the exact table.

    Args:
        samples: The bytes in the layout of the input format, uint8 [n, *dims].
        input_format: Conversion of a sample to a real value.
        tensor: The input tensor, which gives shape, scale, zero point and bits.

    Returns:
        The codes, uint8 [n, height, width, channels].

    Raises:
        DatasetError: if the samples have another shape.
    """
    if samples.shape[1:] != input_format.dims:
        raise DatasetError(
            f"the samples have the shape {list(samples.shape)}; expected [n, {', '.join(map(str, input_format.dims))}]"
        )
    table = codes_of_bytes(input_format, tensor)
    if len(table) == 1:
        codes = table[0][input_format.arranged(samples, tensor.shape)]
    else:
        rows = input_format.along_channels(np.arange(len(table)))
        codes = table[rows, input_format.arranged(samples, tensor.shape)]
    return np.ascontiguousarray(codes.transpose(0, 2, 3, 1))
