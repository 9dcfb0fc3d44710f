"""Handlers of the HTTP resources under /v1/jobs."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from api.http.artifact_types import artifact_content, media_type_of
from api.http.disconnects import while_connected
from api.http.handlers.dependencies import IdempotencyKey, ServiceOf, problems
from api.operations.linked_report import LINKED_FILE
from api.schemas.build import BuildAnswer
from api.schemas.deployment import DeploymentAnswer
from api.schemas.jobs import CreatedJobRequest
from api.schemas.reports import Artifact
from api.services.jobs import JobAnswer, JobSummary
from api.storage.records import JobState
from deploy.deployment import DEPLOYMENT_FILE

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

MAX_WAIT_SECONDS: Final = 60
"""Longest time in seconds that a request can wait for a job."""
MAX_REVISION: Final = 2**63 - 1
"""Largest revision that a request can name."""
POLL_SECONDS: Final = 0.2
"""Time in seconds between two looks at a job while a request waits for it."""

JobId = Annotated[str, Path(description="identifier of a job, as createJob returns it")]


@router.post("", operation_id="createJob", status_code=202, responses=problems(400, 404, 409, 413, 422, 429, 503))
async def create_job(
    body: CreatedJobRequest,
    request: Request,
    response: Response,
    service: ServiceOf,
    idempotency_key: IdempotencyKey = None,
) -> JobAnswer:
    """Create a job that chooses bits for a network, retrains it and converts it to integer arithmetic.

    A job of kind shrink does so for several budgets, and finds the least bytes that keep a limit of quality. The
    input is checked as far as possible before the job is created.
    """
    job = await while_connected(request, service.job_creation.create(body, idempotency_key))
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job


@router.get("", operation_id="listJobs", responses=problems(422))
def list_jobs(
    service: ServiceOf,
    state: Annotated[JobState | None, Query(description="return only jobs in this state")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="largest number of jobs to return")] = 100,
) -> list[JobSummary]:
    """List jobs, newest first."""
    return service.jobs.summaries(state, limit)


@router.get("/{job_id}", operation_id="getJob", responses=problems(404, 422))
async def get_job(
    job_id: JobId,
    service: ServiceOf,
    wait_seconds: Annotated[
        float,
        Query(
            ge=0,
            le=MAX_WAIT_SECONDS,
            description="time in seconds to wait for a change of the job before the answer is sent",
        ),
    ] = 0.0,
    after: Annotated[
        int | None,
        Query(
            ge=0,
            le=MAX_REVISION,
            description="wait until the revision exceeds this number; without it, wait until the job has finished",
        ),
    ] = None,
) -> JobAnswer:
    """Return the state and the progress of a job; after it has finished, also its result or its error."""
    give_up_at = time.monotonic() + wait_seconds
    while True:
        job = await run_in_threadpool(service.jobs.job, job_id)
        has_news = after is not None and job.revision > after
        if has_news or job.state.is_final or time.monotonic() >= give_up_at:
            return job
        await asyncio.sleep(POLL_SECONDS)


@router.post("/{job_id}/cancel", operation_id="cancelJob", status_code=202, responses=problems(404, 409))
def cancel_job(job_id: JobId, service: ServiceOf) -> JobAnswer:
    """Cancel a job and delete its files; cancelling a cancelled job again has no effect."""
    return service.jobs.cancel(job_id)


@router.delete("/{job_id}", operation_id="deleteJob", status_code=204, responses=problems(404, 409))
def delete_job(job_id: JobId, service: ServiceOf) -> None:
    """Delete a finished job and the files that it produced."""
    service.jobs.delete(job_id)


@router.get("/{job_id}/artifacts", operation_id="listArtifacts", responses=problems(404, 409))
def list_artifacts(job_id: JobId, service: ServiceOf) -> list[Artifact]:
    """List the files that a job has produced.

    A training job: the integer-only network (network.json, weights.safetensors, network.onnx), report.json,
    memory.json, host.py, and NAME-c.zip, the network in C, with deployment.json and vectors.npz, from which
    `bitbudget emit` writes it again. For a device whose compiler the service has, linked.json: predicted and linked
    bytes. A sensitivity job: sensitivity.json. docs/api.md describes each file.
    """
    return service.jobs.artifacts(job_id)


@router.get("/{job_id}/linked", operation_id="getLinkedReport", responses=problems(404, 409))
def get_linked_report(job_id: JobId, service: ServiceOf) -> BuildAnswer:
    """Return predicted and linked bytes of a job's network: the content of linked.json.

    A training for a device has this report if the service has the compiler for the core of the device.
    """
    _, path = service.jobs.artifact(job_id, LINKED_FILE)
    return BuildAnswer.model_validate_json(path.read_bytes())


@router.get("/{job_id}/deployment", operation_id="getDeployment", responses=problems(404, 409))
def get_deployment(job_id: JobId, service: ServiceOf) -> DeploymentAnswer:
    """Return how the memory of a job's network was planned, and the work behind it: the content of deployment.json."""
    _, path = service.jobs.artifact(job_id, DEPLOYMENT_FILE)
    return DeploymentAnswer.model_validate_json(path.read_bytes())


@router.get(
    "/{job_id}/artifacts/{name}",
    operation_id="getArtifact",
    response_class=FileResponse,
    responses={
        200: {
            "description": "Content of the file; the ETag is its SHA-256",
            "content": artifact_content(),
        },
        304: {"description": "The caller has this content already (If-None-Match)"},
        **problems(404, 409),
    },
)
def get_artifact(
    job_id: JobId,
    name: Annotated[str, Path(description="name of a file, as listArtifacts returns it")],
    request: Request,
    service: ServiceOf,
) -> Response:
    """Return the content of one file that a job has produced."""
    artifact, path = service.jobs.artifact(job_id, name)
    etag = f'"{artifact.sha256}"'
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": etag})
    return FileResponse(path, media_type=media_type_of(artifact.name), filename=artifact.name, headers={"ETag": etag})
