"""Observation of every request: its identifier, its line in the log and its part of the metrics.

The identifier is that of the caller (X-Request-ID) if it is short and printable, else a new one. The answer, the log, a
problem document and a job that the request creates carry it.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.metrics import Metrics
from api.logs import REQUEST_ID, REQUEST_ID_HEADER, fields

LOG: Final = logging.getLogger("bitbudget.requests")

NO_OPERATION: Final = "none"
"""Name, in the metrics, of the operation of a request whose path does not exist."""

_PROBES: Final = frozenset({"health", "readiness", "metrics"})
"""Operations that machines ask every few seconds, whose lines would hide the others."""
_CLIENT_LEFT: Final = 499
"""Status, in log and metrics, of a request that was not answered, because its client had left."""
_GIVEN: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")


class Observation:
    """ASGI middleware that gives every request an identifier, logs it and counts it.

    It must be the outermost middleware, so that it sees what the others answer.

    Args:
        app: The application.
        metrics: Metrics of the service.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one HTTP request to the application, and observe it (the ASGI protocol)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(Headers(scope=scope).get(REQUEST_ID_HEADER))
        # The server runs each request in a task of its own, so that the value needs no reset.
        REQUEST_ID.set(request_id)
        status = _CLIENT_LEFT

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except Exception:
            status = 500  # the handler of the application answers outside of all middleware
            raise
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        operation: str = getattr(route, "operation_id", None) or NO_OPERATION
        path: str = getattr(route, "path", None) or _printable(scope["path"][:200])
        self._metrics.count_request(operation, status, seconds)
        LOG.log(
            logging.DEBUG if operation in _PROBES and status < 400 else logging.INFO,
            "%s %s %d in %.3f s",
            scope["method"],
            path,
            status,
            seconds,
            extra=fields(
                method=scope["method"], path=path, operation=operation, status=status, seconds=round(seconds, 6)
            ),
        )


def _request_id(given: str | None) -> str:
    """Return the identifier that the caller gave, if it is 1 to 128 printable characters; otherwise a new one."""
    return given if given is not None and _GIVEN.fullmatch(given) else uuid.uuid4().hex


def _printable(path: str) -> str:
    """Return a path without line breaks and the like, so that it cannot look like another line of the log."""
    return "".join(letter if letter.isprintable() else "?" for letter in path)
