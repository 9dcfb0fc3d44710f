"""What becomes of an allocation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """Accuracies after calibration or after training, in percent.

    Attributes:
        percent: of the test set, by the integer-only network; by the fake-quantized one where `is_integer_only` is not.
        is_integer_only: the network that was judged computes as a device does.
        fake_quantized_percent: of the test set.
        float_percent: of the test set, by the float network.
        validation_percent: of the samples held out of training, by the same network as `percent`.
        best_epoch: that was kept; 0 is calibrated only.
        seconds: by the wall clock.
    """

    percent: float
    is_integer_only: bool
    fake_quantized_percent: float
    float_percent: float
    validation_percent: float
    best_epoch: int
    seconds: float
