"""A limit on request bodies, held before memory or disk fills.

    announced too large (Content-Length)    413 at once, nothing is read
    grows too large (chunked)               reading stops with the chunk that passes the limit: 413

A client that still sends while the connection closes loses the answer, so that a refused upload is read on, and thrown
away, for a short while after the answer has gone out.

Starlette has such a limit, but it answers an announced body in plain text, whatever the exception handlers say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import TOO_LARGE
from api.http.problem_responses import problem_response

LINGER_SECONDS: Final = 5.0


def too_large_detail(limit_bytes: int) -> str:
    """What a client is told, whoever finds the file too large first: this middleware, or the reader of the upload."""
    return f"at most {limit_bytes} bytes are taken here; send less, or raise the service's limit"


class BodyLimit:
    """Middleware that refuses bodies above a limit.

    Args:
        app: what is protected.
        limit_bytes: the limit of a path.
        slack_bytes: what a form may add to its file.
    """

    def __init__(self, app: ASGIApp, limit_bytes: Callable[[str], int], slack_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._slack_bytes = slack_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit_bytes = self._limit_bytes(scope["path"])
        body_bytes = limit_bytes + self._slack_bytes
        detail = too_large_detail(limit_bytes)
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > body_bytes:
            waits_for_answer = "expect" in headers  # 100-continue: it sends nothing before it is asked to
            linger = send if waits_for_answer else _lingering(send, receive)
            await problem_response(TOO_LARGE.problem(detail))(scope, receive, linger)
            return
        await self._with_counter(scope, receive, send, body_bytes, detail)

    async def _with_counter(self, scope: Scope, receive: Receive, send: Send, body_bytes: int, detail: str) -> None:
        received_bytes = 0
        sending = send

        async def counted() -> Message:
            nonlocal received_bytes, sending
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > body_bytes:
                sending = _lingering(send, receive)
                raise HTTPException(TOO_LARGE.status, detail)
            return message

        async def answer(message: Message) -> None:
            await sending(message)

        await self._app(scope, counted, answer)


def _lingering(send: Send, receive: Receive) -> Send:
    """Send a whole answer, then read on until the client has stopped sending."""

    async def lingering(message: Message) -> None:
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await send(message)
            return
        await send({**message, "more_body": True})
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        except TimeoutError:
            pass
        await send({"type": "http.response.body"})

    return lingering
