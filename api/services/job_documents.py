"""Record of a job as the document that the service answers."""

from __future__ import annotations

from api.schemas.job_state import JobState
from api.schemas.jobs import echo_of
from api.services.moments import moment_of
from api.storage.records import Job


def job_document(job: Job) -> dict[str, object]:
    """Return a job as a JSON object with the members of `JobAnswer` and `JobSummary`."""
    return {
        "id": job.id,
        "state": job.state,
        "revision": job.revision,
        "created_at": moment_of(job.created_at),
        "started_at": moment_of(job.started_at),
        "finished_at": moment_of(job.finished_at),
        "kind": job.request.get("kind", "training"),
        "request": echo_of(job.request),
        "progress": job.progress,
        "waiting": _waiting(job),
        "error": job.error if job.state is JobState.FAILED else None,
        "result": job.result,
        "artifacts": job.artifacts,
    }


def _waiting(job: Job) -> dict[str, object] | None:
    if job.state is not JobState.QUEUED or job.error is None:
        return None
    return {"reason": job.error["detail"], "until": moment_of(job.error["retry_at"])}
