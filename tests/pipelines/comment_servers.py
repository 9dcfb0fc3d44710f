"""A server that keeps comments as the APIs of GitHub and GitLab do, as far as a pipeline uses them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
SHA = "1" * 40
BOT, BOT_ID = "github-actions[bot]", 7
TOKEN = "secret"  # noqa: S105  # that of the stand-in


@dataclass
class Comments:
    """What the server knows, and what it was asked.

    Attributes:
        url: Address of the API.
        requests: Method, path and body of each request that wrote something.
        comments: Comments, oldest first.
        pulls: Open pull requests.
        queries: Query of each request for pull requests.
    """

    url: str = ""
    requests: list[tuple[str, str, Json]] = field(default_factory=list)
    comments: list[Json] = field(default_factory=list)
    pulls: list[Json] = field(default_factory=lambda: [{"number": 12, "head": {"sha": SHA}}])
    queries: list[Json] = field(default_factory=list)

    def add(self, body: str, author: str = BOT, author_id: int = BOT_ID) -> None:
        """Add a comment, as its author would."""
        user = {"login": author, "id": author_id}
        self.comments.append({"id": 100 + len(self.comments), "body": body, "user": user, "author": user})


@contextmanager
def comment_server() -> Iterator[Comments]:
    """Serve the API on a free port of the loopback interface until the context ends."""
    known = Comments()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            if address.path.endswith("/pulls"):
                known.queries.append(query)
                self._answer(known.pulls)
            elif address.path == "/user":
                self._answer({"id": BOT_ID})
            else:
                size, page = int(query["per_page"]), int(query["page"])
                self._answer(known.comments[size * (page - 1) : size * page])

        def do_POST(self) -> None:
            self._write(lambda body, _: known.add(body))

        def do_PATCH(self) -> None:
            self._write(self._change)

        def do_PUT(self) -> None:
            self._write(self._change)

        def _change(self, body: str, number: int) -> None:
            (comment,) = (each for each in known.comments if each["id"] == number)
            comment["body"] = body

        def _write(self, change: Any) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known.requests.append((self.command, self.path, body))
            last = self.path.rpartition("/")[2]
            change(body["body"], int(last) if last.isdecimal() else 0)
            self._answer({})

        def _answer(self, document: object) -> None:
            given = self.headers["PRIVATE-TOKEN"] or (self.headers["Authorization"] or "").removeprefix("Bearer ")
            self.send_response(200 if given == TOKEN else 401)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the base class
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield known
        finally:
            server.shutdown()
            thread.join()
