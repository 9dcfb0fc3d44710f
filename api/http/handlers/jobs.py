"""Handlers of the HTTP resources under /v1/jobs."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final, cast

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.http.conditional import not_modified, tag_of
from api.http.disconnects import while_connected
from api.http.handlers.dependencies import IdempotencyKey, ServiceOf, problems
from api.http.pages import Limit, PageCursor, cursor_of, position_of
from api.schemas.job_answers import JobAnswer
from api.schemas.job_state import JobState
from api.schemas.jobs import CreatedJobRequest
from api.schemas.pages import JobPage

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
    limit: Limit = 100,
    cursor: PageCursor = None,
) -> JobPage:
    """List jobs, newest first."""
    name = "jobs" if state is None else f"jobs:{state}"
    position = cast("tuple[int] | None", position_of(name, cursor, int))
    jobs, last = service.jobs.page(state, limit, None if position is None else position[0])
    return JobPage(items=jobs, next_cursor=None if last is None else cursor_of(name, last))


@router.get(
    "/{job_id}",
    operation_id="getJob",
    response_model=JobAnswer,
    responses={304: {"description": "The job has not changed since the answer with this ETag"}, **problems(404, 422)},
)
async def get_job(
    job_id: JobId,
    request: Request,
    response: Response,
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
) -> JobAnswer | Response:
    """Return the state and the progress of a job; after it has finished, also its result or its error."""
    give_up_at = time.monotonic() + wait_seconds
    while wait_seconds:
        state, revision = await run_in_threadpool(service.jobs.status, job_id)
        has_news = after is not None and revision > after
        if has_news or state.is_final or time.monotonic() >= give_up_at:
            break
        await asyncio.sleep(POLL_SECONDS)
    job = await run_in_threadpool(service.jobs.job, job_id)
    return not_modified(request, response, tag_of(job.id, job.revision)) or job


@router.post("/{job_id}/cancel", operation_id="cancelJob", status_code=202, responses=problems(404, 409))
def cancel_job(job_id: JobId, service: ServiceOf) -> JobAnswer:
    """Cancel a job and delete its files; cancelling a cancelled job again has no effect."""
    return service.jobs.cancel(job_id)


@router.post("/{job_id}/retry", operation_id="retryJob", status_code=202, responses=problems(404, 409, 429))
def retry_job(job_id: JobId, service: ServiceOf) -> JobAnswer:
    """Queue a failed or cancelled job again; retrying a queued or running job has no effect.

    A failed job continues from its last checkpoint; a cancelled job, whose files were deleted, starts anew.
    """
    return service.jobs.retry(job_id)


@router.delete("/{job_id}", operation_id="deleteJob", status_code=204, responses=problems(404, 409))
def delete_job(job_id: JobId, service: ServiceOf) -> None:
    """Delete a finished job and the files that it produced."""
    service.jobs.delete(job_id)
