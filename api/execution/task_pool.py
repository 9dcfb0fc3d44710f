"""Bounded pool of tasks: so many run at the same time, so many wait, and all others are refused at once.

A request that waits takes no thread and no process. A place is free again when the process of its task has ended, so
that killed tasks never run beside new ones.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from typing import Final

from api.execution.forked_tasks import Call, ForkedTasks
from api.execution.task_connection import ServerLost
from api.execution.task_messages import Ending, Outcome

LEFT: Final = "left"
"""Ending, in the numbers of a pool, of a task that was killed because its client left or its service ended."""
MAX_RETRY_SECONDS: Final = 60
"""Largest number of seconds that a refused caller is told to wait."""
_SMOOTHING: Final = 0.2
"""Share of the latest task in the mean time of a task."""


class PoolBusy(Exception):
    """Error: the queue of the pool is full, or no place became free in time.

    Args:
        retry_after_seconds: Time in whole seconds after which a place may be free.
    """

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class PoolClosed(Exception):
    """Error: the pool is closed, because the service ends."""


class PoolLost(Exception):
    """Error: the server of the tasks was killed while a task ran, and so was the next one."""


class TaskPool:
    """Bounded pool of tasks, for the event loop of the service.

    Args:
        tasks: Server that runs the tasks; several pools may share it.
        places: Largest number of tasks that run at the same time.
        queue_length: Largest number of tasks that wait for a place.

    Attributes:
        places: Largest number of tasks that run at the same time.
        queue_length: Largest number of tasks that wait for a place.
        refused: Number of tasks that found the queue full, or no place in time.
        endings: Number of tasks that have ended, by how they did.
    """

    def __init__(self, tasks: ForkedTasks, places: int, queue_length: int) -> None:
        self._tasks = tasks
        self.places = places
        self._free = places
        self.queue_length = queue_length
        self.refused = 0
        self.endings: Counter[str] = Counter(dict.fromkeys((*Ending, LEFT), 0))
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean_seconds = 1.0
        self._is_closed = False

    @property
    def running(self) -> int:
        """Number of tasks that run."""
        return self.places - self._free

    @property
    def waiting(self) -> int:
        """Number of tasks that wait for a place."""
        return sum(not each.done() for each in self._waiting)

    async def run(
        self, call: Call, *, wait_seconds: float, seconds: float, whole_seconds: float = math.inf
    ) -> Outcome:  # fmt: skip
        """Run a task when a place is free, and wait for its outcome; if this is cancelled, the task is killed.

        Args:
            call: The task, its request and its limits.
            wait_seconds: Longest time to wait for a place, in seconds.
            seconds: Longest time of the task, in seconds.
            whole_seconds: Longest time of waiting and task together, in seconds.

        Raises:
            PoolBusy: If the queue is full, or no place became free in time.
            PoolClosed: If the pool is closed.
            PoolLost: If the server of the tasks was killed twice while the task ran.
        """
        began = time.monotonic()
        for _ in range(2):  # a server may have been killed while it was idle; a new one is not expected to end
            await self._take_place(wait_seconds - (time.monotonic() - began))
            started = time.monotonic()
            allowed = max(min(seconds, whole_seconds - (started - began)), 0.0)
            try:
                outcome = await self._tasks.run(call, allowed, self._release_place)
            except ServerLost:
                if self._is_closed:
                    raise PoolClosed from None
            except asyncio.CancelledError:
                self.endings[LEFT] += 1
                raise
            else:
                self.endings[outcome.ending] += 1
                self._mean_seconds += _SMOOTHING * (time.monotonic() - started - self._mean_seconds)
                return outcome
        self.endings[Ending.CRASHED] += 1
        raise PoolLost

    def close(self) -> None:
        """Refuse all tasks that wait."""
        self._is_closed = True
        for each in self._waiting:
            if not each.done():
                each.set_exception(PoolClosed())
        self._waiting.clear()

    async def _take_place(self, wait_seconds: float) -> None:
        if self._is_closed:
            raise PoolClosed
        if self._free:
            self._free -= 1
            return
        if self.waiting >= self.queue_length or wait_seconds <= 0:
            raise self._busy()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._release_place()  # the place came at the same moment
            turn.cancel()
            if turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._busy() from None
            raise

    def _release_place(self) -> None:
        """Give a place to the task that waits longest, or keep it free."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _busy(self) -> PoolBusy:
        """Return the error for a refused task, with an estimate of when the queue has moved on.

        That is when one task for each place has ended, from the mean time of a task.
        """
        self.refused += 1
        rounds = 1 + self.waiting / self.places
        return PoolBusy(max(1, min(MAX_RETRY_SECONDS, math.ceil(self._mean_seconds * rounds))))
