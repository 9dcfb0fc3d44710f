"""Workers of the attempts that a service looks after: found again after a restart, asked to end, killed, forgotten."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from typing import Final

from api.execution.executor import Attempt, Executor, ExecutorUnavailable, Handle
from api.settings import Settings

LOG: Final = logging.getLogger("bitbudget.scheduler")

_SHORTEST_PAUSE_SECONDS: Final = 0.02


class AttemptWorkers:
    """Workers of the attempts that a scheduler looks after.

    Args:
        executor: Executor that runs the workers.
        settings: Settings of the service; they say how long a worker may take to end.
    """

    def __init__(self, executor: Executor, settings: Settings) -> None:
        self._executor = executor
        self._settings = settings
        self._handles: dict[Attempt, Handle] = {}
        self._unconfirmed: set[Attempt] = set()
        self._asked_to_end_at: dict[Attempt, float] = {}
        self._killed_because: dict[Attempt, str] = {}

    def is_unconfirmed(self, attempt: Attempt) -> bool:
        """Return whether it is not known if the worker of an attempt was started, so that the start is repeated."""
        return attempt in self._unconfirmed

    def start(self, attempt: Attempt) -> bool:
        """Start the worker of an attempt; return False if the executor has no room for it.

        Raises:
            ExecutorUnavailable: If it is not known whether the worker was started; the start must be repeated.
            OSError: If the worker cannot be started, for example because the disk is full.
        """
        try:
            handle = self._executor.start(attempt)
        except ExecutorUnavailable:
            self._unconfirmed.add(attempt)
            raise
        self._unconfirmed.discard(attempt)
        if handle is None:
            return False
        self._handles[attempt] = handle
        LOG.info("job %s started, attempt %d", attempt.job_id, attempt.number)
        return True

    def has_worker(self, attempt: Attempt) -> bool:
        """Return whether the worker of an attempt is alive, whichever service started it.

        Raises:
            ExecutorUnavailable: If that cannot be found out.
        """
        if attempt not in self._handles and (found := self._executor.find(attempt)) is not None:
            self._handles[attempt] = found
        return attempt in self._handles and self._executor.is_alive(self._handles[attempt])

    def ending(self, attempt: Attempt) -> str:
        """Return how the worker of an attempt ended, as a noun phrase."""
        ending = self._executor.ending(self._handles[attempt]) if attempt in self._handles else None
        because = self._killed_because.get(attempt)
        return (ending or "unknown exit status") + ("" if because is None else f", because {because}")

    def output_of(self, attempt: Attempt) -> str:
        """Return where an operator finds the output of the worker of an attempt, as a noun phrase."""
        return self._executor.output_of(attempt)

    def last_output(self, attempt: Attempt) -> str:
        """Return the end of the output of the worker of an attempt; empty if there is none."""
        return self._executor.last_output(attempt)

    def end(self, attempt: Attempt) -> None:
        """Ask a worker to end, or kill it after the grace period; each call takes at most one of these steps."""
        asked_at = self._asked_to_end_at.get(attempt)
        if asked_at is None:
            self._executor.ask_to_end(self._handles[attempt])
            self._asked_to_end_at[attempt] = time.monotonic()
        elif time.monotonic() - asked_at > self._settings.grace_seconds:
            self._executor.kill(self._handles[attempt])

    def kill(self, attempt: Attempt, because: str) -> None:
        """Kill the worker of an attempt.

        Args:
            attempt: The attempt, whose worker was found.
            because: Reason, as a clause for the description of the worker's end.
        """
        self._killed_because[attempt] = because
        self._executor.kill(self._handles[attempt])

    def end_all(self, unfinished: Collection[Attempt]) -> None:
        """End the workers of unfinished jobs, and wait until the workers of all jobs have ended.

        Args:
            unfinished: Latest attempts of the jobs whose workers are asked to end; the other workers end by themselves.
        """
        for attempt in self._handles.keys() - set(unfinished):
            self._asked_to_end_at[attempt] = time.monotonic()  # it ends without being asked
        waiting = set(unfinished) | self._handles.keys()
        give_up_at = time.monotonic() + 2 * self._settings.grace_seconds
        pause_seconds = _SHORTEST_PAUSE_SECONDS
        while waiting := {attempt for attempt in waiting if self._still_has_worker(attempt)}:
            if time.monotonic() > give_up_at:
                return
            time.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, max(self._settings.turn_seconds, pause_seconds))

    def forget(self, attempt: Attempt) -> None:
        """Drop all that is known about the worker of an attempt, whose job is settled."""
        if (handle := self._handles.pop(attempt, None)) is not None:
            self._executor.forget(handle)
        self._unconfirmed.discard(attempt)
        self._asked_to_end_at.pop(attempt, None)
        self._killed_because.pop(attempt, None)

    def forget_ended(self, unfinished: Collection[Attempt]) -> None:
        """Drop what is known about workers that have ended and whose jobs have finished.

        Args:
            unfinished: Latest attempts of the unfinished jobs, which are kept.
        """
        for attempt in self._handles.keys() - set(unfinished):
            try:
                if not self._executor.is_alive(self._handles[attempt]):
                    self.forget(attempt)
            except ExecutorUnavailable as error:
                LOG.warning("job %s: %s", attempt.job_id, error)

    def close(self) -> None:
        """Kill each worker that is still alive and that this service started."""
        self._executor.close()

    def _still_has_worker(self, attempt: Attempt) -> bool:
        """Return whether a worker may be alive; if so, ask it to end, or kill it after a grace period."""
        try:
            if not self.has_worker(attempt):
                return False
            self.end(attempt)
        except ExecutorUnavailable as error:
            LOG.warning("job %s: %s", attempt.job_id, error)
        return True
