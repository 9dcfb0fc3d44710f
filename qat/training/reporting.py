"""Progress reports of a training run, about twice a second, with an estimate of the remaining time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from qat.options.task import Metric
from qat.progress import Progress, Report
from qat.training.epoch_result import EpochResult
from qat.training.recipe.choice import Choice

REPORT_EVERY_SECONDS = 0.5


class Reporter:
    """Reporter of a training run's progress, which also estimates the remaining time.

    The work is measured in images, each weighted by a cost that depends on the phase. The remaining time is the elapsed
    time per finished work, times the remaining work.

    Args:
        report: Callback that receives the progress.
        epochs: Number of epochs of the run.
        total_cost: Known work of the run: the sum over all phases of images times cost per image.
        clock: Function that returns the time in seconds, from an arbitrary origin.
        recipe: Options that the recipe has chosen.

    Attributes:
        one_time_seconds: Seconds spent in `one_time`, which are excluded from the estimate.
    """

    def __init__(
        self,
        report: Report,
        epochs: int,
        total_cost: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        recipe: Sequence[Choice] = (),
    ) -> None:
        self._report = report
        self._epochs = epochs
        self._cost_left = total_cost
        self._cost_done = 0.0
        self._clock = clock
        self._started = self._phase_started = clock()
        self._last_report = float("-inf")
        self._phase_images = 0
        self._cost = 1.0
        self._now = Progress("starting", epochs=epochs, recipe=tuple(map(str, recipe)))
        self.one_time_seconds = 0.0

    def expect(self, cost: float) -> None:
        """Add work to the estimate of the remaining time: images times cost per image."""
        self._cost_left += cost

    def begin(self, phase: str, *, epoch: int | None, steps: int, cost: float, done: int = 0) -> None:
        """Begin a phase of the training run and report it.

        Args:
            phase: Name of the phase.
            epoch: Number of the epoch to which the phase belongs; None if it belongs to no epoch.
            steps: Number of steps of the phase.
            cost: Cost per image, in forward passes of the float network.
            done: Number of steps that were finished before the run was resumed. `advance` is called for the others.
        """
        self._phase_started = self._clock()
        self._phase_images = 0
        self._cost = cost
        self._now = replace(
            self._now, phase=phase, epoch=epoch, step=done, steps=steps, images_per_second=None, loss=None
        )
        self._send()

    def advance(self, images: int, loss: float | None = None) -> None:
        """Count one finished step of the current phase, and report the progress.

        Args:
            images: Number of images in the step.
            loss: Training loss of the step; None if there is none.
        """
        self._phase_images += images
        self._cost_done += images * self._cost
        self._cost_left = max(self._cost_left - images * self._cost, 0.0)
        now = self._clock()
        elapsed = now - self._phase_started
        step = (self._now.step or 0) + 1
        self._now = replace(
            self._now,
            step=step,
            loss=loss,
            images_per_second=self._phase_images / elapsed if elapsed > 0 else None,
            seconds_left=(now - self._started) / self._cost_done * self._cost_left,
        )
        if step == self._now.steps or now - self._last_report >= REPORT_EVERY_SECONDS:
            self._send()

    @contextmanager
    def one_time(self, phase: str) -> Iterator[None]:
        """Report one-time work inside a phase, such as compiling, and exclude its time from the estimate of the
        remaining time.
        """
        before, began = self._now, self._clock()
        self._now = replace(before, phase=phase, step=0, steps=1)
        self._send()
        yield
        seconds = self._clock() - began
        self.one_time_seconds += seconds
        self._started += seconds
        self._phase_started += seconds
        self._now = before

    def report_validation(self, metric: Metric, result: EpochResult, samples: int) -> None:
        """Report the quality of an epoch on the held-out split.

        Args:
            metric: The task's metric.
            result: Result of the epoch.
            samples: Number of held-out samples.
        """
        figure = result.validation_quality
        accuracy = figure if metric is Metric.ACCURACY else None
        self._now = replace(
            self._now,
            validation_metric=metric,
            validation_quality=figure,
            validation_float=result.float_quality,
            validation_accuracy=accuracy,
            validation_samples=samples,
        )
        self._send()

    def warn(self, warning: str | None) -> None:
        """Add a warning to the progress, and report it; None changes nothing."""
        if warning is not None:
            self._now = replace(self._now, warnings=(*self._now.warnings, warning))
            self._send()

    def _send(self) -> None:
        self._last_report = self._clock()
        self._report(self._now)
