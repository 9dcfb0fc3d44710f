"""Database records of the service: uploaded files, jobs, their events, API keys and idempotency keys.

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

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from api.schemas.job_state import JobState

EventKind = Literal["state", "progress", "log", "warning"]
"""What an event of a job reports."""

TRACEPARENT: Final = "traceparent"
"""Member of the first event of a job with the span of the request that created it, as the W3C writes it."""

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
        error: The problem that let the job fail, or because of which it waits, as a JSON object; None otherwise.
        result: The result as a JSON object; None unless the job has succeeded.
        artifacts: Name, size and SHA-256 of each file that the job produced, as JSON objects.
        project: Name of the project that the job belongs to.
        request_id: Identifier of the HTTP request that created the job; None if it had none.
        lease_owner: Identifier of the service that runs the job; None if no service runs it.
        lease_until: Unix time in seconds until which the lease holds; None without a lease.
        heartbeat_at: Unix time in seconds of the last sign of life of the worker; None before it.
        progress_at: Unix time in seconds at which work was last saved (a checkpoint, a finished phase); None if
            none was saved since the latest start.
        retries: Number of times that the caller let the job run again after it had failed or was cancelled.
        stored_bytes: Size of all artifacts in bytes; 0 unless the job has succeeded.
        used_at: Unix time in seconds at which the files of the finished job were last used; None if they were not.
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
    project: str
    request_id: str | None
    lease_owner: str | None
    lease_until: float | None
    heartbeat_at: float | None
    progress_at: float | None
    retries: int
    stored_bytes: int
    used_at: float | None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Database record of one event of a job.

    Attributes:
        number: Number of the event; of two events of one job, the later one has the larger number.
        job_id: Identifier of the job.
        created_at: Unix time of the event, in seconds.
        kind: What the event reports: "state", "progress", "log" or "warning".
        data: What happened, as a JSON object.
    """

    number: int
    job_id: str
    created_at: float
    kind: EventKind
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Database record of an API key; the secret itself is not stored.

    Attributes:
        id: Public part of the key, which identifies it.
        project: Name of the project whose things the key opens.
        name: Name to show to people.
        hash: Hash of the secret part of the key.
        scopes: Names of what the key allows.
        created_at: Unix time of the creation, in seconds.
        expires_at: Unix time in seconds from which the key is refused; None if it does not expire.
        revoked_at: Unix time in seconds at which the key was revoked; None if it was not.
        last_used_at: Unix time in seconds at which the key was last used; None if it was not.
    """

    id: str
    project: str
    name: str
    hash: str
    scopes: list[str]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Database record of an idempotency key, which outlives the job that was created with it.

    Attributes:
        key: Text of the key; it is unique in its project.
        job_id: Identifier of the job, which may have been deleted.
        request_hash: SHA-256 of the request, in hexadecimal: see `request_hash`.
        created_at: Unix time of the request, in seconds.
    """

    key: str
    job_id: str
    request_hash: str
    created_at: float


def request_hash(request: dict[str, Any]) -> str:
    """Return the SHA-256 of a request, in hexadecimal; the order of its fields does not matter."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
