"""Scheduler of jobs: decides when a job starts, is retried or ended, and has failed; an executor runs the workers.

What the scheduler does with a job, by the state of the job:

    queued       Room for one more job: start the next attempt; the job is running.
                 The worker of the last attempt is still ending: wait.
                 Cancelled by the caller: the job is cancelled at once, without the scheduler.
    running      The worker is alive: nothing to do. The worker itself writes succeeded or failed.
                 The worker is gone (a crash): the job is queued again, `max_crashes` times; after that it has failed.
                 The service stops: end the worker; the job is queued again, and this is not counted as a crash.
    cancelling   The worker is alive: ask it to end, and kill it when `grace_seconds` have passed.
                 The worker is gone: delete its results; the job is cancelled.

The oldest job starts first; a job that is queued again keeps its place. The database stores everything that the
scheduler needs, and the executor finds the workers of an earlier service: a new service continues where a killed
service stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from threading import Event, Thread
from typing import Any, Final

from api.errors import WORKER_LOST
from api.execution.executor import Attempt, Executor, ExecutorUnavailable, Handle
from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from api.storage.records import Job

LOG: Final = logging.getLogger("bitbudget.scheduler")

STALE_SECONDS: Final = 30.0
"""Time in seconds without a complete check of the jobs after which the scheduler or the database counts as stuck."""

_STARTED: Final = (JobState.RUNNING, JobState.CANCELLING)
_SHORTEST_PAUSE_SECONDS: Final = 0.02


class Scheduler:
    """Scheduler of the jobs of one data directory, which runs in its own thread.

    Args:
        store: Database of the jobs.
        settings: Settings of the service; they limit concurrent jobs, crashes and the time to end a worker.
        executor: Executor that runs the workers. The scheduler closes it when it stops.
    """

    def __init__(self, store: Store, settings: Settings, executor: Executor) -> None:
        self._store = store
        self._settings = settings
        self._executor = executor
        self._thread = Thread(target=self._run, name="scheduler", daemon=True)
        self._wake = Event()
        self._is_stopping = False
        self._handles: dict[Attempt, Handle] = {}
        self._unconfirmed: set[Attempt] = set()
        self._asked_to_end_at: dict[Attempt, float] = {}
        self._counts: dict[JobState, int] = {}
        self._counted_at = -STALE_SECONDS

    def start(self) -> None:
        """Start the scheduler's thread, which checks all unfinished jobs every `turn_seconds`."""
        self._count()
        self._thread.start()

    @property
    def counts(self) -> dict[JobState, int]:
        """Number of jobs in each state, as the latest check of the jobs has found them; this reads no database."""
        return self._counts

    @property
    def is_stuck(self) -> bool:
        """Whether no check of the jobs was completed for `STALE_SECONDS`, for example because of the disk."""
        return time.monotonic() - self._counted_at > STALE_SECONDS

    @property
    def is_alive(self) -> bool:
        """Whether the thread of the job scheduler runs."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Wake the job scheduler's thread now instead of after its polling interval."""
        self._wake.set()

    def stop(self) -> None:
        """End all workers and queue their jobs again, so that the next service continues from their checkpoints."""
        self._is_stopping = True
        self.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._end_workers(self._store.jobs_of_all_projects(_STARTED))
        for job in self._store.jobs_of_all_projects(_STARTED):
            try:
                if not self._has_worker(_latest_attempt(job)):
                    self._settle(job)
            except ExecutorUnavailable as error:
                LOG.warning("job %s remains %s for the next service: %s", job.id, job.state, error)
        self._executor.close()

    def turn(self) -> None:
        """Check every unfinished job once: first the jobs that have a worker, then the queued jobs."""
        started = self._store.jobs_of_all_projects(_STARTED)
        occupied = sum(self._look_after(job) for job in reversed(started))
        self._forget_finished({_latest_attempt(job) for job in started})
        if occupied >= self._settings.max_concurrent_jobs:
            return
        for job in reversed(self._store.jobs_of_all_projects([JobState.QUEUED])):
            occupied += self._start_next_attempt(job)
            if occupied >= self._settings.max_concurrent_jobs:
                return

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self.turn()
                self._count()
            except Exception:
                # For example a full disk. The jobs wait, and the service continues to answer.
                LOG.exception("the scheduler failed; it tries again in %s s", self._settings.turn_seconds)
                time.sleep(self._settings.turn_seconds)
            self._wake.wait(self._settings.turn_seconds)
            self._wake.clear()

    def _count(self) -> None:
        self._counts = self._store.count_jobs_of_all_projects()
        self._counted_at = time.monotonic()

    def _look_after(self, job: Job) -> bool:
        """Update a started job from the state of its worker; return whether the job still counts as running."""
        attempt = _latest_attempt(job)
        try:
            if attempt in self._unconfirmed and job.state is JobState.RUNNING:
                return self._start(attempt)
            if not self._has_worker(attempt):
                self._settle(job)
                return False
            if job.state is JobState.CANCELLING:
                self._end(attempt)
        except ExecutorUnavailable as error:
            LOG.warning("job %s: %s; the scheduler tries again", job.id, error)
        return True

    def _has_worker(self, attempt: Attempt) -> bool:
        if attempt not in self._handles and (found := self._executor.find(attempt)) is not None:
            self._handles[attempt] = found
        return attempt in self._handles and self._executor.is_alive(self._handles[attempt])

    def _start_next_attempt(self, job: Job) -> bool:
        """Start a worker for a queued job; return whether the job now counts towards the limit of running jobs."""
        try:
            if job.attempt > 0 and self._has_worker(_latest_attempt(job)):
                return False
            attempt = Attempt(job.id, job.attempt + 1)
            started_at = job.started_at or time.time()
            is_queued = self._store.change_job_of_any_project(
                job.id, [JobState.QUEUED], state=JobState.RUNNING, attempt=attempt.number, started_at=started_at
            )
            return is_queued and self._start(attempt)  # not queued: cancelled in the meantime
        except ExecutorUnavailable as error:
            LOG.warning("job %s: %s; the scheduler tries again", job.id, error)
            return True

    def _start(self, attempt: Attempt) -> bool:
        """Start a worker for a job, or queue the job again if the executor has no room; return whether it started."""
        try:
            handle = self._executor.start(attempt)
        except ExecutorUnavailable:
            self._unconfirmed.add(attempt)  # the next turn repeats the start
            raise
        self._unconfirmed.discard(attempt)
        if handle is None:
            undone: dict[str, Any] = {"attempt": attempt.number - 1}
            if attempt.number == 1:
                undone["started_at"] = None
            self._store.change_job_of_any_project(
                attempt.job_id, [JobState.RUNNING], of_attempt=attempt.number, state=JobState.QUEUED, **undone
            )
            return False
        self._handles[attempt] = handle
        LOG.info("job %s started, attempt %d", attempt.job_id, attempt.number)
        return True

    def _settle(self, job: Job) -> None:
        """Queue, fail or cancel a job whose worker is gone."""
        attempt = _latest_attempt(job)
        ending = self._executor.ending(self._handles[attempt]) if attempt in self._handles else None
        how = ending or "unknown exit status"
        self._forget(attempt)
        directory = JobDirectory.of(job.id, self._settings)
        if job.state is JobState.CANCELLING:
            directory.clear_results()
            self._store.change_job_of_any_project(job.id, [JobState.CANCELLING], state=JobState.CANCELLED)
            return
        crashes = job.crashes if self._is_stopping else job.crashes + 1
        if self._is_stopping or crashes <= self._settings.max_crashes:
            if self._store.change_job_of_any_project(
                job.id, [JobState.RUNNING], state=JobState.QUEUED, crashes=crashes
            ):
                directory.clear_unfinished()
                LOG.warning("the worker of job %s ended (%s); the job is queued again", job.id, how)
            return
        output = self._executor.output_of(attempt)
        problem = WORKER_LOST.problem(
            f"the worker of the job ended unexpectedly {crashes} times, the last time with: {how}. "
            f"Create the job again to retry it. The operator of the service finds the output of the worker in {output}"
        )
        if self._store.change_job_of_any_project(
            job.id, [JobState.RUNNING], state=JobState.FAILED, crashes=crashes, error=problem.document()
        ):
            directory.clear_unfinished()
            LOG.error("the worker of job %s ended (%s); the job has failed; see %s", job.id, how, output)

    def _end(self, attempt: Attempt) -> None:
        """Ask a worker to end, or kill it after the grace period; each call takes at most one of these steps."""
        asked_at = self._asked_to_end_at.get(attempt)
        if asked_at is None:
            self._executor.ask_to_end(self._handles[attempt])
            self._asked_to_end_at[attempt] = time.monotonic()
        elif time.monotonic() - asked_at > self._settings.grace_seconds:
            self._executor.kill(self._handles[attempt])

    def _end_workers(self, jobs: Collection[Job]) -> None:
        """End the workers of the given jobs, and wait until the workers of all jobs have ended."""
        unfinished = {_latest_attempt(job) for job in jobs}
        for attempt in self._handles.keys() - unfinished:
            self._asked_to_end_at[attempt] = time.monotonic()  # it ends without being asked
        waiting = unfinished | self._handles.keys()
        give_up_at = time.monotonic() + 2 * self._settings.grace_seconds
        pause_seconds = _SHORTEST_PAUSE_SECONDS
        while waiting := {attempt for attempt in waiting if self._still_has_worker(attempt)}:
            if time.monotonic() > give_up_at:
                return
            time.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, max(self._settings.turn_seconds, pause_seconds))

    def _still_has_worker(self, attempt: Attempt) -> bool:
        """Return whether a worker may be alive; if so, ask it to end, or kill it after a grace period."""
        try:
            if not self._has_worker(attempt):
                return False
            self._end(attempt)
        except ExecutorUnavailable as error:
            LOG.warning("job %s: %s", attempt.job_id, error)
        return True

    def _forget_finished(self, unfinished: Collection[Attempt]) -> None:
        """Drop the handles of workers that have ended and whose jobs have finished."""
        for attempt in self._handles.keys() - unfinished:
            try:
                if not self._executor.is_alive(self._handles[attempt]):
                    self._forget(attempt)
            except ExecutorUnavailable as error:
                LOG.warning("job %s: %s", attempt.job_id, error)

    def _forget(self, attempt: Attempt) -> None:
        self._handles.pop(attempt, None)
        self._unconfirmed.discard(attempt)
        self._asked_to_end_at.pop(attempt, None)


def _latest_attempt(job: Job) -> Attempt:
    return Attempt(job.id, job.attempt)
