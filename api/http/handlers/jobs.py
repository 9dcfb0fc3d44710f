"""The resources under /v1/jobs."""

from __future__ import annotations

import asyncio
import mimetypes
import time
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from api.http.handlers.dependencies import IdempotencyKey, ServiceOf, problems
from api.schemas.jobs import JobRequest
from api.schemas.reports import Artifact
from api.services.jobs import JobAnswer, JobSummary
from api.storage.records import JobState

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

MAX_WAIT_SECONDS: Final = 60
LOOK_SECONDS: Final = 0.2

JobId = Annotated[str, Path(description="from createJob")]


@router.post("", operation_id="createJob", status_code=202, responses=problems(400, 404, 409, 413, 422))
def create_job(
    request: JobRequest,
    response: Response,
    service: ServiceOf,
    idempotency_key: IdempotencyKey = None,
) -> JobAnswer:
    """Choose bits, retrain the network with them, and convert it to integers. All that can be judged now is."""
    job = service.jobs.create(request, idempotency_key)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job


@router.get("", operation_id="listJobs", responses=problems(422))
def list_jobs(
    service: ServiceOf,
    state: Annotated[JobState | None, Query(description="only jobs in this state")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="at most so many")] = 100,
) -> list[JobSummary]:
    """Jobs, newest first."""
    return service.jobs.summaries(state, limit)


@router.get("/{job_id}", operation_id="getJob", responses=problems(404, 422))
async def get_job(
    job_id: JobId,
    service: ServiceOf,
    wait_seconds: Annotated[
        float, Query(ge=0, le=MAX_WAIT_SECONDS, description="answer when the job changes, or after so long")
    ] = 0.0,
    after: Annotated[
        int | None, Query(description="the revision that the caller knows; without it, wait for the job's end")
    ] = None,
) -> JobAnswer:
    """A job: its state, its progress, and at last its result or its error."""
    give_up_at = time.monotonic() + wait_seconds
    while True:
        job = await run_in_threadpool(service.jobs.job, job_id)
        has_news = after is not None and job.revision > after
        if has_news or job.state.is_final or time.monotonic() >= give_up_at:
            return job
        await asyncio.sleep(LOOK_SECONDS)


@router.post("/{job_id}/cancel", operation_id="cancelJob", status_code=202, responses=problems(404, 409))
def cancel_job(job_id: JobId, service: ServiceOf) -> JobAnswer:
    """End a job; it leaves no artifacts. A job that is cancelled already stays so."""
    return service.jobs.cancel(job_id)


@router.delete("/{job_id}", operation_id="deleteJob", status_code=204, responses=problems(404, 409))
def delete_job(job_id: JobId, service: ServiceOf) -> None:
    """Forget a finished job and its artifacts."""
    service.jobs.delete(job_id)


@router.get("/{job_id}/artifacts", operation_id="listArtifacts", responses=problems(404, 409))
def list_artifacts(job_id: JobId, service: ServiceOf) -> list[Artifact]:
    """The files that a job has left."""
    return service.jobs.artifacts(job_id)


@router.get(
    "/{job_id}/artifacts/{name}",
    operation_id="getArtifact",
    response_class=FileResponse,
    responses={
        200: {
            "description": "The file; its ETag is its SHA-256",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "The caller has it already (If-None-Match)"},
        **problems(404, 409),
    },
)
def get_artifact(
    job_id: JobId,
    name: Annotated[str, Path(description="from listArtifacts")],
    request: Request,
    service: ServiceOf,
) -> Response:
    """One file of a job."""
    artifact, path = service.jobs.artifact(job_id, name)
    etag = f'"{artifact.sha256}"'
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": etag})
    media_type = mimetypes.guess_type(artifact.name)[0] or "application/octet-stream"
    return FileResponse(path, media_type=media_type, filename=artifact.name, headers={"ETag": etag})
