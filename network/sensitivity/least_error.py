"""Search for the quantization step size of each output channel with the least squared error, on a symmetric grid.

At b bits the grid has the codes -2^(b-1) to 2^(b-1) - 1: one more negative code than positive codes. A negative step
size mirrors the grid, for a channel whose largest weight is positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from network.allocation import NARROWEST_BITS, Bits

_SHARES: Final[dict[Bits, tuple[float, ...]]] = {
    8: (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    4: (0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 1.0),
    2: (0.1, 0.16, 0.22, 0.28, 0.36, 0.46, 0.58, 0.72, 0.9),
}
"""Bits -> step sizes at which the search starts, as shares of the widest: the one whose grid reaches all weights."""

_FEW: Final = 64
"""Number of elements up to which a channel is searched with fine shares: its error has many minima (depthwise)."""

_FINE_SHARES: Final = tuple(np.linspace(0.1, 1.3, 121).tolist())
"""Shares of the widest step size for a channel of few elements."""

_REFINEMENTS: Final = 6
"""Largest number of refinements of a step size."""

Rows = npt.NDArray[np.float32]
"""Weights, one row for each output channel."""


def symmetric_steps(bits: Bits) -> tuple[int, int]:
    """Return the smallest and the largest integer code of a symmetric quantization grid, relative to the zero point."""
    half = 1 << (bits - 1)
    return -half, half - 1


def least_error_steps(rows: Rows, bits: Bits) -> Rows:
    """Return the quantization step size of each output channel that has the least squared quantization error.

    The search starts with the best of several shares of the widest step size. It then alternates: compute the codes q
    for the step size, and the best step size <w, q> / <q, q> for these codes. Neither increases the error (Lloyd,
    "Least squares quantization in PCM", 1982, for a grid with one degree of freedom).

    Args:
        rows: Weights, [output channels, elements].
        bits: Number of bits of each code: 8, 4 or 2.

    Returns:
        Step sizes, float32 [output channels]: negative if a mirrored grid has the smaller error, 1 for a channel of
        zeros.
    """
    rows = rows.astype(np.float32, copy=False)
    lowest, highest = symmetric_steps(bits)
    least, greatest = rows.min(axis=1), rows.max(axis=1)
    is_zero = np.maximum(greatest, -least) <= np.finfo(np.float32).tiny
    # The side of the grid with one more code suits the side with the largest weight. With few codes or few weights, the
    # other side can be better.
    turned = np.where(greatest > -least, -1.0, 1.0).astype(np.float32)
    reach = np.maximum(np.maximum(greatest, -least) / -lowest, np.minimum(greatest, -least) / highest)
    widest = np.where(is_zero, 1.0, reach).astype(np.float32)
    has_few = rows.shape[1] <= _FEW
    signs = (turned, -turned) if has_few or bits == NARROWEST_BITS else (turned,)
    shares = _FINE_SHARES if has_few else _SHARES[bits]
    best, error = _best_of([widest * sign * np.float32(share) for sign in signs for share in shares], rows, bits)
    for _ in range(_REFINEMENTS):
        codes = _codes(rows, best, bits)
        square = np.einsum("ce,ce->c", codes, codes)
        refined = np.where(square > 0, np.einsum("ce,ce->c", rows, codes) / np.maximum(square, 1.0), best)
        refined = np.where(refined == 0, best, refined)
        better, new_error = _best_of([best, refined.astype(np.float32)], rows, bits)
        if not (new_error < error).any():
            break
        best, error = better, new_error
    steps: Rows = np.where(is_zero, np.float32(1.0), best)
    return steps


def on_symmetric_grid(rows: Rows, steps: Rows, bits: Bits) -> Rows:
    """Return weights as floats, rounded to the nearest point of a symmetric quantization grid; ties round up.

    Args:
        rows: Weights, [output channels, elements].
        steps: Step sizes, [output channels].
        bits: Number of bits of each code: 8, 4 or 2.
    """
    return _codes(rows, steps, bits) * steps[:, None]


def _best_of(candidates: Sequence[Rows], rows: Rows, bits: Bits) -> tuple[Rows, Rows]:
    best = candidates[0]
    least = np.full(len(rows), np.inf, dtype=np.float32)
    for steps in candidates:
        difference = on_symmetric_grid(rows, steps, bits) - rows
        error = np.einsum("ce,ce->c", difference, difference)
        best, least = np.where(error < least, steps, best), np.minimum(error, least)
    return best, least


def _codes(rows: Rows, steps: Rows, bits: Bits) -> Rows:
    codes = rows / steps[:, None]
    codes += np.float32(0.5)
    np.floor(codes, out=codes)
    lowest, highest = symmetric_steps(bits)
    return np.clip(codes, lowest, highest, out=codes)
