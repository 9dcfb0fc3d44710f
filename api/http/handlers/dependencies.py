"""Parameters and OpenAPI error descriptions that several HTTP request handlers share."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request

from api.errors import KINDS, MEDIA_TYPE
from api.http.service import Service
from api.services.jobs import MAX_KEY_LENGTH


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        description=f"1 to {MAX_KEY_LENGTH} printable characters; a repeated request with this key returns the same job"
    ),
]

PROBLEM_REFERENCE: Final = "#/components/schemas/Problem"


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
        status: {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": PROBLEM_REFERENCE}}}}
        for status, description in (described | {"default": "Any other error"}).items()
    }
