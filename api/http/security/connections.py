"""Connections that end when their client is too slow, and a bound on their number.

    phase of a connection      what the client must do                          else
    head of a request          send it whole within 10 s                        408, closed
    body of a request          send 10 kB in 10 s, while the service reads      408, closed
    answer                     take some of it every 60 s                       closed
    body after the answer      end it within 10 s, because it is not needed     closed
    between two requests       send the next one within 30 s (by uvicorn)       closed

uvicorn has only the last of these. A connection costs the service a file and some kB, so 1,000 clients that send a byte
now and then would take all of them. If the bound is reached, those connections end whose clients are furthest behind
the smallest rate: an attacker's connections end each other, while a short request is answered within milliseconds.
"""

from __future__ import annotations

import asyncio
import heapq
import resource
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.errors import MALFORMED_REQUEST, REQUEST_TIMEOUT, ProblemKind
from api.http.problem_responses import problem_response
from api.logs import REQUEST_ID_HEADER
from network.errors import RequestError

_WAITING: Final = frozenset({h11.IDLE, h11.SEND_BODY})
"""States of a client that has not sent a whole request."""

_OTHER_FILES: Final = 256
"""Number of files that the service may have open besides connections: database, uploads, worker processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Limits of connections.

    Attributes:
        max_connections: Largest number of open connections.
        head_seconds: Longest time in seconds from the first byte of a request, or from the opening of a connection, to
            the end of the request's head.
        body_seconds: Time in seconds over which the rate of a body is measured, and for which a body is discarded that
            was answered before its end.
        bytes_per_second: Smallest rate in bytes per second at which a body must come.
        answer_seconds: Longest time in seconds in which a client takes nothing of an answer.
        check_seconds: Time in seconds between two checks of a connection.
    """

    max_connections: int = 512
    head_seconds: float = 10.0
    body_seconds: float = 10.0
    bytes_per_second: float = 1000.0
    answer_seconds: float = 60.0
    check_seconds: float = 1.0


class GuardedConnection(H11Protocol):
    """HTTP connection that ends when its client is too slow.

    Attributes:
        limits: Limits of all connections of the class.
    """

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._check: asyncio.TimerHandle | None = None
        self._head_began: float | None = None
        self._rate_began = self._taken_at = self.loop.time()
        self._received_bytes = 0
        self._unsent_bytes = 0
        self._was_paused = False
        self._answered_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Register a new connection; close another one if there are too many."""
        super().connection_made(transport)
        self._head_began = self._rate_began = self._taken_at = self.loop.time()
        if len(self.connections) > self.limits.max_connections:
            self._make_room()
        self._check = self.loop.call_later(self.limits.check_seconds, self._check_now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a closed connection."""
        if self._check is not None:
            self._check.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass received bytes on, and note in which phase of the request they came."""
        if self.conn.their_state is h11.IDLE and self._head_began is None:
            self._head_began = self._rate_began = self.loop.time()
            self._received_bytes = 0
        super().data_received(data)
        self._received_bytes += len(data)
        self._was_paused |= self.flow.read_paused
        if self.conn.their_state is not h11.IDLE and self._head_began is not None:
            self._head_began = None
            self._rate_began = self.loop.time()

    def on_response_complete(self) -> None:
        """Note the end of an answer, and handle the next request."""
        self._answered_at = self.loop.time()
        super().on_response_complete()

    def _check_now(self) -> None:
        """Close the connection if its client is too slow, else check again later."""
        now = self.loop.time()
        self._check = self.loop.call_later(self.limits.check_seconds, self._check_now)
        if self._takes_nothing(now):
            self.transport.abort()
        elif self.transport.is_closing():
            pass
        elif self._head_began is not None and now - self._head_began >= self.limits.head_seconds:
            self._refuse(f"the head of a request within {self.limits.head_seconds:g} s")
        elif self._sends_too_slowly(now):
            self._refuse(f"at least {self.limits.bytes_per_second:g} bytes of the body in each second")
        elif self._is_answered_early() and now - self._answered_at >= self.limits.body_seconds:
            self._close(at_once=False)

    def _takes_nothing(self, now: float) -> bool:
        """Return whether the client has taken nothing of an answer for too long."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes == 0 or unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._taken_at = unsent_bytes, now
        return now - self._taken_at >= self.limits.answer_seconds

    def _sends_too_slowly(self, now: float) -> bool:
        """Return whether the body of a request has come too slowly during the last span of measuring."""
        if self.conn.their_state is h11.IDLE:
            return False
        if self.conn.their_state is not h11.SEND_BODY or self.conn.they_are_waiting_for_100_continue:
            self._start_measuring(now)
            return False
        seconds = now - self._rate_began
        if seconds < self.limits.body_seconds:
            return False
        # While the service does not read, the client cannot send.
        is_slow = not self._was_paused and self._received_bytes < seconds * self.limits.bytes_per_second
        self._start_measuring(now)
        return is_slow

    def _is_answered_early(self) -> bool:
        """Return whether the client still sends the body of a request that was answered, such as a refused upload."""
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state in {h11.DONE, h11.MUST_CLOSE}

    def _start_measuring(self, now: float) -> None:
        self._rate_began, self._received_bytes, self._was_paused = now, 0, self.flow.read_paused

    def _refuse(self, expected: str) -> None:
        """Answer 408 if the request has no answer yet, and close the connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the application can no longer answer
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._answer(REQUEST_TIMEOUT, f"the request came too slowly; expected {expected}: send it again")
        self._close(at_once=self.transport.get_write_buffer_size() > 0)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP, or whose head is too long, and close the connection (as uvicorn does)."""
        self._answer(MALFORMED_REQUEST, f"{msg} Expected HTTP/1.1 with a head of at most 64 KiB: shorten the URL")
        self.transport.close()

    def _answer(self, kind: ProblemKind, detail: str) -> None:
        """Write a problem document, which no application and no middleware sees."""
        headers = {"Connection": "close", REQUEST_ID_HEADER: uuid.uuid4().hex}
        response = problem_response(kind.problem(detail), headers)
        head = h11.Response(status_code=response.status_code, headers=response.raw_headers, reason=kind.title.encode())
        for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")

    def _close(self, *, at_once: bool) -> None:
        """Close the connection.

        Args:
            at_once: Whether to close it without waiting until the client has taken what was written.
        """
        self.connections.discard(self)
        if at_once:
            self.transport.abort()
        else:
            self.transport.close()

    def _make_room(self) -> None:
        """Close the connections whose clients are furthest behind, or this one if all requests are being answered."""
        number = 1 + self.limits.max_connections // 64  # several at a time, because all are looked at for this
        slowest = heapq.nsmallest(number, self._waiting_connections(), key=GuardedConnection._bytes_ahead)
        for each in slowest or [self]:
            each._close(at_once=True)

    def _waiting_connections(self) -> Iterator[GuardedConnection]:
        """Yield the other connections whose client has not sent a whole request."""
        for each in self.connections:
            is_open = each is not self and not each.transport.is_closing()
            if is_open and isinstance(each, GuardedConnection) and each.conn.their_state in _WAITING:
                yield each

    def _bytes_ahead(self) -> float:
        """Return the number of bytes by which the client is ahead of the smallest rate; negative if it is behind."""
        return self._received_bytes - (self.loop.time() - self._rate_began) * self.limits.bytes_per_second


def connections_with(limits: ConnectionLimits) -> type[GuardedConnection]:
    """Return the class of connections with these limits, as uvicorn's parameter `http` takes it."""
    of_service = limits

    class LimitedConnection(GuardedConnection):
        """Connection with the limits of one service."""

        limits = of_service

    return LimitedConnection


def reserve_files(max_connections: int) -> None:
    """Let the process open as many files as its connections and all else need.

    Raises:
        RequestError: If the system does not allow so many.
    """
    wanted = max_connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise RequestError(
            f"{max_connections} connections need {wanted} open files, and the system allows {hard}; choose fewer with "
            "--max-connections, or raise the limit (ulimit -n)"
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
