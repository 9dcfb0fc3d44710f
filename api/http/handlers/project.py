"""Handler of the HTTP resource /v1/project."""

from __future__ import annotations

from fastapi import APIRouter

from api.http.handlers.dependencies import ServiceOf, problems
from api.schemas.projects import ProjectAnswer
from api.services.projects import describe_project

router = APIRouter(prefix="/v1/project", tags=["service"])


@router.get("", operation_id="getProject", responses=problems())
def get_project(service: ServiceOf) -> ProjectAnswer:
    """Return what the caller's project has, what it may have, and when what is not used is deleted."""
    return describe_project(service.store, service.settings)
