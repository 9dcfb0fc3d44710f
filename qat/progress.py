"""What a training run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training run stands; whatever does not apply to its phase is None.

    Attributes:
        phase: "measuring float", "calibrating", "training", "validating", "converting" or "testing".
        epoch: the current epoch, from 1; 0 while only calibrated.
        epochs: how many there will be.
        step: batches done in this phase.
        steps: batches in this phase.
        images_per_second: samples in this phase, by the wall clock.
        seconds_left: an estimate for the whole run.
        loss: training loss, averaged over the last batches.
        validation_accuracy: percent of the held-out split, of the last judged epoch.
    """

    phase: str
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None
    loss: float | None = None
    validation_accuracy: float | None = None


Report = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """A `Report` that tells nobody."""
