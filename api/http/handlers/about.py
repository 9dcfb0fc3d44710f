"""Handlers of HTTP requests for the index, the health and the list of error types of the service."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field

from api.errors import KINDS, NotFound, ProblemKind, Unavailable
from api.execution.scheduler import STALE_SECONDS
from api.http.handlers.dependencies import WholeService, problems
from api.http.metrics import MEDIA_TYPE
from api.http.pages import Limit, PageCursor, page_of
from api.http.service import Service
from api.schemas.answer import Answer, Count
from api.schemas.index import Index, ProblemMeaning
from api.schemas.job_state import JobState
from api.schemas.pages import ProblemPage
from api.version import version

router = APIRouter(tags=["service"])


class Health(Answer):
    """State of a working service, with the number of jobs in each state."""

    status: Literal["ok"] = Field(description="state of the service; ok: it answers requests and runs jobs")
    version: str = Field(description="version of bitbudget")
    jobs: dict[JobState, Count] = Field(description="number of jobs in each state, as the scheduler last saw them")


class Readiness(Answer):
    """State of a service that can take work."""

    status: Literal["ready"] = Field(description="state of the service; ready: requests that compute are taken")
    running: Count = Field(description="number of questions (fit, devices, Pareto front) that are being answered")
    waiting: Count = Field(description="number of questions that wait for a process")


@router.get("/", operation_id="index", responses=problems())
@router.get("/v1", include_in_schema=False)
async def index() -> Index:
    """List the resources of the service, with their paths."""
    links = {
        "networks": "/v1/networks",
        "datasets": "/v1/datasets",
        "devices": "/v1/devices",
        "jobs": "/v1/jobs",
        "webhooks": "/v1/webhooks",
        "project": "/v1/project",
        "health": "/healthz",
        "readiness": "/readyz",
        "metrics": "/metrics",
        "problems": "/problems",
        "openapi": "/openapi.json",
        "docs": "/docs",
    }
    return Index(name="bitbudget", version=version(), links=links)


@router.get("/healthz", operation_id="health", responses=problems(503))
async def health(service: WholeService) -> Health:
    """Check that the service lives: its event loop answers, and its job scheduler reaches the database.

    The answer needs no thread, no process and no database, so that it comes at once, whatever the service computes.
    """
    _require_scheduler(service)
    return Health(status="ok", version=version(), jobs=service.scheduler.counts)


@router.get("/readyz", operation_id="readiness", responses=problems(503))
async def readiness(service: WholeService) -> Readiness:
    """Check that the service can take work now: it lives, and the server of its processes has started.

    Like health, this is answered at once. A full queue does not make the service unready: such requests get 429.
    """
    _require_scheduler(service)
    if not service.workers.is_ready:
        raise Unavailable("the processes that read and solve are starting or ending; try again in a few seconds")
    running, waiting = service.workers.solves
    return Readiness(status="ready", running=running, waiting=waiting)


def _require_scheduler(service: Service) -> None:
    if not service.scheduler.is_alive:
        raise Unavailable("the job scheduler of the service has stopped; restart the service")
    if service.scheduler.is_stuck:
        raise Unavailable(
            f"the job scheduler has completed no check of the jobs for {STALE_SECONDS:g} s: the database of the "
            "service does not answer; look at its disk and its log"
        )


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=PlainTextResponse,
    responses={200: {"description": "The metrics in the text format of Prometheus"}, **problems()},
)
async def metrics(service: WholeService) -> Response:
    """Return metrics for Prometheus: requests, places and queues of processes, ended tasks, kept answers, jobs."""
    return Response(service.metrics.text(), media_type=MEDIA_TYPE)


@router.get("/problems", operation_id="listProblems", responses=problems(422))
async def list_problems(limit: Limit = 100, cursor: PageCursor = None) -> ProblemPage:
    """List all HTTP problem types (RFC 9457) that the service can answer."""
    kinds, following = page_of("problems", KINDS, lambda kind: kind.slug, limit, cursor)
    return ProblemPage(items=[_meaning(kind) for kind in kinds], next_cursor=following)


@router.get("/problems/{slug}", operation_id="getProblem", responses=problems(404))
async def get_problem(slug: Annotated[str, Path(description="last part of the type of a problem")]) -> ProblemMeaning:
    """Return the description of one HTTP problem type (RFC 9457)."""
    for kind in KINDS:
        if kind.slug == slug:
            return _meaning(kind)
    raise NotFound(f"the problem type {slug[:80]!r} does not exist; GET /problems lists all types")


def _meaning(kind: ProblemKind) -> ProblemMeaning:
    return ProblemMeaning(type=kind.type, status=kind.status, title=kind.title)
