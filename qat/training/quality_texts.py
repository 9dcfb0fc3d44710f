"""Warnings about a float network that is no better than a trivial predictor, for tasks other than `classes`.

| task | trivial predictor |
|---|---|
| `regression` | the mean of the targets (R2 of 0) |
| `images`, `anomaly` | zeros (signal-to-noise ratio of 0 dB), the mean of the targets |
| `anomaly` | random scores (area under the ROC curve of 0.5) |
| `two_classes` | the more frequent class |
| `labels` | random scores (average precision: the share of the samples that have the label) |
| `pixels` | the most frequent class everywhere, or classes drawn with their shares |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from network.layers import Float32Array
from qat.options.task import Metric, TaskKind
from qat.tasks.targets import NO_CLASS

NEAR_CHANCE_FACTOR: Final = 1.5
NEAR_CHANCE_REMAINDER: Final = 0.25
"""A share is near chance if it is at most 1.5 times that of chance, and a quarter of the way from chance to 1."""
_MIN_EXPLAINED: Final = 0.5
"""Share of the targets' variance that a linear function of the outputs must explain to be named as the likely cause."""
_GOOD_AUC: Final = 0.75
_TRIVIAL_SNR_DB: Final = 0.5
"""Signal-to-noise ratio up to which an output is like zeros: outputs far smaller than the targets have 0.03 dB."""

Array = npt.NDArray[Any]

PREPROCESSING: Final = (
    "the normalisation of the samples is missing or applied twice (compare the subtract and multiply values of the "
    "network's input format with the preprocessing of the dataset), or the network is not trained"
)
"""Causes of a useless float network that every task has."""


def quality_text(kind: TaskKind, figures: Mapping[Metric, float], outputs: Float32Array, targets: Array) -> str | None:
    """Return the warning for the figures of a float network; None if they are better than those of a trivial predictor.

    Args:
        kind: The task.
        figures: Figures of the float network on the checked samples.
        outputs: Values of the judged output for these samples, float32 [n, values].
        targets: Their targets, in the form that the task compares with outputs.
    """
    count = f"{len(targets):,} samples"
    match kind:
        case TaskKind.REGRESSION | TaskKind.IMAGES | TaskKind.ANOMALY:
            return _of_numbers(figures, outputs, targets, count)
        case TaskKind.TWO_CLASSES:
            return _of_two_classes(figures, targets, count)
        case TaskKind.LABELS:
            return _of_labels(figures[Metric.AVERAGE_PRECISION], targets, count)
        case TaskKind.PIXELS:
            return _of_pixels(figures[Metric.MEAN_IOU], targets, count)
    return None


def near_chance(chance: float) -> float:
    """Return the largest share, 0 to 1, that counts as near chance.

    Args:
        chance: Share that a trivial predictor reaches, 0 to 1.
    """
    return min(NEAR_CHANCE_FACTOR * chance, chance + NEAR_CHANCE_REMAINDER * (1 - chance))


def _of_numbers(figures: Mapping[Metric, float], outputs: Float32Array, targets: Array, count: str) -> str | None:
    if Metric.R2 in figures:
        if figures[Metric.R2] > 0:
            return None
        return (
            f"the float network has an R2 of {figures[Metric.R2]:.3g} on {count}, which is no better than the mean of "
            f"the targets (R2 of 0; root mean squared error {figures[Metric.RMSE]:.4g}). {_causes(outputs, targets)}"
        )
    expected = targets.astype(np.float64)
    error = float(np.square(outputs - expected).sum())
    is_like_zeros = figures[Metric.SNR] <= _TRIVIAL_SNR_DB
    if not is_like_zeros and error < float(np.square(expected - expected.mean(axis=0)).sum()):
        return None
    trivial = "an output of zeros" if is_like_zeros else "the mean of the targets"
    return (
        f"the float network has a signal-to-noise ratio of {figures[Metric.SNR]:.2f} dB on {count}, which is no better "
        f"than {trivial}. {_causes(outputs, targets)}"
    )


def _of_two_classes(figures: Mapping[Metric, float], targets: Array, count: str) -> str | None:
    accuracy, auc = figures[Metric.ACCURACY], figures[Metric.AUC]
    share = float(max(targets.mean(), 1 - targets.mean()))
    if share == 1 or accuracy > 100 * near_chance(share):
        return None
    cause = PREPROCESSING
    if auc <= 1 - _GOOD_AUC:
        cause = "the two classes are exchanged: subtract the labels from 1"
    elif auc >= _GOOD_AUC:
        cause = "the output is no logit with the threshold 0, but for example a probability with the threshold 0.5"
    return (
        f"the float network classifies {accuracy:.1f} % of {count} correctly (area under the ROC curve {auc:.2f}), "
        f"which is near chance: the larger class has {100 * share:.1f} % of the samples. Likely cause: {cause}"
    )


def _of_labels(precision: float, targets: Array, count: str) -> str | None:
    occurring = targets.any(axis=0)
    share = float(targets[:, occurring].mean()) if occurring.any() else 1.0
    if share == 1 or precision > 100 * near_chance(share):
        return None
    return (
        f"the float network has a mean average precision of {precision:.1f} % on {count}, which is near the "
        f"{100 * share:.1f} % of random scores. Likely causes: the labels are in another order than the network's "
        f"outputs, {PREPROCESSING}"
    )


def _of_pixels(mean_iou: float, targets: Array, count: str) -> str | None:
    classes, pixels = np.unique(targets[targets != NO_CLASS], return_counts=True)
    if len(classes) < 2:  # one class alone tells nothing
        return None
    shares = pixels / pixels.sum()
    # Intersection over union of the most frequent class everywhere: its share, and 0 for all other classes. Of classes
    # that are drawn with their shares p: p / (2 - p).
    trivial = 100 * float(max(shares.max() / len(classes), (shares / (2 - shares)).mean()))
    if mean_iou > min(1.25 * trivial, trivial + 0.1 * (100 - trivial)):
        return None
    return (
        f"the float network has a mean intersection over union of {mean_iou:.1f} % on {count}, which is near the "
        f"{trivial:.1f} % of classes without regard to the image. Likely causes: the masks number the classes in "
        f"another order than the network's outputs, {PREPROCESSING}"
    )


def _causes(outputs: Float32Array, targets: Array) -> str:
    """Return the likely causes of a large error, by a linear fit of the targets to the outputs."""
    x, y = (np.asarray(each, dtype=np.float64).reshape(len(each), -1) for each in (outputs, targets))
    moved, wanted = x - x.mean(axis=0), y - y.mean(axis=0)
    power = float(np.square(moved).sum())
    factor = float((moved * wanted).sum()) / power if power > 0 else 0.0
    unexplained = float(np.square(wanted - factor * moved).sum())
    spread = float(np.square(wanted).sum())
    if spread > 0 and unexplained <= (1 - _MIN_EXPLAINED) * spread:
        offset = float((y - factor * x).mean())
        is_offset = abs(offset) > 1e-3 * float(np.sqrt(np.square(y).mean()))  # else rounding
        formula = f"{factor:.4g} * output" + (f" + {offset:.4g}" if is_offset else "")
        return (
            f"Likely cause: the targets have another unit than the outputs ({formula} "
            f"explains {100 * (1 - unexplained / spread):.0f} % of their variance): convert the targets"
        )
    return f"Likely causes: the targets have another unit or order than the outputs, {PREPROCESSING}"
