"""Scheduler of jobs: decides when a job starts, is retried or ended, and has failed; an executor runs the workers.

What the scheduler does with a job, by the state of the job:

    queued       Room for one more job: start the next attempt; the job is running.
                 The worker of the last attempt is still ending: wait.
                 Cancelled by the caller: the job is cancelled at once, without the scheduler.
    running      The worker is alive: nothing to do. The worker itself writes succeeded or failed.
                 The worker is gone (a crash): `settling` queues the job again, or it has failed.
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
from threading import Event, Thread
from typing import Any, Final

from api.execution.attempt_workers import AttemptWorkers
from api.execution.executor import Attempt, Executor, ExecutorUnavailable
from api.execution.machine import job_places
from api.execution.settling import Settlement
from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.database import Store
from api.storage.records import Job

LOG: Final = logging.getLogger("bitbudget.scheduler")

STALE_SECONDS: Final = 30.0
"""Time in seconds without a complete check of the jobs after which the scheduler or the database counts as stuck."""

_STARTED: Final = (JobState.RUNNING, JobState.CANCELLING)


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
        self._places = job_places(settings)
        self._workers = AttemptWorkers(executor, settings)
        self._settlement = Settlement(store, settings, self._workers)
        self._thread = Thread(target=self._run, name="scheduler", daemon=True)
        self._wake = Event()
        self._is_stopping = False
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
        self._workers.end_all({_latest_attempt(job) for job in self._store.jobs_of_all_projects(_STARTED)})
        for job in self._store.jobs_of_all_projects(_STARTED):
            try:
                if not self._workers.has_worker(_latest_attempt(job)):
                    self._settlement.settle(job, is_stopping=True)
            except ExecutorUnavailable as error:
                LOG.warning("job %s remains %s for the next service: %s", job.id, job.state, error)
        self._workers.close()

    def turn(self) -> None:
        """Check every unfinished job once: first the jobs that have a worker, then the queued jobs."""
        started = self._store.jobs_of_all_projects(_STARTED)
        occupied = sum(self._look_after(job) for job in reversed(started))
        self._workers.forget_ended({_latest_attempt(job) for job in started})
        if occupied >= self._places:
            return
        for job in reversed(self._store.jobs_of_all_projects([JobState.QUEUED])):
            occupied += self._start_next_attempt(job)
            if occupied >= self._places:
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
            if self._workers.is_unconfirmed(attempt) and job.state is JobState.RUNNING:
                return self._start(attempt)
            if not self._workers.has_worker(attempt):
                self._settlement.settle(job, is_stopping=False)
                return False
            if job.state is JobState.CANCELLING:
                self._workers.end(attempt)
        except ExecutorUnavailable as error:
            LOG.warning("job %s: %s; the scheduler tries again", job.id, error)
        return True

    def _start_next_attempt(self, job: Job) -> bool:
        """Start a worker for a queued job; return whether the job now counts towards the limit of running jobs."""
        try:
            if job.attempt > 0 and self._workers.has_worker(_latest_attempt(job)):
                return False
            attempt = Attempt(job.id, job.attempt + 1)
            started_at = job.started_at or time.time()
            is_queued = self._store.change_job_of_any_project(
                job.id, [JobState.QUEUED], of_attempt=job.attempt, state=JobState.RUNNING, attempt=attempt.number,
                started_at=started_at,
            )  # fmt: skip
            return is_queued and self._start(attempt)  # not queued: cancelled in the meantime
        except ExecutorUnavailable as error:
            LOG.warning("job %s: %s; the scheduler tries again", job.id, error)
            return True

    def _start(self, attempt: Attempt) -> bool:
        """Start a worker for a job, or queue the job again if the executor has no room; return whether it started."""
        if self._workers.start(attempt):
            return True
        undone: dict[str, Any] = {"attempt": attempt.number - 1}
        if attempt.number == 1:
            undone["started_at"] = None
        self._store.change_job_of_any_project(
            attempt.job_id, [JobState.RUNNING], of_attempt=attempt.number, state=JobState.QUEUED, **undone
        )
        return False


def _latest_attempt(job: Job) -> Attempt:
    return Attempt(job.id, job.attempt)
