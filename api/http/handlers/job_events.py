"""Handlers of the HTTP resources /v1/jobs/{id}/events and /v1/jobs/{id}/log: what a job reports while it runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Header, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.concurrency import run_in_threadpool

from api.http.handlers.dependencies import ServiceOf, problems
from api.http.handlers.jobs import JobId
from api.http.openapi_nodes import REFERENCE
from api.http.ranges import part_of
from api.schemas.job_events import EVENTS
from api.storage.job_directory import JobDirectory
from api.storage.records import JobEvent

PAUSE_SECONDS: Final = 15.0
"""Time in seconds without an event after which a comment is sent, so that no proxy takes the stream for dead."""
_RETRY_MILLISECONDS: Final = 2000
"""Time after which a client shall connect again, in milliseconds."""

_DATA: Final = {kind: f"{REFERENCE}{each.__name__}" for kind, each in EVENTS.items()}
"""Kind of an event -> reference to the schema of its data."""

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get(
    "/{job_id}/events",
    operation_id="watchJob",
    response_class=Response,  # with FastAPI's own class, the handler must be a generator, which cannot answer 204
    responses={
        200: {
            "description": "Events as they come (server-sent events): id is the number, event the kind (state, "
            "progress), data a JSON object with kind, created_at and what happened: JobEventData, to which a later "
            "version may add members",
            "content": {
                "text/event-stream": {
                    "schema": {  # generators of clients do not know itemSchema of OpenAPI 3.2
                        "type": "string",
                        "contentMediaType": "text/event-stream",
                        "contentSchema": {
                            "oneOf": [{"$ref": reference} for reference in _DATA.values()],
                            "discriminator": {"propertyName": "kind", "mapping": _DATA},
                        },
                    },
                }
            },
        },
        204: {"description": "The job has ended, and the caller knows all events: there is no need to connect again"},
        **problems(404, 422),
    },
)
async def watch_job(
    job_id: JobId,
    service: ServiceOf,
    last_event_id: Annotated[
        int, Header(ge=0, le=2**53, description="id of the last event that the caller knows; the next one comes first")
    ] = 0,
) -> Response:
    """Send the events of a job as they come; the stream ends after the event of its final state."""
    state, _ = await run_in_threadpool(service.jobs.status, job_id)
    if state.is_final and not await service.events.since(service.store, job_id, last_event_id):
        return Response(status_code=204)

    async def events() -> AsyncIterator[bytes]:
        yield format_sse_event(retry=_RETRY_MILLISECONDS)
        async with aclosing(service.events.stream(service.store, job_id, last_event_id, PAUSE_SECONDS)) as stream:
            async for event in stream:
                yield KEEPALIVE_COMMENT if event is None else _encoded(event)

    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return EventSourceResponse(events(), headers=headers)


@router.get(
    "/{job_id}/log",
    operation_id="getJobLog",
    response_class=Response,
    responses={
        200: {
            "description": "What the processes of the job have printed; the service keeps the newest part",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        206: {
            "description": "The part of the log that Range asks for",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems(404, 416),
    },
)
async def get_job_log(
    job_id: JobId,
    service: ServiceOf,
    byte_range: Annotated[
        str | None, Header(alias="Range", description="part of the log, such as bytes=-4096 for its end")
    ] = None,
) -> Response:
    """Return the log of a job; a job that has not started has an empty one."""

    def read() -> bytes:
        service.jobs.status(job_id)
        try:
            return JobDirectory.of(job_id, service.settings).log.read_bytes()
        except FileNotFoundError:
            return b""

    content = await run_in_threadpool(read)
    part, headers = part_of(content, byte_range)
    return Response(
        part,
        status_code=206 if "Content-Range" in headers else 200,
        headers=headers | {"Accept-Ranges": "bytes", "Cache-Control": "no-cache"},
        media_type="text/plain; charset=utf-8",
    )


def _encoded(event: JobEvent) -> bytes:
    created_at = datetime.fromtimestamp(event.created_at, UTC).isoformat()
    data = json.dumps({"kind": event.kind, "created_at": created_at, **event.data})
    return format_sse_event(data_str=data, event=event.kind, id=str(event.number))
