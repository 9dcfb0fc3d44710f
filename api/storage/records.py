"""Database records of uploaded files and of jobs.

States of a job:

                      cancel
    queued ─────────────────────────────────► cancelled
      │  ▲                                        ▲
      ▼  │ worker died, or the service ends       │ worker gone
    running ──────────► cancelling ───────────────┘
      ├──► succeeded
      └──► failed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from api.schemas.job_state import JobState

__all__ = ["JobState"]  # in addition to what this module defines

UNFINISHED: Final = tuple(state for state in JobState if not state.is_final)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """Database record of an uploaded file.

    Attributes:
        kind: Kind of the file: "network" or "dataset".
        id: SHA-256 of the content, in hexadecimal.
        name: Name to show to people; it is never used as a key.
        size_bytes: Size of the file in bytes.
        created_at: Unix time of the upload, in seconds.
        summary: JSON object that describes the content, as the service answers it.
    """

    kind: str
    id: str
    name: str
    size_bytes: int
    created_at: float
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """Database record of a job.

    Attributes:
        number: Position of the job in the order of creation.
        id: Identifier of the job.
        state: State of the job.
        revision: Number that grows with every change of the job.
        created_at: Unix time of the creation, in seconds.
        started_at: Unix time of the first start, in seconds; None before it.
        finished_at: Unix time of the end, in seconds; None before it.
        request: The request as a JSON object, with its default values.
        idempotency_key: The idempotency key that the caller gave; None if there was none.
        crashes: Number of workers of this job that ended unexpectedly.
        attempt: Number of the latest attempt; 0 before the first start.
        progress: The latest progress as a JSON object; None before there is any.
        error: The problem that let the job fail, as a JSON object; None unless the job has failed.
        result: The result as a JSON object; None unless the job has succeeded.
        artifacts: Name, size and SHA-256 of each file that the job produced, as JSON objects.
    """

    number: int
    id: str
    state: JobState
    revision: int
    created_at: float
    started_at: float | None
    finished_at: float | None
    request: dict[str, Any]
    idempotency_key: str | None
    crashes: int
    attempt: int
    progress: dict[str, Any] | None
    error: dict[str, Any] | None
    result: dict[str, Any] | None
    artifacts: list[dict[str, Any]]
