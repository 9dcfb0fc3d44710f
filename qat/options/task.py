"""Names of the tasks of networks and of the metrics of their quality. This module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class TaskKind(StrEnum):
    """What a network is for; it decides the training loss, the sensitivities and the metric of the quality."""

    CLASSES = "classes"
    """One of several classes for each sample; the output has one value for each class."""

    TWO_CLASSES = "two_classes"
    """One of two classes for each sample, by one logit: above 0 is class 1."""

    LABELS = "labels"
    """Several labels for each sample, each of which is true or false, by one logit each."""

    REGRESSION = "regression"
    """Real numbers for each sample."""

    IMAGES = "images"
    """An image, or another signal of several positions, for each sample: autoencoders, denoising, super-resolution."""

    PIXELS = "pixels"
    """A class for each pixel (segmentation)."""

    ANOMALY = "anomaly"
    """The input itself, where a large error of the output means that the sample is an anomaly."""

    FLOAT_OUTPUTS = "float_outputs"
    """The outputs of the float network, for samples without labels."""


class Metric(StrEnum):
    """Metrics of the quality of a network."""

    ACCURACY = "accuracy"
    """Samples with the correct class, in percent."""

    AVERAGE_PRECISION = "mean_average_precision"
    """Average precision of each label, averaged over the labels, in percent."""

    R2 = "r2"
    """Coefficient of determination of each output value, averaged over the output values."""

    RMSE = "rmse"
    """Root of the mean squared error of all output values, in the unit of the targets."""

    SNR = "snr"
    """Power of the targets divided by the power of the error, in dB."""

    MEAN_IOU = "mean_iou"
    """Intersection over union of each class, averaged over the classes, in percent."""

    AUC = "auc"
    """Area under the receiver operating characteristic, 0.5 (chance) to 1."""


class Direction(StrEnum):
    """Whether a larger or a smaller figure of a metric is better."""

    HIGHER_IS_BETTER = "higher_is_better"
    LOWER_IS_BETTER = "lower_is_better"


@dataclass(frozen=True, slots=True)
class MetricTerms:
    """How figures of a metric are written and compared.

    Attributes:
        words: Name of the metric in sentences.
        unit: Unit of its figures: "percent", "dB", "1" for a ratio, or "target" for the unit of the targets.
        direction: Whether a larger or a smaller figure is better.
    """

    words: str
    unit: str
    direction: Direction = Direction.HIGHER_IS_BETTER

    def text(self, figure: float | None) -> str:
        """Return a figure of the metric with its unit, such as '91.25 %' or '32.10 dB'."""
        if figure is None:
            return "-"
        suffix = {"percent": " %", "dB": " dB"}.get(self.unit, "")
        return f"{figure:.2f}{suffix}" if suffix else f"{figure:.4g}"


TERMS: Final = MappingProxyType(
    {
        Metric.ACCURACY: MetricTerms("accuracy", "percent"),
        Metric.AVERAGE_PRECISION: MetricTerms("mean average precision", "percent"),
        Metric.R2: MetricTerms("R2", "1"),
        Metric.RMSE: MetricTerms("root mean squared error", "target", Direction.LOWER_IS_BETTER),
        Metric.SNR: MetricTerms("signal-to-noise ratio", "dB"),
        Metric.MEAN_IOU: MetricTerms("mean intersection over union", "percent"),
        Metric.AUC: MetricTerms("area under the ROC curve", "1"),
    }
)
"""Words, unit and direction of each metric."""
