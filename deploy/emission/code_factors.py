"""Factors of the kernels that requantize single codes (concatenation, max pooling, padding)."""

from __future__ import annotations

from typing import Final, NamedTuple

from deploy.arithmetic import Requantization

LEAST_SHIFT: Final = 22
LARGEST_SHIFT: Final = 46
_SATURATING_BITS: Final = 8
"""log2 of a factor that takes every code but the zero point to an end of the range of 8 bits."""


class CodeFactor(NamedTuple):
    """A factor m / 2^n.

    Attributes:
        multiplier: Multiplier m, int32.
        shift: Shift n, from 22 to 46.
    """

    multiplier: int
    shift: int


def code_factors(requantization: Requantization) -> tuple[CodeFactor, ...]:
    """Return factors with n from 22 to 46 that requantize every code q - z, from -255 to 255, to the same code.

    So a kernel needs one product of 32 bits and 9 bits, and no special cases. A factor of 2^8 or more saturates for all
    codes but the zero point, hence a larger one can be replaced by 2^8; a factor below 2^-15 rounds to 0 steps.

    Args:
        requantization: The factors m / 2^n of a layer, n from 0 to 62.
    """
    return tuple(
        _code_factor(multiplier, shift)
        for multiplier, shift in zip(requantization.multiplier.tolist(), requantization.shift.tolist(), strict=True)
    )


def _code_factor(multiplier: int, shift: int) -> CodeFactor:
    if shift > LARGEST_SHIFT:
        return CodeFactor(0, LARGEST_SHIFT)
    if shift >= LEAST_SHIFT:
        return CodeFactor(multiplier, shift)
    limit = 1 << (shift + _SATURATING_BITS)
    return CodeFactor(min(max(multiplier, -limit), limit) << (LEAST_SHIFT - shift), LEAST_SHIFT)
