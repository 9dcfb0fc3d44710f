"""Parameters and OpenAPI error descriptions that several HTTP request handlers share."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request

from api.errors import BUSY, KINDS, MEDIA_TYPE
from api.execution.task_pool import MAX_RETRY_SECONDS
from api.http.project import Project
from api.http.service import Service
from api.services.access import Access
from api.services.jobs import MAX_KEY_LENGTH
from api.settings import DEFAULT_PROJECT


async def _service(request: Request) -> Service:  # a function that is not async would take a thread
    service: Service = request.app.state.service
    return service


async def _project(request: Request) -> Project:
    access: Access | None = getattr(request.state, "access", None)
    service: Service = request.app.state.service
    return service.of_project(DEFAULT_PROJECT if access is None else access.project)


WholeService = Annotated[Service, Depends(_service)]
"""The service as a whole, for handlers of health and metrics."""
ServiceOf = Annotated[Project, Depends(_project)]
"""The service as the project of the caller sees it."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        description=f"1 to {MAX_KEY_LENGTH} printable characters; a repeated request with this key returns the same job"
    ),
]

PROBLEM_REFERENCE: Final = "#/components/schemas/Problem"

_RETRY_AFTER: Final = {
    "Retry-After": {
        "description": "time in seconds after which the caller may send the request again",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_RETRY_SECONDS},
    }
}
"""Header of a response to a request that finds the queue full."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the error responses of one HTTP operation.

    Args:
        statuses: HTTP statuses of the errors that the operation is expected to answer; any other is added as "default".
    """
    described = {
        status: "; ".join(f"`{kind.type}` {kind.title}" for kind in KINDS if kind.status == status)
        for status in statuses
    }
    return {
        status: {
            "description": description,
            "content": {MEDIA_TYPE: {"schema": {"$ref": PROBLEM_REFERENCE}}},
            **({"headers": _RETRY_AFTER} if status == BUSY.status else {}),
        }
        for status, description in (described | {"default": "Any other error"}).items()
    }
