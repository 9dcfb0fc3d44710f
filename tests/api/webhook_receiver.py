"""A receiver of webhooks for tests: a real HTTP server in a thread, and an independent check of signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Arrived:
    """A request that has arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


Reply = Callable[[BaseHTTPRequestHandler, int], None]
"""What answers a request: the handler, and the number of requests before this one."""


def answer(status: int, body: bytes = b"", **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


class Receiver:
    """HTTP server on loopback that keeps all requests; `reply` can be changed at any time."""

    def __init__(self, reply: Reply | None = None, context: ssl.SSLContext | None = None) -> None:
        self.arrived: list[Arrived] = []
        self.reply = reply or answer(204)
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with receiver._changed:
                    number = len(receiver.arrived)
                    receiver.arrived.append(Arrived(self.path, headers, body))
                    receiver._changed.notify_all()
                receiver.reply(self, number)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                """Say nothing about clients that close the connection."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, count: int) -> list[Arrived]:
        """Return the first requests, when as many have arrived."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.arrived) >= count, PATIENCE_SECONDS)
        assert arrived, f"{len(self.arrived)} of {count} requests arrived"
        return self.arrived[:count]


def is_signed(request: Arrived, secret: str, now: float | None = None) -> bool:
    """Check a signature as the specification Standard Webhooks tells receivers; shares no code with the service."""
    moment = int(request.headers["webhook-timestamp"])
    if abs((time.time() if now is None else now) - moment) > 300:
        return False
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = b".".join([request.id.encode(), str(moment).encode(), request.body])
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = [each.split(",", 1) for each in request.headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(text, expected) for version, text in given)
