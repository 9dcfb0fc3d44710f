"""The service's end of the server that forks tasks: starts it, runs tasks in it, kills them, and replaces it.

Everything here runs on the event loop of the service and never blocks it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.execution.task_connection import ServerLost, TaskServer
from api.execution.task_messages import HEAD, MAX_ANSWER_BYTES, Ending, Outcome, TaskStart, framed

LOG: Final = logging.getLogger("bitbudget.tasks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One task with its request and its limits.

    Attributes:
        task: Name of the task.
        request: The request, which the task understands.
        memory_bytes: Memory that the task may allocate, in bytes.
        readable: Files and directories that the task may read.
        has_scratch: Whether the task has a directory for temporary files.
    """

    task: str
    request: bytes
    memory_bytes: int
    readable: tuple[Path, ...] = ()
    has_scratch: bool = False


class ForkedTasks:
    """Tasks that one server process forks; it is started when it is first needed, and again if it has ended.

    Args:
        tasks: Function that returns the tasks by name, as "module:function"; the server calls it once.
    """

    def __init__(self, tasks: str) -> None:
        self._tasks = tasks
        self._server: TaskServer | None = None
        self._is_closed = False
        self._number = 0

    @property
    def is_ready(self) -> bool:
        """Whether the server has imported everything and lives."""
        return self._server is not None and self._server.ready.done() and not self._server.lost.is_set()

    def warm_up(self) -> None:
        """Start the server, without waiting for it."""
        self._living_server()

    async def run(self, call: Call, seconds: float, ended: Callable[[], None]) -> Outcome:
        """Run a task, and wait for its outcome; if this is cancelled, the task is killed.

        Args:
            call: The task, its request and its limits.
            seconds: Longest time of the task, in seconds.
            ended: Function that is called once, when the process of the task has ended or none was started.

        Raises:
            ServerLost: If the server ended before the outcome.
        """
        start = None
        try:
            server = self._living_server()
            await server.until_ready()
            self._number += 1
            start = TaskStart(
                number=self._number,
                task=call.task,
                memory_bytes=call.memory_bytes,
                # The service kills a task that takes too long; this limit ends the task if the service was killed.
                cpu_seconds=math.ceil(seconds) + 1,
                readable=tuple(map(str, call.readable)),
                has_scratch=call.has_scratch,
            )
            ours, status = server.start(start)
        except BaseException:
            ended()
            raise
        status.add_done_callback(lambda _: ended())
        try:
            return await _outcome(ours, call.request, seconds, status)
        finally:
            if not status.done():
                server.kill(start.number)

    def close(self) -> None:
        """End the server and all tasks, without waiting for it; `reap` waits."""
        self._is_closed = True
        if self._server is not None:
            self._server.close()

    def reap(self) -> None:
        """Wait until the server has ended after `close`; this blocks for a short time and may run in a thread."""
        if self._server is not None:
            self._server.reap()

    def _living_server(self) -> TaskServer:
        if self._is_closed:
            raise ServerLost
        if self._server is None or self._server.lost.is_set():
            if self._server is not None:
                LOG.warning("the server of tasks ended unexpectedly; a new one starts")
                self._server.reap()  # it has ended, or has lost its connection and ends
            self._server = TaskServer(self._tasks)
        return self._server


async def _outcome(
    connection: socket.socket, request: bytes, seconds: float, status: asyncio.Future[int | None]
) -> Outcome:
    """Send the request of a started task, and return its outcome.

    Raises:
        ServerLost: If the server ended before the outcome.
    """
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    try:
        async with asyncio.timeout(seconds):
            writer.write(framed(request))
            await writer.drain()
            ending = Ending((await _frame(reader)).decode())
            return Outcome(ending, await _frame(reader))
    except TimeoutError:
        return Outcome(Ending.TOO_LONG)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        how = await asyncio.shield(status)
        if how is None:
            raise ServerLost from None
        return Outcome(Ending.CRASHED, _text_of(how).encode())
    finally:
        writer.close()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next part of an outcome.

    Raises:
        ValueError: If the part is larger than an answer may be.
    """
    (length,) = HEAD.unpack(await reader.readexactly(HEAD.size))
    if length > MAX_ANSWER_BYTES:
        raise ValueError(f"a part of an outcome has {length} bytes; expected at most {MAX_ANSWER_BYTES}")
    return await reader.readexactly(length)


def _text_of(status: int) -> str:
    """Return the exit code or the name of the signal of a status of `os.waitpid`."""
    if os.WIFSIGNALED(status):
        return f"the signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"the exit code {os.waitstatus_to_exitcode(status)}"
