"""The service's end of the server that forks tasks: starts it, runs tasks in it, kills them, and replaces it.

Everything here runs on the event loop of the service and never blocks it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.execution.task_connection import ServerLost, TaskServer
from api.execution.task_messages import Ending, Outcome, TaskStart
from api.execution.task_process import TaskProcess

LOG: Final = logging.getLogger("bitbudget.tasks")

CPU_SECONDS_OF_REUSED: Final = 24 * 3600
"""Processor time of a process that answers many requests, in seconds; each of them has a time limit of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One task with its request and its limits.

    Attributes:
        task: Name of the task.
        request: The request, which the task understands.
        memory_bytes: Memory that the task may allocate, in bytes.
        readable: Files and directories that the task may read.
        has_scratch: Whether the task has a directory for temporary files.
        is_reusable: Whether the process may have answered other requests of the same task before, and may stay for
            more. Such a process reads nothing that a caller has made.
    """

    task: str
    request: bytes
    memory_bytes: int
    readable: tuple[Path, ...] = ()
    has_scratch: bool = False
    is_reusable: bool = False


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
        self._idle: list[TaskProcess] = []

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
            ended: Function that is called once, when the process of the task has ended or is idle, or none was started.

        Raises:
            ServerLost: If the server ended before the outcome.
        """
        process = self._idle_process(call)
        if process is not None:
            outcome = await self._outcome(process, call, seconds, ended, is_last=False)
            if outcome is not None:
                return outcome
        try:
            process = await self._new_process(call, seconds)
        except BaseException:
            ended()
            raise
        return await self._outcome(process, call, seconds, ended) or Outcome(Ending.CRASHED)

    async def _outcome(
        self, process: TaskProcess, call: Call, seconds: float, ended: Callable[[], None], *, is_last: bool = True
    ) -> Outcome | None:
        """Return the outcome of a task in a process, which then stays idle or is killed.

        Args:
            process: The process.
            call: The task, its request and its limits.
            seconds: Longest time of the task, in seconds.
            ended: Function to call when the process has ended or is idle.
            is_last: Whether a crash is an outcome. Otherwise it returns None, because an idle process may have been
                killed, and `ended` is not called.
        """
        stays = is_repeated = False
        try:
            outcome, stays = await process.outcome(call.request, seconds)
            is_repeated = outcome.ending is Ending.CRASHED and not is_last
            return None if is_repeated else outcome
        finally:
            if stays and not self._is_closed:
                self._idle.append(process)
                ended()
            else:
                process.leave()
                if not is_repeated:
                    process.status.add_done_callback(lambda _: ended())

    def _idle_process(self, call: Call) -> TaskProcess | None:
        """Return an idle process for a task, which is not idle any more; forget those that have ended."""
        for gone in (each for each in self._idle if each.status.done()):
            gone.leave()
        self._idle = [each for each in self._idle if not each.status.done()]
        for place, process in enumerate(self._idle):
            if (process.task, process.memory_bytes) == (call.task, call.memory_bytes) and call.is_reusable:
                return self._idle.pop(place)
        return None

    async def _new_process(self, call: Call, seconds: float) -> TaskProcess:
        server = self._living_server()
        await server.until_ready()
        self._number += 1
        # The service kills a task that takes too long; this limit ends the task if the service was killed.
        cpu_seconds = math.ceil(seconds) + 1
        start = TaskStart(
            number=self._number,
            task=call.task,
            memory_bytes=call.memory_bytes,
            cpu_seconds=cpu_seconds if not call.is_reusable else max(cpu_seconds, CPU_SECONDS_OF_REUSED),
            readable=tuple(map(str, call.readable)),
            has_scratch=call.has_scratch,
            is_reusable=call.is_reusable,
        )
        return await TaskProcess.started(server, start)

    def close(self) -> None:
        """End the server and all tasks, without waiting for it; `reap` waits."""
        self._is_closed = True
        if self._server is not None:
            self._server.close()
        for each in self._idle:
            each.leave()
        self._idle.clear()

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
