"""Messages between the service, the server that forks tasks, and the tasks.

    service ──start, with a socket──► task server ──fork──► task
            ──kill──────────────────►             ──kill──►
            ◄─ready, ended──────────
            ──request───────────────on the socket─────────► task
            ◄─ending, body, stays───on the socket─────────

The service and the server exchange small JSON messages, one in each packet of a socket. A request and its outcome go
through a socket of their own, without the server: they can be large. A process that is reusable stays for the next
request, until it is killed or has grown. Nothing is unpickled.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

MAX_ANSWER_BYTES: Final = 32 * 2**20
"""Largest answer of a task, in bytes."""
MAX_MESSAGE_BYTES: Final = 2**17
"""Largest message between the service and the server that forks tasks, in bytes; a start lists up to 257 files."""

STAYS, LEAVES = b"1", b"0"
"""Last part of an outcome: whether the process waits for another request, or ends."""

HEAD: Final = struct.Struct(">I")
"""Length of a part in bytes, in front of the part."""


class Ending(StrEnum):
    """Ways in which a task ends."""

    ANSWERED = "answered"
    """The body of the outcome is the answer."""
    REFUSED = "refused"
    """The task raised an error in the caller's input; the body is the name of its class, a line break and its text."""
    FAILED = "failed"
    """The task raised another error, which is in the log; the body says which."""
    OUT_OF_MEMORY = "out of memory"
    """The task needed more memory than allowed."""
    TOO_LONG = "too long"
    """The task was killed because it needed more time than allowed."""
    CRASHED = "crashed"
    """The process of the task ended without an answer; the body says how."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Way in which a task ended.

    Attributes:
        ending: The way.
        body: The answer, or details of the ending, as described at `Ending`.
    """

    ending: Ending
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStart:
    """Message that starts a task.

    Attributes:
        number: Number of the task, which its end repeats.
        task: Name of the task.
        memory_bytes: Memory that the task may allocate, in bytes.
        cpu_seconds: Processor time that the task may use, in whole seconds.
        readable: Paths of the files and directories that the task may read.
        has_scratch: Whether the task has a directory of its own for temporary files.
        is_reusable: Whether the process answers further requests after the first one.
    """

    number: int
    task: str
    memory_bytes: int
    cpu_seconds: int
    readable: tuple[str, ...] = ()
    has_scratch: bool = False
    is_reusable: bool = False


def packed(kind: str, **values: Any) -> bytes:
    """Return a message between the service and the server that forks tasks.

    Args:
        kind: What the message says.
        values: Its content.
    """
    return json.dumps({"kind": kind, **values}).encode()


def packed_start(start: TaskStart) -> bytes:
    """Return the message that starts a task."""
    return packed("start", **asdict(start))


def unpacked(message: bytes) -> tuple[str, dict[str, Any]]:
    """Return the kind and the content of a message between the service and the server that forks tasks."""
    values: dict[str, Any] = json.loads(message)
    return values.pop("kind"), values


def start_of(values: dict[str, Any]) -> TaskStart:
    """Return the start of a task from the content of its message."""
    return TaskStart(**{**values, "readable": tuple(values["readable"])})


def framed(part: bytes) -> bytes:
    """Return a part of a request or an outcome with its length in front."""
    return HEAD.pack(len(part)) + part


def receive_frame(connection: socket.socket) -> bytes:
    """Wait for a part of a request or an outcome.

    Raises:
        EOFError: If the connection ends before.
    """
    (length,) = HEAD.unpack(_receive(connection, HEAD.size))
    return _receive(connection, length)


def _receive(connection: socket.socket, length: int) -> bytes:
    received = bytearray(length)
    view = memoryview(received)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return bytes(received)
