"""What is remembered of uploads and jobs.

The states of a job:

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
from enum import StrEnum
from typing import Any, Final


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


UNFINISHED: Final = tuple(state for state in JobState if not state.is_final)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """An uploaded file.

    Attributes:
        kind: "network" or "dataset".
        id: SHA-256 of its content.
        name: shown, never a key.
        size_bytes: its size.
        created_at: Unix time.
        summary: what is in it, as the service answers it.
    """

    kind: str
    id: str
    name: str
    size_bytes: int
    created_at: float
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A job. Times are Unix times; dictionaries are what the service answers.

    Attributes:
        number: ascending with creation.
        revision: ascending with every change.
        request: what was asked for.
        idempotency_key: of the caller, if there was one.
        crashes: how often its worker has died.
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
    progress: dict[str, Any] | None
    error: dict[str, Any] | None
    result: dict[str, Any] | None
    artifacts: list[dict[str, Any]]
