"""A small HTTP server that answers what a test tells it, so that a service can be slow, busy, old, new or broken."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from api.version import version


@dataclass(frozen=True)
class Request:
    """What a client has sent."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """What the server answers; `cut_at`: after so many bytes of the body, it closes the connection."""

    status: int = 200
    body: bytes | dict[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None


INDEX = Response(body={"name": "bitbudget", "version": version(), "links": {}})

Answering = Callable[[Request], Response]


def problem(status: int, slug: str, detail: str = "why", **headers: str) -> Response:
    document = {"type": f"/problems/{slug}", "title": slug, "status": status, "detail": detail}
    return Response(status, document, {"Content-Type": "application/problem+json", **headers})


def in_turn(*responses: Response) -> Answering:
    """Return a function that answers with one response after another, and then always with the last one."""
    left = list(responses)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


class ScriptedServer:
    """The server: `answers` has a function or a response for each method and path, such as "GET /v1/jobs"."""

    def __init__(self, answers: Mapping[str, Answering | Response]) -> None:
        self.answers: dict[str, Answering | Response] = {"GET /": INDEX, **answers}
        self.requests: list[Request] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if self.raw_requestline and self.parse_request():
                    outer._answer(self)
                else:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def sent(self, method: str) -> list[Request]:
        """Return the requests of one method, without those of the index."""
        return [each for each in self.requests if each.method == method and each.path != "/"]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, parts.path, parse_qs(parts.query), headers, body)
        self.requests.append(request)
        answer = self.answers.get(f"{request.method} {request.path}", problem(404, "not-found"))
        response = answer(request) if callable(answer) else answer
        content = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
        given = {"Content-Type": "application/json", **response.headers, "Content-Length": str(len(content))}
        handler.send_response_only(response.status)
        for name, value in given.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content[: response.cut_at])
        handler.wfile.flush()
        if response.cut_at is not None:
            handler.close_connection = True


@contextmanager
def scripted(answers: Mapping[str, Answering | Response]) -> Iterator[ScriptedServer]:
    server = ScriptedServer(answers)
    try:
        yield server
    finally:
        server.close()
