"""How one epoch went, and which one is the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochResult:
    """How one epoch went.

    Attributes:
        epoch: from 1; 0 is the calibrated network before any training.
        training_loss: averaged over the epoch; None for epoch 0.
        validation_percent: accuracy of the integer-only network on the samples held out of the training set.
        validation_loss: cross-entropy there.
        seconds: by the wall clock, validation included; of an epoch that was interrupted, from where it went on.
        at_doubled_bits: it was trained and judged at more bits than the allocation has: the run keeps another one.
    """

    epoch: int
    training_loss: float | None
    validation_percent: float
    validation_loss: float
    seconds: float
    at_doubled_bits: bool = False

    @property
    def merit(self) -> tuple[bool, float, float]:
        """The better epoch has the greater merit: accuracy first, then the loss."""
        return not self.at_doubled_bits, self.validation_percent, -self.validation_loss


def best_of(epochs: Sequence[EpochResult]) -> EpochResult:
    """The epoch that is kept; of equals the first."""
    return max(epochs, key=lambda result: result.merit)
