"""Progress reports of a training run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qat.options.task import Metric


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a training run at one moment; an attribute that does not apply to the current phase is None.

    Attributes:
        phase: Name of the current phase, for example "calibrating", "training", "validating" or "converting".
        epoch: Number of the current epoch, from 1; 0 for the calibrated network before training.
        epochs: Number of epochs of the run.
        step: Number of batches finished in this phase.
        steps: Number of batches of this phase.
        images_per_second: Samples processed per second of wall-clock time in this phase.
        seconds_left: Estimated seconds until the end of the run.
        loss: Training loss of the last batch.
        validation_accuracy: Accuracy on the held-out split after the last evaluated epoch, in percent; None for tasks
            with another metric.
        validation_metric: Metric of the task on the held-out split.
        validation_quality: Figure of that metric after the last evaluated epoch.
        validation_float: Figure of the float network on the same samples; None where its own outputs are the targets.
        validation_samples: Number of held-out samples of which that figure is.
        warnings: Warnings about the network, the dataset or the options that were found so far, one text each.
        recipe: Options of the training that the recipe has chosen, with the reasons, one text each.
        point: Number of the judged point of a Pareto front, from 1, where several networks are trained one by one.
        points: Expected number of judged points.
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
    validation_metric: Metric | None = None
    validation_quality: float | None = None
    validation_float: float | None = None
    validation_samples: int | None = None
    warnings: tuple[str, ...] = ()
    recipe: tuple[str, ...] = ()
    point: int | None = None
    points: int | None = None


Report = Callable[[Progress], None]
"""Callback that receives the progress of a training run."""


def silent(progress: Progress) -> None:
    """Ignore a progress report; this is the default callback for progress reports."""
