"""A pool of tasks for tests without an event loop: the loop runs in a thread of its own."""

from __future__ import annotations

import math
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal

from api.execution.forked_tasks import Call, ForkedTasks
from api.execution.task_messages import Outcome
from api.execution.task_pool import TaskPool

MIB = 2**20

_Result = TypeVar("_Result")


class BlockingPool:
    """A server of tasks with one pool.

    Args:
        tasks: Function that returns the tasks by name, as "module:function".
        places: Largest number of tasks that run at the same time.
        queue_length: Largest number of tasks that wait.
        memory_bytes: Memory of each task, in bytes.
        seconds: Longest time of each task, in seconds.
    """

    def __init__(
        self, tasks: str, *, places: int = 1, queue_length: int = 8, memory_bytes: int = 64 * MIB, seconds: float = 5.0
    ) -> None:
        self._manager = start_blocking_portal()
        self._portal = self._manager.__enter__()
        self.tasks = ForkedTasks(tasks)
        self.pool = TaskPool(self.tasks, places, queue_length)
        self.memory_bytes = memory_bytes
        self.seconds = seconds

    def run(self, task: str, request: bytes, *, wait_seconds: float = 60.0, **limits: Any) -> Outcome:
        """Run a task and return its outcome; `limits` are those of `Call`, and `seconds` and `whole_seconds`."""
        return self.start(task, request, wait_seconds=wait_seconds, **limits).result()

    def start(self, task: str, request: bytes, *, wait_seconds: float = 60.0, **limits: Any) -> Future[Outcome]:
        """Start a task; cancelling the future kills it."""
        seconds, whole = limits.pop("seconds", self.seconds), limits.pop("whole_seconds", math.inf)
        call = Call(**{"task": task, "request": request, "memory_bytes": self.memory_bytes, **limits})

        async def run() -> Outcome:
            return await self.pool.run(call, wait_seconds=wait_seconds, seconds=seconds, whole_seconds=whole)

        return self._portal.start_task_soon(run)

    def on_loop(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Return the result of a coroutine that runs on the event loop of the pool."""

        async def run() -> _Result:
            return await work

        return self._portal.call(run)

    def close(self) -> None:
        """End all tasks and the server, and wait for their end."""

        async def close() -> None:
            self.pool.close()
            self.tasks.close()

        self._portal.call(close)
        self.tasks.reap()
        self._manager.__exit__(None, None, None)
