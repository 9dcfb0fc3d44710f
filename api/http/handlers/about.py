"""Handlers of HTTP requests for the index, the health and the list of error types of the service."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field

from api.errors import KINDS, HttpStatus, NotFound, ProblemKind, Unavailable
from api.http.handlers.dependencies import ServiceOf, problems
from api.schemas.answer import Answer, Count
from api.storage.records import JobState
from api.version import version

router = APIRouter(tags=["service"])


class Index(Answer):
    """Index of the HTTP service: its name, its version and the paths of its resources."""

    name: str = Field(description="name of the service")
    version: str = Field(description="version of bitbudget")
    links: dict[str, str] = Field(description="path of each resource, by name")


class Health(Answer):
    """State of a working service, with the number of jobs in each state."""

    status: Literal["ok"] = Field(description="state of the service; ok: it answers requests and runs jobs")
    version: str = Field(description="version of bitbudget")
    jobs: dict[JobState, Count] = Field(description="number of jobs in each state")


class ProblemMeaning(Answer):
    """Description of one HTTP problem type (RFC 9457) that the service can answer."""

    type: str = Field(description="problem type (RFC 9457), as a URI reference")
    status: HttpStatus = Field(description="HTTP status of a response with such a problem")
    title: str = Field(description="short name of the problem type")


@router.get("/", operation_id="index", responses=problems())
@router.get("/v1", include_in_schema=False)
def index() -> Index:
    """List the resources of the service, with their paths."""
    links = {
        "networks": "/v1/networks",
        "datasets": "/v1/datasets",
        "devices": "/v1/devices",
        "jobs": "/v1/jobs",
        "health": "/healthz",
        "problems": "/problems",
        "openapi": "/openapi.json",
        "docs": "/docs",
    }
    return Index(name="bitbudget", version=version(), links=links)


@router.get("/healthz", operation_id="health", responses=problems(503))
def health(service: ServiceOf) -> Health:
    """Check that the service's database answers and that its job scheduler runs."""
    if not service.scheduler.is_alive:
        raise Unavailable("the job scheduler of the service has stopped; restart the service")
    return Health(status="ok", version=version(), jobs=service.store.count_jobs())


@router.get("/problems", operation_id="listProblems", responses=problems())
def list_problems() -> list[ProblemMeaning]:
    """List all HTTP problem types (RFC 9457) that the service can answer."""
    return [_meaning(kind) for kind in KINDS]


@router.get("/problems/{slug}", operation_id="getProblem", responses=problems(404))
def get_problem(slug: Annotated[str, Path(description="last part of the type of a problem")]) -> ProblemMeaning:
    """Return the description of one HTTP problem type (RFC 9457)."""
    for kind in KINDS:
        if kind.slug == slug:
            return _meaning(kind)
    raise NotFound(f"the problem type {slug[:80]!r} does not exist; GET /problems lists all types")


def _meaning(kind: ProblemKind) -> ProblemMeaning:
    return ProblemMeaning(type=kind.type, status=kind.status, title=kind.title)
