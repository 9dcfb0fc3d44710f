"""The FastAPI application: all request handlers, and an OpenAPI document that client generators understand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import Depends, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.concurrency import run_in_threadpool

from api.execution.tracing import Tracing
from api.http.body_limit import BodyLimit
from api.http.handlers import (
    about,
    artifacts,
    datasets,
    devices,
    job_events,
    jobs,
    networks,
    partial_uploads,
    pipeline,
    project,
    webhooks,
)
from api.http.head_requests import HeadRequests
from api.http.limits import limits_text
from api.http.observation import Observation
from api.http.openapi import complete
from api.http.problem_responses import answer_errors
from api.http.security.authentication import Authentication, Authenticator
from api.http.security.hosts import AllowedHosts
from api.http.security.rate_limits import RateLimits
from api.http.security.scopes import check_scope
from api.http.security.tokens import Tokens
from api.http.security.web_pages import WebPageGuard
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
    {"name": "webhooks", "description": "Addresses to which events of jobs are posted, with signatures"},
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

    app = _described(service.settings, lifespan=lifespan, telemetry=_telemetry(service.tracing))
    app.state.service = service
    answer_errors(app)
    app.add_middleware(BodyLimit, limit_bytes=_body_limits(service.settings), slack_bytes=MULTIPART_OVERHEAD_BYTES)
    authenticator = Authenticator(service.store, Tokens.of(service.settings))
    limits = RateLimits(service.settings.requests_per_minute)
    app.add_middleware(Authentication, authenticator=authenticator, limits=limits)
    app.add_middleware(WebPageGuard, hosts=AllowedHosts.of(service.settings))
    app.add_middleware(HeadRequests)
    app.add_middleware(Observation, metrics=service.metrics)  # the last one is the outermost one
    return app


def openapi_document(settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document of a service with these settings, without opening or starting it."""
    return _described(settings).openapi()


def _described(settings: Settings, **options: Any) -> FastAPI:
    """Return an application with all handlers, and with the OpenAPI document of a service with these settings.

    Args:
        settings: Settings of the service.
        options: Further arguments of `FastAPI`.
    """
    app = FastAPI(
        title="bitbudget",
        version=version(),
        description=_DESCRIPTION.lstrip() + limits_text(settings),
        openapi_tags=_TAGS,
        redoc_url=None,
        dependencies=[Depends(check_scope)],
        **options,
    )
    for module in (
        networks,
        datasets,
        partial_uploads,
        devices,
        jobs,
        job_events,
        artifacts,
        pipeline,
        webhooks,
        project,
        about,
    ):
        app.include_router(module.router)
    _complete_document(app)
    return app


def _telemetry(tracing: Tracing) -> TelemetryConfig:
    """Return FastAPI's own telemetry: a span for each request, except for probes; metrics are those of Prometheus."""
    return {
        "tracing": tracing.provider is not None,
        "tracer_provider": tracing.provider,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope.get("path") in {"/healthz", "/readyz", "/metrics"},
    }


def _body_limits(settings: Settings) -> Callable[[str], int]:
    uploads = {
        "/v1/networks": settings.max_network_bytes,
        "/v1/datasets": settings.max_dataset_bytes,
    }
    uploads["/v1/pipeline"] = settings.max_network_bytes + settings.max_dataset_bytes + MAX_JSON_BODY_BYTES
    pieces = settings.max_dataset_bytes

    def limit_bytes(path: str) -> int:
        return pieces if path.startswith("/v1/uploads/") else uploads.get(path, MAX_JSON_BODY_BYTES)

    return limit_bytes


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
