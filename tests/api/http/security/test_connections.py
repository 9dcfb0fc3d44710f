"""Connections of slow clients, over real sockets and a real server; the times of its limits are short here."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from api.http.security.connections import ConnectionLimits, connections_with, reserve_files
from network.errors import RequestError
from tests.api.http.security.raw_requests import connection, read_answer, request
from tests.api.http.test_load import asserted_health, wait_until
from tests.api.live_service import LiveService

HOST = {"Host": "localhost"}
LIMITS = ConnectionLimits(
    max_connections=6, head_seconds=0.4, body_seconds=0.4, bytes_per_second=1000, answer_seconds=0.6, check_seconds=0.05
)


class Server:
    """A server in a thread whose connections have limits, with the bodies that its application has received."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.bodies: list[int] = []
        self.may_read = asyncio.Event()
        self.has_ended = threading.Event()
        routes = [
            Route("/", self._answer, methods=["GET", "POST"]),
            Route("/late", self._late, methods=["POST"]),
            Route("/large", self._large),
            Route("/refused", self._refused, methods=["POST"]),
            Route("/waiting", self._waiting),
        ]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        config = uvicorn.Config(
            Starlette(routes=routes),
            http=connections_with(limits),
            lifespan="off",
            log_config=None,
            timeout_keep_alive=20,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> Server:
        self._thread.start()
        wait_until(lambda: self.server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    @property
    def open_connections(self) -> int:
        return len(self.server.server_state.connections)

    async def _answer(self, request: Request) -> Response:
        self.bodies.append(len(await request.body()))
        return PlainTextResponse("done")

    async def _late(self, request: Request) -> Response:
        """Read the body only after twice the time in which it must come."""
        await asyncio.sleep(2 * LIMITS.body_seconds)
        return await self._answer(request)

    async def _large(self, _: Request) -> Response:
        async def content() -> object:
            for _ in range(400):
                yield bytes(2**16)

        return StreamingResponse(content())  # type: ignore[arg-type]

    async def _refused(self, _: Request) -> Response:
        return PlainTextResponse("refused", 403)

    async def _waiting(self, _: Request) -> Response:
        await asyncio.sleep(1.5)
        return PlainTextResponse("done")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(LIMITS) as running:
        yield running


def seconds_until_closed(client: socket.socket, trickle: Callable[[], bytes] | None = None) -> tuple[float, bytes]:
    """Return the time until the server closes a connection, and what it has sent; bytes are sent on the way.

    Args:
        client: The connection.
        trickle: Function that returns the bytes to send every 20 ms; None to send nothing.
    """
    began, received = time.monotonic(), b""
    client.settimeout(0.02)
    while time.monotonic() - began < 10:
        try:
            if trickle is not None:
                client.sendall(trickle())
            chunk = client.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            break
        if not chunk:
            break
        received += chunk
    else:
        pytest.fail("the connection is still open after 10 s")
    return time.monotonic() - began, received


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local"], ids=["nothing", "a part"])
def test_a_head_that_does_not_come_ends_the_connection(server: Server, sent: bytes) -> None:
    with connection(server.url) as client:
        client.sendall(sent)
        seconds, received = seconds_until_closed(client)
    assert LIMITS.head_seconds * 0.9 <= seconds < 4
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"type":"/problems/request-timeout"' in received
    assert b"expected the head of a request within 0.4 s" in received


def test_a_head_byte_by_byte_ends_the_connection(server: Server) -> None:
    with connection(server.url) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        seconds, _ = seconds_until_closed(client, lambda: b"x")
    assert seconds < 4


def test_the_second_request_of_a_connection_must_come_in_time_too(server: Server) -> None:
    with connection(server.url) as client:
        client.sendall(request("GET", "/", HOST))
        assert read_answer(client)[0] == 200
        time.sleep(2 * LIMITS.head_seconds)  # an idle connection may stay open for a while
        client.sendall(request("GET", "/", HOST))
        assert read_answer(client)[0] == 200
        client.sendall(b"GET / HT")
        seconds, received = seconds_until_closed(client)
    assert seconds < 4
    assert received.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_slow_body_ends_the_connection(server: Server, is_chunked: bool) -> None:
    before = len(server.bodies)
    with connection(server.url) as client:
        length = {"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": "1000000"}
        client.sendall(request("POST", "/", HOST | length))
        seconds, received = seconds_until_closed(client, lambda: b"1\r\nx\r\n" if is_chunked else b"x")
    assert LIMITS.body_seconds * 0.9 <= seconds < 4
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"at least 1000 bytes of the body in each second" in received
    assert len(server.bodies) == before


def test_a_body_fast_enough_arrives_although_it_takes_longer(server: Server) -> None:
    with connection(server.url) as client:
        client.sendall(request("POST", "/", HOST, length=20_000))
        for _ in range(20):
            client.sendall(bytes(1000))
            time.sleep(0.05)
        assert read_answer(client)[0] == 200
    assert server.bodies[-1] == 20_000


def test_a_body_that_the_service_does_not_read_may_wait(server: Server) -> None:
    with connection(server.url) as client:
        client.sendall(request("POST", "/late", HOST, length=300_000))
        client.sendall(bytes(300_000))
        assert read_answer(client)[0] == 200
    assert server.bodies[-1] == 300_000


def test_a_client_that_waits_for_100_continue_is_not_slow(server: Server) -> None:
    with connection(server.url) as client:
        client.sendall(request("POST", "/late", HOST | {"Expect": "100-continue"}, length=4))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"body")
        assert read_answer(client)[0] == 200


def test_an_answer_that_the_client_does_not_take_ends_the_connection(server: Server) -> None:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.listener.getsockname()[1]))
    with client:
        client.sendall(request("GET", "/large", HOST))
        assert client.recv(10)
        wait_until(lambda: server.open_connections == 1)
        wait_until(lambda: server.open_connections == 0, 10)


def test_the_rest_of_a_refused_body_is_discarded_for_a_while(server: Server) -> None:
    """Without this, the answer would be lost: a connection that is closed with unread bytes is reset."""
    with connection(server.url) as client:
        client.sendall(request("POST", "/refused", HOST, length=10**9))
        seconds, received = seconds_until_closed(client, lambda: bytes(20_000))
    assert LIMITS.body_seconds * 0.9 <= seconds < 4
    assert received.startswith(b"HTTP/1.1 403 ")


def test_a_connection_is_used_again_after_a_refused_body(server: Server) -> None:
    with connection(server.url) as client:
        for _ in range(2):
            client.sendall(request("POST", "/refused", HOST, length=300_000))
            assert read_answer(client)[0] == 403
            client.sendall(bytes(300_000))
        client.sendall(request("GET", "/", HOST))
        assert read_answer(client)[0] == 200


def test_a_long_answer_is_not_slow(server: Server) -> None:
    with connection(server.url) as client:
        client.sendall(request("GET", "/waiting", HOST))
        assert read_answer(client)[0] == 200


def test_slow_connections_make_room_for_a_request() -> None:
    patient = ConnectionLimits(max_connections=LIMITS.max_connections)
    with Server(patient) as server, ExitStack() as stack:
        for number in range(4 * LIMITS.max_connections):
            client = stack.enter_context(connection(server.url))
            client.sendall(b"GET / HTTP/1.1\r\nHost: loc" if number % 2 else request("POST", "/", HOST, length=9999))
        for _ in range(10):
            assert httpx.get(f"{server.url}/").status_code == 200
        assert server.open_connections <= LIMITS.max_connections


def test_requests_that_are_being_answered_keep_their_connections() -> None:
    with Server(ConnectionLimits(max_connections=3)) as server, ExitStack() as stack:
        clients = [stack.enter_context(connection(server.url)) for _ in range(3)]
        for client in clients:
            client.sendall(request("GET", "/waiting", HOST))
        wait_until(lambda: len(server.server.server_state.tasks) == 3)
        with connection(server.url) as refused:
            assert seconds_until_closed(refused)[1] == b""
        assert [read_answer(client)[0] for client in clients] == [200, 200, 200]


def test_too_many_connections_for_the_system_are_refused() -> None:
    with pytest.raises(RequestError, match=r"need \d+ open files, and the system allows \d+; choose fewer with"):
        reserve_files(2**40)


@contextmanager
def slow_connections(url: str, number: int) -> Iterator[list[socket.socket]]:
    """Open many connections that send the beginning of a request, half of them of its head, half of its body."""
    with ExitStack() as stack:
        clients = []
        for index in range(number):
            client = stack.enter_context(connection(url))
            client.sendall(
                request("POST", "/v1/networks", HOST, b"{", length=10**6) if index % 2 else b"GET /healthz HTTP/1.1\r\n"
            )
            clients.append(client)
        yield clients


def test_sigterm_ends_the_service_with_slow_connections(tmp_path: Path) -> None:
    service = LiveService(tmp_path / "data")
    with slow_connections(service.url, 40):
        assert service.http.get("/healthz").is_success
        began = time.monotonic()
        assert service.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 10


@pytest.mark.long
def test_700_slow_connections_leave_the_service_usable(tmp_path: Path) -> None:
    """Each sends a byte a second, and comes back when it was closed."""
    reserve_files(1500)
    with LiveService(tmp_path / "data") as service:
        with asserted_health(service), ExitStack() as stack:
            clients: list[socket.socket | None] = [None] * 700
            stack.callback(close_all, clients)
            closed = 0
            for _ in range(25):
                for index, client in enumerate(clients):
                    if client is None or has_closed(client):
                        closed += client is not None
                        clients[index] = new = connection(service.url)
                        new.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
                assert httpx.get(f"{service.url}/healthz", timeout=10).status_code == 200
                time.sleep(1)
            assert closed > 700, "the slow connections were not closed"
        print(f"{closed} connections were closed")
        with slow_connections(service.url, 700):
            began = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(30) == 0
            assert time.monotonic() - began < 10


def close_all(clients: list[socket.socket | None]) -> None:
    for client in clients:
        if client is not None:
            client.close()


def has_closed(client: socket.socket) -> bool:
    """Send one byte, and return whether the service has closed the connection; close it then, too."""
    client.setblocking(False)
    try:
        client.send(b"X")
        if client.recv(4096):
            return has_closed(client)
    except BlockingIOError:
        return False
    except OSError:
        pass
    client.close()
    return True
