"""Progress of a shrink: the progress of the point that is trained, with its number and the time of all points."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from qat.progress import Progress, Report


class PointProgress:
    """Callback that adds to a training's progress the number of the point and the time of the points that follow.

    The time that is left is that of the current point, and for each point that is still expected the mean time of the
    points that were trained in this process; for the first one, the expected time of the first point itself.

    Args:
        report: Callback that receives the progress.
        clock: Function that returns the time in seconds, from an arbitrary origin.
    """

    def __init__(self, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._report, self._clock = report, clock
        self._number = self._total = 0
        self._began = clock()
        self._durations: list[float] = []

    def begin(self, number: int, total: int) -> None:
        """Begin a point.

        Args:
            number: Number of the point, from 1.
            total: Expected number of points of the whole search, with this one.
        """
        self._number, self._total, self._began = number, total, self._clock()

    def end(self) -> None:
        """End a point that was trained in this process."""
        self._durations.append(self._clock() - self._began)

    def __call__(self, progress: Progress) -> None:
        """Report the progress of the point, with its number and the time that is left for all points."""
        left = progress.seconds_left
        if left is not None:
            own = self._clock() - self._began + left
            each = sum(self._durations) / len(self._durations) if self._durations else own
            left += each * (self._total - self._number)
        self._report(replace(progress, point=self._number, points=self._total, seconds_left=left))
