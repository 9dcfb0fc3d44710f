"""Progress output of a long benchmark on standard error: current training, progress and remaining time."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Final

from qat.progress import Progress

EVERY_SECONDS: Final = 15.0


class Narration:
    """Progress output on standard error for a list of trainings.

    Args:
        costs: The cost of each training in any unit, in the order in which they run. The remaining time is estimated
            from the costs.
    """

    def __init__(self, costs: Sequence[float]) -> None:
        self._costs = list(costs)
        self._done = 0
        self._started = self._reported_at = time.monotonic()
        self._label = ""

    def begin(self, label: str) -> None:
        """Print that the next training of the list begins."""
        self._label = label

    def end(self, result: str) -> None:
        """Print that the current training has ended."""
        self._done += 1
        self._say(result)

    def __call__(self, progress: Progress) -> None:
        """Print the progress of the current training; this is a callback of the type `qat.progress.Report`."""
        now = time.monotonic()
        if now - self._reported_at < EVERY_SECONDS:
            return
        self._reported_at = now
        epoch = f" of epoch {progress.epoch}" if progress.epoch else ""
        self._say(f"{progress.phase}{epoch} {progress.step or 0}/{progress.steps or 0}")

    def _say(self, what: str) -> None:
        done, whole = sum(self._costs[: self._done]), sum(self._costs)
        seconds = time.monotonic() - self._started
        left = f", {_duration(seconds * (whole - done) / done)} left" if done else ""
        number = min(self._done + 1, len(self._costs))
        sys.stderr.write(f"[{number}/{len(self._costs)}{left}] {self._label}: {what}\n")
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
