"""Rank correlation of predictions with measurements, with intervals by the bootstrap."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import nan
from statistics import fmean
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata, spearmanr

RESAMPLES: Final = 2000
FEWEST: Final = 3
"""Smallest number of allocations under a budget for which a correlation within the budget is computed."""

QUANTILES: Final = (0.05, 0.95)
"""Ends of the intervals, which hold 90 % of the resampled correlations."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rank correlation with its interval.

    Attributes:
        value: The correlation, -1 to 1.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float


class Resampled:
    """Measurements of allocations under several budgets, resampled within each budget.

    All correlations use the same resamples, so that the difference of two predictions can be resampled, too.

    Args:
        groups: The budget of each allocation.
        measured: The measurement of each allocation.
        seed: Seed of the resamples.
    """

    def __init__(self, groups: Sequence[Hashable], measured: Sequence[float], seed: int = 0) -> None:
        self._measured = np.asarray(measured, dtype=np.float64)
        randomness = np.random.default_rng(seed)
        self._members = [np.flatnonzero([each == group for each in groups]) for group in dict.fromkeys(groups)]
        self._drawn = [each[randomness.integers(len(each), size=(RESAMPLES, len(each)))] for each in self._members]

    def overall(self, predicted: Sequence[float]) -> Correlation:
        """Return the rank correlation over the allocations of all budgets."""
        values = np.asarray(predicted, dtype=np.float64)
        return _correlation(_spearman(values, self._measured), self._overall_draws(values))

    def within(self, predicted: Sequence[float]) -> Correlation:
        """Return the mean over the budgets of the rank correlation within each; budgets with fewer than `FEWEST`
        allocations are left out, and without others the correlation is not a number.
        """
        values = np.asarray(predicted, dtype=np.float64)
        each = [_spearman(values[chosen], self._measured[chosen]) for chosen in self._members if len(chosen) >= FEWEST]
        return _correlation(fmean(each) if each else nan, self._within_draws(values))

    def gain_within(self, predicted: Sequence[float], other: Sequence[float]) -> Correlation:
        """Return how much higher `within` is for one prediction than for another, with its interval."""
        draws = [self._within_draws(np.asarray(each, dtype=np.float64)) for each in (predicted, other)]
        return _correlation(self.within(predicted).value - self.within(other).value, draws[0] - draws[1])

    def _overall_draws(self, values: Values) -> Values:
        drawn = np.concatenate(self._drawn, axis=1)
        return _row_correlations(values[drawn], self._measured[drawn])

    def _within_draws(self, values: Values) -> Values:
        rows = [
            _row_correlations(values[drawn], self._measured[drawn]) for drawn in self._drawn if drawn.shape[1] >= FEWEST
        ]
        mean: Values = np.mean(rows, axis=0) if rows else np.full(RESAMPLES, nan)
        return mean


def _spearman(one: Values, other: Values) -> float:
    """Return Spearman's rank correlation; not a number where all values of one are equal."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return nan
    return float(spearmanr(one, other).statistic)


def _correlation(value: float, draws: Values) -> Correlation:
    if np.isnan(draws).all():
        return Correlation(value, nan, nan)
    low, high = np.nanquantile(draws, QUANTILES)
    return Correlation(value, float(low), float(high))


def _row_correlations(one: Values, other: Values) -> Values:
    """Return Spearman's rank correlation of each row, [rows]; not a number where all values of a row are equal."""
    first, second = (rankdata(each, axis=1) for each in (one, other))
    first, second = (each - each.mean(axis=1, keepdims=True) for each in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        rows: Values = (first * second).sum(axis=1) / np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return rows
