"""Histograms of tensors, and where a range on them ends: by the least squared error, or by percentiles."""

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
_SHARES: Final = np.concatenate([np.linspace(0.02, 0.2, 10), np.linspace(0.22, 1.0, 40)])
"""Of the observed minimum and maximum: the bounds that are tried."""


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How often values fall into equal bins between `low` <= 0 and `high` >= 0.

    Attributes:
        low: the smallest value, or 0.
        high: the largest value, or 0.
        counts: float64 [BINS].
    """

    low: float
    high: float
    counts: npt.NDArray[np.float64]


def histogram_of(values: Tensor, low: float | None = None, high: float | None = None) -> Histogram:
    """The histogram of a tensor between its own extremes, or between those given, which must enclose them."""
    values = values.detach()
    low = min(float(values.min()), 0.0) if low is None else low
    high = max(float(values.max()), 0.0) if high is None else high
    if high <= low:
        return Histogram(low, high, np.zeros(BINS))
    return Histogram(low, high, torch.histc(values.float(), BINS, low, high).double().numpy())


def percentile_range(histogram: Histogram, percent: float) -> tuple[float, float]:
    """The range [low, high] around zero that leaves out equal shares of the values at both ends.

    Args:
        histogram: of the values.
        percent: of the values that lie inside, 0 to 100. Where no value is below zero, only the upper end leaves any
            out.
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
    """The range [low, high] around zero with the least squared error at `bits` bits, among shares of the extremes.

    The grid is taken as it will be used: the zero point rounded to a code.
    """
    low, high = histogram.low, histogram.high
    if high <= low:
        return low, high
    edges = np.linspace(low, high, BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    occupied = histogram.counts > 0
    centres, counts = centres[occupied], histogram.counts[occupied]
    best = (np.inf, low, high)
    # Coarse over both ends, then finer around the best: the error has one broad minimum.
    lows = low * _SHARES[::3] if low < 0 else np.zeros(1)
    highs = high * _SHARES[::3] if high > 0 else np.zeros(1)
    for _ in range(2):
        for each_low in lows:
            for each_high in highs:
                error = _squared_error(centres, counts, each_low, each_high, bits)
                # At equal errors the wider range, which clips less of what was not seen.
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
