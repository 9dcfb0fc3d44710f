"""Histograms of tensors, and quantization ranges chosen from them by least squared error or by percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deploy.arithmetic import top_code
from network.allocation import Bits

BINS: Final = 4096
"""Number of bins of each histogram of a tensor's values."""

_SHARES: Final = np.concatenate([np.linspace(0.02, 0.2, 10), np.linspace(0.22, 1.0, 40)])
"""Candidate bounds of a quantization range, as shares of the observed minimum and maximum."""


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Histogram of a tensor: number of values in each of `BINS` bins of equal width between `low` and `high`.

    Attributes:
        low: Lower end of the histogram: the smallest value, or 0 if all values are positive.
        high: Upper end of the histogram: the largest value, or 0 if all values are negative.
        counts: Number of values in each bin, float64 [BINS].
    """

    low: float
    high: float
    counts: npt.NDArray[np.float64]


def histogram_of(values: Tensor, low: float | None = None, high: float | None = None) -> Histogram:
    """Compute the histogram of a tensor's values.

    Args:
        values: Real values of any shape.
        low: Lower end of the histogram, at most the smallest value and at most 0; None takes the minimum.
        high: Upper end of the histogram, at least the largest value and at least 0; None takes the maximum.
    """
    values = values.detach()
    low = min(float(values.min()), 0.0) if low is None else low
    high = max(float(values.max()), 0.0) if high is None else high
    if high <= low:
        return Histogram(low, high, np.zeros(BINS))
    return Histogram(low, high, torch.histc(values.float(), BINS, low, high).double().numpy())


def percentile_range(histogram: Histogram, percent: float) -> tuple[float, float]:
    """Choose the quantization range [low, high] that contains zero and a given percentage of a histogram's values.

    Equal shares of the values are outside at both ends. If all values have the same sign, the excluded values are at
    the end that is far from zero.

    Args:
        histogram: Histogram of the values.
        percent: Percentage of the values inside the range, 0 to 100.
    """
    low, high = histogram.low, histogram.high
    total = histogram.counts.sum()
    if high <= low or total == 0:
        return low, high
    outside = 1.0 - percent / 100.0
    ends = (outside / 2, 1.0 - outside / 2) if low < 0.0 < high else (0.0, percent / 100.0)
    if high <= 0.0:
        ends = (outside, 1.0)
    edges = np.linspace(low, high, BINS + 1)
    below = np.concatenate(([0.0], np.cumsum(histogram.counts) / total))
    first = int(np.searchsorted(below, ends[0], side="right")) - 1
    last = int(np.searchsorted(below, ends[1], side="left"))
    return min(float(edges[first]), 0.0), max(float(edges[min(last, BINS)]), 0.0)


def least_error_range(histogram: Histogram, bits: Bits) -> tuple[float, float]:
    """Choose, by a grid search, the range [low, high] that contains zero and has the least squared quantization error.

    The candidates are shares of the observed minimum and maximum. The error includes the rounding of the zero point.

    Args:
        histogram: Histogram of the values.
        bits: Number of bits of each code: 8, 4 or 2.
    """
    low, high = histogram.low, histogram.high
    if high <= low:
        return low, high
    edges = np.linspace(low, high, BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    occupied = histogram.counts > 0
    centres, counts = centres[occupied], histogram.counts[occupied]
    best = (np.inf, low, high)
    # A coarse search over both ends, then a finer one around the best: the error has one broad minimum.
    lows = low * _SHARES[::3] if low < 0 else np.zeros(1)
    highs = high * _SHARES[::3] if high > 0 else np.zeros(1)
    for _ in range(2):
        for each_low in lows:
            for each_high in highs:
                error = _squared_error(centres, counts, each_low, each_high, bits)
                # For equal errors, choose the wider range, which clips fewer of the values that were not measured.
                if error < best[0] or (error == best[0] and each_high - each_low > best[2] - best[1]):
                    best = (error, float(each_low), float(each_high))
        lows = np.unique(np.clip(best[1] * np.linspace(0.9, 1.1, 9), low, 0.0))
        highs = np.unique(np.clip(best[2] * np.linspace(0.9, 1.1, 9), 0.0, high))
    return best[1], best[2]


def _squared_error(
    centres: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], low: float, high: float, bits: Bits
) -> float:
    top = top_code(bits)
    scale = (high - low) / top
    if scale <= 0:
        return float(np.inf)
    zero_point = np.floor(-low / scale + 0.5)
    steps = np.clip(np.floor(centres / scale + 0.5), -zero_point, top - zero_point)
    return float(counts @ (centres - steps * scale) ** 2)
