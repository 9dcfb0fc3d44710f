"""What the service is, whether it works, and what its errors mean."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field

from api.errors import KINDS, NotFound, ProblemKind, Unavailable
from api.http.handlers.dependencies import ServiceOf, problems
from api.schemas.answers import Answer
from api.storage.records import JobState
from api.version import version

router = APIRouter(tags=["service"])


class Index(Answer):
    """Where to go on."""

    name: str
    version: str
    links: dict[str, str] = Field(description="what is there -> its path")


class Health(Answer):
    """The service works."""

    status: Literal["ok"]
    version: str
    jobs: dict[JobState, int] = Field(description="how many jobs are in each state")


class ProblemMeaning(Answer):
    """A type of problem."""

    type: str
    status: int
    title: str


@router.get("/", operation_id="index", responses=problems())
@router.get("/v1", include_in_schema=False)
def index() -> Index:
    """What is there."""
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
    """Whether the database answers and jobs are looked after."""
    if not service.scheduler.is_alive:
        raise Unavailable("the scheduler of jobs has stopped; restart the service")
    return Health(status="ok", version=version(), jobs=service.store.count_jobs())


@router.get("/problems", operation_id="listProblems", responses=problems())
def list_problems() -> list[ProblemMeaning]:
    """Every type of problem that the service answers with."""
    return [_meaning(kind) for kind in KINDS]


@router.get("/problems/{slug}", operation_id="getProblem", responses=problems(404))
def get_problem(slug: Annotated[str, Path(description="the last part of a problem's type")]) -> ProblemMeaning:
    """What a problem's type leads to."""
    for kind in KINDS:
        if kind.slug == slug:
            return _meaning(kind)
    raise NotFound(f"there is no problem type {slug[:80]!r}; GET /problems lists them")


def _meaning(kind: ProblemKind) -> ProblemMeaning:
    return ProblemMeaning(type=kind.type, status=kind.status, title=kind.title)
