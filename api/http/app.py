"""The FastAPI application: handlers over a `Service`, and an OpenAPI document that generators understand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from api.errors import Problem
from api.http.body_limit import BodyLimit
from api.http.handlers import about, datasets, devices, jobs, networks
from api.http.handlers.dependencies import PROBLEM_REFERENCE
from api.http.problem_responses import answer_errors
from api.http.service import Service
from api.settings import MAX_JSON_BODY_BYTES, MULTIPART_OVERHEAD_BYTES, Settings
from api.version import version

_DESCRIPTION: Final = """
Fits neural networks into microcontrollers: upload a network, name the flash and RAM that it may take, get the bits
(8, 4 or 2) of every tensor; then let a job retrain it with those bits, and fetch the integer-only network.

1 kB is 1000 bytes, 1 KiB is 1024 bytes. Errors are problem details (RFC 9457).
"""

_TAGS: Final = [
    {"name": "networks", "description": "Networks, and the bits that fit them into a budget"},
    {"name": "datasets", "description": "Labelled samples to train and test on"},
    {"name": "devices", "description": "Microcontrollers, and what memory they have"},
    {"name": "jobs", "description": "Retraining and measuring, with progress, cancel and artifacts"},
    {"name": "service", "description": "The service itself"},
]


def create_app(service: Service) -> FastAPI:
    """The application over an opened service, which it starts and closes."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            await run_in_threadpool(service.close)

    app = FastAPI(
        title="bitbudget",
        version=version(),
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        lifespan=lifespan,
        redoc_url=None,
        telemetry={"tracing": False},
    )
    app.state.service = service
    for router in (networks.router, datasets.router, devices.router, jobs.router, about.router):
        app.include_router(router)
    answer_errors(app)
    app.add_middleware(BodyLimit, limit_bytes=_body_limits(service.settings), slack_bytes=MULTIPART_OVERHEAD_BYTES)
    _add_problem_schema(app)
    return app


def _body_limits(settings: Settings) -> Callable[[str], int]:
    uploads = {
        "/v1/networks": settings.max_network_bytes,
        "/v1/datasets": settings.max_dataset_bytes,
    }
    return lambda path: uploads.get(path, MAX_JSON_BODY_BYTES)


def _add_problem_schema(app: FastAPI) -> None:
    """Error responses name the schema `Problem`, which FastAPI would only describe as application/json."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        document = describe()
        if is_new:
            problem = Problem.model_json_schema(ref_template=PROBLEM_REFERENCE.replace("Problem", "{model}"))
            schemas = document["components"]["schemas"]
            schemas |= problem.pop("$defs", {})
            schemas["Problem"] = problem
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
