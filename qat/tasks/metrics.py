"""Metrics of a network's quality, computed from sums over batches of samples, or from all scores. Imports no torch.

Average precision and the area under the ROC curve are those of scikit-learn.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from network.layers import Float32Array

MAX_SNR_DB: Final = 200.0
"""Largest and, negated, smallest signal-to-noise ratio that is reported, in dB; an error of 0 has no finite ratio."""

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


def percent(agreeing: npt.NDArray[np.bool_]) -> float:
    """Return the percentage of true values in a boolean array, 0 to 100."""
    return 100.0 * float(agreeing.mean())


def signal_to_noise_db(signal_power: float, error_power: float) -> float:
    """Return a signal-to-noise ratio in dB, from -`MAX_SNR_DB` to `MAX_SNR_DB`.

    Args:
        signal_power: Sum of the squared targets.
        error_power: Sum of the squared differences between outputs and targets.
    """
    if error_power <= 0:
        return MAX_SNR_DB
    if signal_power <= 0:
        return -MAX_SNR_DB
    return max(-MAX_SNR_DB, min(MAX_SNR_DB, 10 * math.log10(signal_power / error_power)))


def coefficient_of_determination(error: Float64Array, spread: Float64Array) -> float:
    """Return the coefficient of determination R2, averaged over the output values (uniform average).

    As in scikit-learn, constant targets count 1 if they are met exactly, and 0 otherwise.

    Args:
        error: Sum of the squared errors of each output value, [values].
        spread: Sum of the squared differences between each output value's targets and their mean, [values].
    """
    constant = np.where(error > 0, 0.0, 1.0)
    varying = 1.0 - error / np.where(spread > 0, spread, 1.0)
    return float(np.where(spread > 0, varying, constant).mean())


def mean_intersection_over_union(confusion: Int64Array) -> float:
    """Return the mean intersection over union in percent, over the classes that occur in targets or predictions.

    Args:
        confusion: Number of pixels for each target class (row) and predicted class (column), [classes, classes].
    """
    intersection = np.diagonal(confusion).astype(np.float64)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - intersection
    occurs = union > 0
    return 100.0 * float((intersection[occurs] / union[occurs]).mean()) if occurs.any() else 0.0


def mean_average_precision(scores: Float32Array, targets: Float32Array) -> float:
    """Return the average precision in percent, averaged over the labels that are true for a sample.

    Args:
        scores: Score of each label, [n, labels].
        targets: 1 for a true label and 0 for a false one, [n, labels].
    """
    from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]  # it ships no types

    occurring = [label for label in range(targets.shape[1]) if targets[:, label].any()]
    if not occurring:
        return 0.0
    precisions = [average_precision_score(targets[:, label], scores[:, label]) for label in occurring]
    return 100.0 * float(np.mean(precisions))


def area_under_roc(scores: npt.NDArray[np.floating], is_positive: npt.NDArray[np.bool_]) -> float:
    """Return the area under the receiver operating characteristic, 0 to 1; 0.5 if one of the two classes is missing.

    Args:
        scores: Score of each sample, larger for the positive class, [n].
        is_positive: Whether each sample belongs to the positive class, [n].
    """
    from sklearn.metrics import roc_auc_score

    if is_positive.all() or not is_positive.any():
        return 0.5
    return float(roc_auc_score(is_positive, scores))
