"""Progress of a training run, told about twice a second, with an estimate of what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from qat.progress import Progress, Report

REPORT_EVERY_SECONDS = 0.5


class Reporter:
    """Tells where a run stands.

    What is left is estimated from the cost of what is done: images, each weighed by what its phase does with it.

    Args:
        report: is told.
        epochs: of the run.
        total_cost: the sum over all phases of images times cost, as far as it is known.
        clock: seconds, from anywhere.

    Attributes:
        seconds_aside: what was no part of the work that costs tell of.
    """

    def __init__(
        self, report: Report, epochs: int, total_cost: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report = report
        self._epochs = epochs
        self._cost_left = total_cost
        self._cost_done = 0.0
        self._clock = clock
        self._started = self._phase_started = clock()
        self._last_told = float("-inf")
        self._phase_images = 0
        self._cost = 1.0
        self._now = Progress("starting", epochs=epochs)
        self.seconds_aside = 0.0

    def expect(self, cost: float) -> None:
        """There is more to do than was known: images times cost."""
        self._cost_left += cost

    def begin(self, phase: str, *, epoch: int | None, steps: int, cost: float, done: int = 0) -> None:
        """A phase begins.

        Args:
            phase: its name.
            epoch: the epoch it belongs to.
            steps: of the phase.
            cost: of one image, relative to one forward pass of the float network.
            done: steps that an interrupted run has done already; `advance` will be called for the others.
        """
        self._phase_started = self._clock()
        self._phase_images = 0
        self._cost = cost
        self._now = replace(
            self._now, phase=phase, epoch=epoch, step=done, steps=steps, images_per_second=None, loss=None
        )
        self._tell()

    def advance(self, images: int, loss: float | None = None) -> None:
        """One step of the phase is done."""
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
        if step == self._now.steps or now - self._last_told >= REPORT_EVERY_SECONDS:
            self._tell()

    @contextmanager
    def aside(self, phase: str) -> Iterator[None]:
        """Something once, in the middle of a phase: told, and left out of the estimates."""
        before, began = self._now, self._clock()
        self._now = replace(before, phase=phase, step=0, steps=1)
        self._tell()
        yield
        seconds = self._clock() - began
        self.seconds_aside += seconds
        self._started += seconds
        self._phase_started += seconds
        self._now = before

    def judged(self, validation_percent: float) -> None:
        """An epoch has been judged."""
        self._now = replace(self._now, validation_accuracy=validation_percent)
        self._tell()

    def _tell(self) -> None:
        self._last_told = self._clock()
        self._report(self._now)
