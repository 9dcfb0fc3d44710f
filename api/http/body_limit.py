"""Limit on the size of HTTP request bodies, which protects memory and disk.

    Content-Length is above the limit     answer 413 at once, without reading the body
    a chunked body grows above the limit  stop reading at the chunk that exceeds the limit, and answer 413

If the connection is closed while a client still sends, the client does not receive the answer. The rest of a rejected
upload is therefore read and discarded for a few seconds after the answer.

Starlette has a limit too, but it answers in plain text if Content-Length is above the limit, without the exception
handlers of the application.
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
"""Longest time in seconds to read and discard the rest of a rejected upload."""


def too_large_detail(limit_bytes: int) -> str:
    """Return the error message for a request body that is larger than the limit, which is given in bytes."""
    return f"the request body is too large; expected at most {limit_bytes} bytes, the limit of the service"


class BodyLimit:
    """ASGI middleware that rejects HTTP request bodies larger than a limit.

    Args:
        app: The application that receives the accepted requests.
        limit_bytes: Function that returns the limit of a path, in bytes.
        slack_bytes: Number of bytes that a multipart form may add to its file.
    """

    def __init__(self, app: ASGIApp, limit_bytes: Callable[[str], int], slack_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._slack_bytes = slack_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one HTTP request to the application, or answer it with status 413 (the ASGI protocol)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit_bytes = self._limit_bytes(scope["path"])
        body_bytes = limit_bytes + self._slack_bytes
        detail = too_large_detail(limit_bytes)
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > body_bytes:
            # With "Expect: 100-continue", the client sends nothing before the server agrees.
            waits_for_answer = "expect" in headers
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
    """Return an ASGI `send` that delays the end of a response until the rest of the request body is discarded."""

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
