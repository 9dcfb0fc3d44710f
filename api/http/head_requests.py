"""Answers to HEAD: the headers that GET would answer, without the content.

Each path that supports GET supports HEAD, as RFC 9110 demands. A stream is ended after its headers.
"""

from __future__ import annotations

from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OF_PARTS: Final = frozenset({b"range", b"if-range"})
"""Headers that only GET has."""


class HeadRequests:
    """ASGI middleware that answers HEAD as the application answers GET, without the content.

    Args:
        app: The application, which receives only GET.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request (the ASGI protocol)."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        with anyio.CancelScope() as answering:

            async def without_content(message: Message) -> None:
                if message["type"] != "http.response.body":
                    await send(message)
                    return
                await send({"type": "http.response.body"})
                if message.get("more_body", False):
                    answering.cancel()

            headers = [(name, value) for name, value in scope["headers"] if name not in _OF_PARTS]
            asked = {**scope, "method": "GET", "headers": headers}
            try:
                await self._app(asked, receive, without_content)
            finally:
                scope["route"] = asked.get("route")  # for what observes the request
