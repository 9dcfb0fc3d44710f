"""The FastAPI application: all request handlers, and an OpenAPI document that client generators understand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import Lifespan

from api.http.body_limit import BodyLimit
from api.http.handlers import about, datasets, devices, jobs, networks
from api.http.limits import limits_text
from api.http.openapi import complete
from api.http.problem_responses import answer_errors
from api.http.service import Service
from api.settings import MAX_JSON_BODY_BYTES, MULTIPART_OVERHEAD_BYTES, Settings
from api.version import version

_DESCRIPTION: Final = """
Fits neural networks into microcontrollers. Upload a network and state how much flash and RAM it may use: the answer has
the number of bits (8, 4 or 2) of every tensor. A job then retrains the network with these bits and returns an
integer-only network.

1 kB is 1000 bytes, 1 KiB is 1024 bytes. Errors are problem details (RFC 9457).

The service reads uploads and answers questions in processes, which end if the client closes the connection. Its limits:

"""

_TAGS: Final = [
    {"name": "networks", "description": "Networks, and the bits with which they fit a budget"},
    {"name": "datasets", "description": "Labelled samples for training and testing"},
    {"name": "devices", "description": "Microcontrollers and their memories"},
    {"name": "jobs", "description": "Retraining and sensitivity measurement, with progress, cancelling and artifacts"},
    {"name": "service", "description": "State of the service, and meaning of its errors"},
]


def create_app(service: Service) -> FastAPI:
    """Return the FastAPI application for an opened service; its startup starts the service, its shutdown closes it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.refuse_work()
            await run_in_threadpool(service.close)

    app = _described(service.settings, lifespan)
    app.state.service = service
    answer_errors(app)
    app.add_middleware(BodyLimit, limit_bytes=_body_limits(service.settings), slack_bytes=MULTIPART_OVERHEAD_BYTES)
    return app


def openapi_document(settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document of a service with these settings, without opening or starting it."""
    return _described(settings).openapi()


def _described(settings: Settings, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return an application with all handlers, and with the OpenAPI document of a service with these settings."""
    app = FastAPI(
        title="bitbudget",
        version=version(),
        description=_DESCRIPTION.lstrip() + limits_text(settings),
        openapi_tags=_TAGS,
        lifespan=lifespan,
        redoc_url=None,
        telemetry={"tracing": False},
    )
    for router in (networks.router, datasets.router, devices.router, jobs.router, about.router):
        app.include_router(router)
    _complete_document(app)
    return app


def _body_limits(settings: Settings) -> Callable[[str], int]:
    uploads = {
        "/v1/networks": settings.max_network_bytes,
        "/v1/datasets": settings.max_dataset_bytes,
    }
    return lambda path: uploads.get(path, MAX_JSON_BODY_BYTES)


def _complete_document(app: FastAPI) -> None:
    """Replace the application's OpenAPI document by one that is completed for client generators."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        document = describe()
        if is_new:
            complete(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI documents this way to extend the OpenAPI document
