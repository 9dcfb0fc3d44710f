"""Watchdog of workers: finds those that hang, and those that exceed the longest duration of a job.

A worker gives a sign of life as long as it computes, however long an epoch or a proof takes (see `heartbeat`). Silence
is measured by this service's own clock, and only while it looks regularly: an interruption of the service or of the
database is not a silence of the worker.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from api.execution.executor import Attempt
from api.settings import Settings
from api.storage.records import Job

_GAP_SECONDS: Final = 15.0
"""Time in seconds without a look at a job after which its silence is measured anew."""


@dataclass(slots=True)
class _Watched:
    heartbeat_at: float
    silent_since: float
    looked_at: float


class Watchdog:
    """Watchdog of the workers that one service looks after.

    Args:
        settings: Settings of the service, with the longest silence and the longest duration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._watched: dict[Attempt, _Watched] = {}

    def is_silent(self, job: Job) -> bool:
        """Return whether the worker of a running job hangs: it has given no sign of life for too long.

        A worker that has not yet given any sign, for example because a cluster has not started it yet, is not silent.
        """
        if job.heartbeat_at is None:
            return False
        attempt, now = Attempt(job.id, job.attempt), time.monotonic()
        watched = self._watched.get(attempt)
        if (
            watched is None
            or watched.heartbeat_at != job.heartbeat_at
            or now - watched.looked_at > max(_GAP_SECONDS, 5 * self._settings.turn_seconds)
        ):
            self._watched[attempt] = _Watched(job.heartbeat_at, now, now)
            return False
        watched.looked_at = now
        return now - watched.silent_since > self._settings.silence_seconds

    def is_overdue(self, job: Job) -> bool:
        """Return whether a running job has exceeded the longest duration, which begins with its first start."""
        return job.started_at is not None and time.time() - job.started_at > self._settings.job_seconds

    def keep(self, attempts: Collection[Attempt]) -> None:
        """Drop what is known about workers of other attempts than the given ones."""
        self._watched = {attempt: self._watched[attempt] for attempt in self._watched.keys() & set(attempts)}
