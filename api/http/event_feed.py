"""Events of jobs for many open streams: one poller asks the database for all of them.

    streams of a job ──► watched job ◄── poller: the newest number of each watched job, in one query

A stream first reads what the database has, then takes what the poller hands out; while it waits it has no thread and
no connection. Numbers of events grow in the order in which the events of one job become visible, so that a stream
misses none. The poller runs only while there are streams.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from anyio import CapacityLimiter, to_thread

from api.schemas.job_state import JobState
from api.storage.database import Store
from api.storage.records import JobEvent

LOG: Final = logging.getLogger("bitbudget.service")

POLL_SECONDS: Final = 0.25
"""Time in seconds between two looks at the database."""
PAGE: Final = 200
"""Largest number of events that are read at once."""
WAITING_EVENTS: Final = 400
"""Largest number of events that wait for a slow stream; it then reads the rest from the database."""
_THREADS: Final = 2
"""Number of threads that read events at the same time."""


class _Signal(Enum):
    """What a stream can get instead of an event: it has ended, or there are events that did not find room."""

    END = "end"
    MISSED = "missed"


@dataclass(eq=False, slots=True)
class _Stream:
    """What waits for one stream, and whether events have not found room since it last read the database."""

    waiting: asyncio.Queue[JobEvent | _Signal] = field(default_factory=asyncio.Queue)
    has_missed: bool = False


@dataclass(eq=False, slots=True)
class _WatchedJob:
    """Job with open streams: its project's view of the database, and the last event that was handed out.

    The number is None until the first stream has read what the database has: before it, there is nothing to hand out.
    """

    store: Store
    last_number: int | None = None
    streams: set[_Stream] = field(default_factory=set)


class EventFeed:
    """Events of jobs for the open streams of one service; everything here runs on its event loop.

    Args:
        store: The database, seen by any project.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._watched: dict[str, _WatchedJob] = {}
        self._poller: asyncio.Task[None] | None = None
        self._threads: CapacityLimiter | None = None
        self._is_closed = False

    @property
    def streams(self) -> int:
        """Number of open streams."""
        return sum(len(job.streams) for job in self._watched.values())

    async def since(self, store: Store, job_id: str, after_number: int) -> list[JobEvent]:
        """Return the next events of a job that the database has.

        Args:
            store: The database, seen by the project of the job.
            job_id: Identifier of the job.
            after_number: Number of the last event that the caller knows; 0 for all.
        """
        if self._threads is None:
            self._threads = CapacityLimiter(_THREADS)
        return await to_thread.run_sync(store.events, job_id, after_number, PAGE, limiter=self._threads)

    async def stream(
        self, store: Store, job_id: str, after_number: int, pause_seconds: float
    ) -> AsyncGenerator[JobEvent | None, None]:
        """Yield the events of a job as they come, and None after each pause without one.

        It ends after the event of a final state, unless the job has been queued again since; when the job is deleted;
        and when the service ends.

        Args:
            store: The database, seen by the project of the job.
            job_id: Identifier of the job.
            after_number: Number of the last event that the caller knows; 0 for all.
            pause_seconds: Length of a pause, in seconds.
        """
        number, is_final = after_number, False
        with self._watching(store, job_id) as (job, own):
            while True:
                own.has_missed = False
                while events := await self.since(store, job_id, number):
                    for event in events:
                        yield event
                    number, is_final = events[-1].number, _is_final(events, before=is_final)
                if job.last_number is None:
                    job.last_number = number
                while not is_final:
                    try:
                        async with asyncio.timeout(pause_seconds):
                            handed = await own.waiting.get()
                    except TimeoutError:
                        yield None
                        continue
                    if handed is _Signal.END:
                        return
                    if handed is _Signal.MISSED:
                        break
                    if handed.number > number:
                        number, is_final = handed.number, _is_final([handed], before=False)
                        yield handed
                if is_final:
                    return

    def close(self) -> None:
        """End all streams, and refuse new ones."""
        self._is_closed = True
        if self._poller is not None:
            self._poller.cancel()
        for job in self._watched.values():
            _end(job)

    @contextmanager
    def _watching(self, store: Store, job_id: str) -> Iterator[tuple[_WatchedJob, _Stream]]:
        own, job = _Stream(), self._watched.setdefault(job_id, _WatchedJob(store))
        job.streams.add(own)
        if self._is_closed:
            _end(job)
        elif self._poller is None or self._poller.done():
            self._poller = asyncio.get_running_loop().create_task(self._poll())
        try:
            yield job, own
        finally:
            job.streams.discard(own)
            if not job.streams:
                self._watched.pop(job_id, None)

    async def _poll(self) -> None:
        while self._watched:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._look()
            except Exception:  # for example a database that cannot be reached at the moment: the streams wait
                LOG.exception("the events of the jobs cannot be read; the service tries again in %s s", POLL_SECONDS)

    async def _look(self) -> None:
        """Hand out the new events of all watched jobs, and end the streams of those that were deleted."""
        asked = dict(self._watched)  # a job that is watched from now on is not in the answer
        numbers = await to_thread.run_sync(self._store.last_events_of_any_project, list(asked), limiter=self._threads)
        for job_id, job in asked.items():
            if job_id not in numbers:
                _end(job)
                continue
            while job.last_number is not None and (numbers[job_id] or 0) > job.last_number:
                events = await self.since(job.store, job_id, job.last_number)
                if not events:  # deleted in this moment
                    break
                job.last_number = events[-1].number
                for stream in job.streams:
                    _hand(stream, events)


def _hand(stream: _Stream, events: Sequence[JobEvent]) -> None:
    """Hand new events to a stream, unless too many wait already."""
    if stream.has_missed:
        return
    if stream.waiting.qsize() + len(events) > WAITING_EVENTS:
        stream.has_missed = True
        stream.waiting.put_nowait(_Signal.MISSED)
        return
    for event in events:
        stream.waiting.put_nowait(event)


def _end(job: _WatchedJob) -> None:
    for stream in job.streams:
        stream.waiting.put_nowait(_Signal.END)


def _is_final(events: Sequence[JobEvent], *, before: bool) -> bool:
    """Return whether a job is in a final state after some events.

    Args:
        events: The events, oldest first.
        before: Whether it was in a final state before them.
    """
    states = [str(event.data["state"]) for event in events if event.kind == "state"]
    return JobState(states[-1]).is_final if states else before
