"""Accuracy of the three forms of a network for tasks with classes. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from qat.training.label_source import LabelSource


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy on the test set of the float network, the fake-quantized network and the integer-only network.

    Attributes:
        float_percent: Top-1 accuracy of the float network, in percent.
        fake_quantized_percent: Top-1 accuracy of the fake-quantized network in evaluation mode, in percent.
        integer_only_percent: Top-1 accuracy of the integer-only network, in percent.
        top1_agreement_percent: Percentage of test samples for which the fake-quantized and the integer-only network
            predict the same class.
        label_source: Source of the labels that the predictions are compared with.
    """

    float_percent: float
    fake_quantized_percent: float
    integer_only_percent: float
    top1_agreement_percent: float
    label_source: LabelSource = LabelSource.LABELS
