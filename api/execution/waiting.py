"""Waiting of jobs that have found the disk full, or the store without an answer: queued again with a reason, and tried
again after growing pauses.

The reason is in the column `error` of the queued job, as a problem document with two more members: `waits`, the number
of pauses since work was last saved, and `retry_at`, the Unix time of the next try. It stays there while the job is
tried again, so that the pauses grow.
"""

from __future__ import annotations

import time
from typing import Any, Final

from api.errors import STORAGE_FULL, UNAVAILABLE, ProblemKind
from api.storage.records import Job

FIRST_PAUSE_SECONDS: Final = 10.0
"""First pause in seconds; each further one is twice as long."""
LONGEST_PAUSE_SECONDS: Final = 600.0
"""Longest pause in seconds."""


def waiting_for_disk(job: Job, now: float | None = None) -> dict[str, Any]:
    """Return the reason for which a job waits, as the value of its column `error`.

    Args:
        job: The job that has found the disk full.
        now: Unix time in seconds; None for the present.
    """
    advice = "Delete finished jobs, networks or datasets that you no longer need"
    return _waiting(job, STORAGE_FULL, "the disk of the service is full", f". {advice}", now)


def waiting_for_store(job: Job, now: float | None = None) -> dict[str, Any]:
    """Return the reason for which a job waits, as the value of its column `error`.

    Args:
        job: The job that has found the store of the service without an answer.
        now: Unix time in seconds; None for the present.
    """
    return _waiting(job, UNAVAILABLE, "the store of the service does not answer", "", now)


def _waiting(job: Job, kind: ProblemKind, reason: str, advice: str, now: float | None) -> dict[str, Any]:
    has_saved = job.progress_at is not None
    waits = 1 if has_saved or job.error is None else int(job.error.get("waits", 0)) + 1
    pause_seconds = min(FIRST_PAUSE_SECONDS * 2 ** min(waits - 1, 10), LONGEST_PAUSE_SECONDS)
    problem = kind.problem(f"{reason}; the job waits and is tried again after {pause_seconds:.0f} s{advice}")
    retry_at = (time.time() if now is None else now) + pause_seconds
    return problem.document() | {"waits": waits, "retry_at": retry_at}


def is_due(job: Job) -> bool:
    """Return whether a queued job may start now: it does not wait, or its pause is over."""
    return job.error is None or time.time() >= job.error.get("retry_at", 0.0)
