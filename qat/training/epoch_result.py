"""Result of one epoch of training, and the choice of the best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Result of one epoch of training: its losses and its quality on the held-out split.

    Attributes:
        epoch: Number of the epoch, from 1; 0 is the calibrated network before training.
        training_loss: Mean training loss over the epoch; None for epoch 0.
        validation_quality: Figure of the integer-only network on the held-out split by the task's metric, for which
            larger is better; an accuracy is in percent.
        validation_loss: Mean loss of the integer-only network on the held-out split.
        seconds: Wall-clock time of training and validation; for an epoch that was interrupted, only the time after the
            run was resumed.
        at_doubled_bits: Whether the epoch was trained and evaluated at twice the bits of the allocation. Such an epoch
            is never chosen as the best.
        float_distance: Mean distance from the float network on the held-out split, in the unit of the loss; None if
            states are compared by quality.
        float_quality: Figure of the float network on the held-out split; None where its own outputs are the targets.
    """

    epoch: int
    training_loss: float | None
    validation_quality: float
    validation_loss: float
    seconds: float
    at_doubled_bits: bool = False
    float_distance: float | None = None
    float_quality: float | None = None

    @property
    def merit(self) -> tuple[bool, float, float]:
        """Sort key of an epoch's result, largest for the best epoch: quality on the held-out split first, then the
        loss.
        """
        return not self.at_doubled_bits, self.validation_quality, -self.validation_loss


def best_of(epochs: Sequence[EpochResult]) -> EpochResult:
    """Return the result of the best epoch, the first one if several are equally good."""
    return max(epochs, key=lambda result: result.merit)
