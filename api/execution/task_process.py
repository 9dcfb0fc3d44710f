"""The service's end of one process that runs a task: its request, its outcome and its end."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass

from api.execution.task_connection import ServerLost, TaskServer
from api.execution.task_messages import HEAD, MAX_ANSWER_BYTES, STAYS, Ending, Outcome, TaskStart, framed


@dataclass(frozen=True, eq=False)
class TaskProcess:
    """Process that runs a task, for one request or, if it stays, for several.

    Attributes:
        number: Number of the process.
        task: Name of the task.
        memory_bytes: Memory that the process may allocate, in bytes.
        server: Server that has forked the process.
        status: Exit status of the process when it has ended; None if it is not known.
        reader: Stream of the outcomes.
        writer: Stream of the requests.
    """

    number: int
    task: str
    memory_bytes: int
    server: TaskServer
    status: asyncio.Future[int | None]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def started(cls, server: TaskServer, start: TaskStart) -> TaskProcess:
        """Start a process.

        Args:
            server: Server that forks it.
            start: The task and its limits.

        Raises:
            ServerLost: If the server has ended.
        """
        ours, status = server.start(start)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return cls(start.number, start.task, start.memory_bytes, server, status, reader, writer)

    async def outcome(self, request: bytes, seconds: float) -> tuple[Outcome, bool]:
        """Send a request, and return its outcome and whether the process waits for another request.

        Args:
            request: The request.
            seconds: Longest time until the outcome, in seconds.

        Raises:
            ServerLost: If the server ended before the outcome.
        """
        try:
            async with asyncio.timeout(seconds):
                self.writer.write(framed(request))
                await self.writer.drain()
                ending = Ending((await self._part()).decode())
                body = await self._part()
                return Outcome(ending, body), await self._part() == STAYS
        except TimeoutError:
            return Outcome(Ending.TOO_LONG), False
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            self.leave()
            how = await asyncio.shield(self.status)
            if how is None:
                raise ServerLost from None
            return Outcome(Ending.CRASHED, _text_of(how).encode()), False

    def leave(self) -> None:
        """Kill the process, unless it has ended, and close the connection to it."""
        if not self.status.done():
            self.server.kill(self.number)
        self.writer.close()

    async def _part(self) -> bytes:
        """Return the next part of an outcome.

        Raises:
            ValueError: If the part is larger than an answer may be.
        """
        (length,) = HEAD.unpack(await self.reader.readexactly(HEAD.size))
        if length > MAX_ANSWER_BYTES:
            raise ValueError(f"a part of an outcome has {length} bytes; expected at most {MAX_ANSWER_BYTES}")
        return await self.reader.readexactly(length)


def _text_of(status: int) -> str:
    """Return the exit code or the name of the signal of a status of `os.waitpid`."""
    if os.WIFSIGNALED(status):
        return f"the signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"the exit code {os.waitstatus_to_exitcode(status)}"
