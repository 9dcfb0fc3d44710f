"""Accuracies of a network after calibration or training with given bits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """Accuracies of a network after calibration or after training, in percent.

    Attributes:
        percent: Accuracy on the test set of the integer-only network, or of the fake-quantized network if
            `is_integer_only` is false.
        is_integer_only: Whether `percent` is the accuracy of the integer-only network, which computes like a device.
        fake_quantized_percent: Accuracy of the fake-quantized network on the test set.
        float_percent: Accuracy of the float network on the test set.
        validation_percent: Accuracy on the held-out samples of the same network as `percent`.
        best_epoch: The epoch whose network was kept; 0 for a network that is only calibrated.
        seconds: Wall time in seconds.
    """

    percent: float
    is_integer_only: bool
    fake_quantized_percent: float
    float_percent: float
    validation_percent: float
    best_epoch: int
    seconds: float
