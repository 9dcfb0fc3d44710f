"""Scheduler of jobs: decides when a job starts, is retried or ended, and has failed; an executor runs the workers.

What the scheduler does with a job, by the state of the job:

    queued       Room for one more job, and it is the job's turn (`queue_order`): start the next attempt.
                 The worker of the last attempt is still ending, or the job waits for the disk: wait.
                 Cancelled by the caller: the job is cancelled at once, without the scheduler.
    running      Another service has it (`leases`): nothing to do.
                 The worker is alive: nothing to do. The worker itself writes succeeded or failed.
                 The worker hangs, or the job takes too long (`watchdog`): kill it.
                 The worker is gone (a crash): `settling` queues the job again, or it has failed.
                 The service stops: end the worker; the job is queued again, and this is not counted as a crash.
    cancelling   The worker is alive: ask it to end, and kill it when `grace_seconds` have passed.
                 The worker is gone: delete its results; the job is cancelled.

The database stores everything that the scheduler needs, and the executor finds the workers of an earlier service: a new
service continues where a killed service stopped.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from threading import Event, Thread
from typing import Any, Final

from api.execution.attempt_workers import AttemptWorkers
from api.execution.executor import Attempt, Executor, ExecutorUnavailable
from api.execution.leases import NO_LEASE, Leases
from api.execution.machine import job_places
from api.execution.queue_order import in_fair_order
from api.execution.settling import Settlement
from api.execution.waiting import is_due
from api.execution.watchdog import Watchdog
from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.database import Store
from api.storage.disk_space import DiskReserve, is_full_disk
from api.storage.records import Job

LOG: Final = logging.getLogger("bitbudget.scheduler")

STALE_SECONDS: Final = 30.0
"""Time in seconds without a complete check of the jobs after which the scheduler or the database counts as stuck."""

_FILL_SECONDS: Final = 30.0
"""Time in seconds between two looks at the reserve of disk space."""
_LONGEST_PAUSE_SECONDS: Final = 5.0
"""Longest pause in seconds after a check of the jobs that has failed."""
_STARTED: Final = (JobState.RUNNING, JobState.CANCELLING)


class Scheduler:
    """Scheduler of the jobs of one data directory, which runs in its own thread.

    Args:
        store: Database of the jobs.
        settings: Settings of the service; they limit concurrent jobs, crashes and the time to end a worker.
        executor: Executor that runs the workers. The scheduler closes it when it stops.
        leases: Leases of this service; None for those of a service that is alone unless its database has a URL.
    """

    def __init__(self, store: Store, settings: Settings, executor: Executor, leases: Leases | None = None) -> None:
        self._store = store
        self._settings = settings
        self._places = job_places(settings)
        self._workers = AttemptWorkers(executor, settings)
        self._leases = leases or Leases.of_service(store, settings)
        self._settlement = Settlement(store, settings, self._workers, self._leases.owner)
        self._watchdog = Watchdog(settings)
        self._reserve = DiskReserve(settings)
        self._filled_at = -_FILL_SECONDS
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
        self._workers.end_all({_latest_attempt(job) for job in self._own_jobs()})
        for job in self._own_jobs():
            try:
                if not self._workers.has_worker(_latest_attempt(job)):
                    self._settlement.settle(job, is_stopping=True)
            except ExecutorUnavailable as error:
                LOG.warning("job %s remains %s for the next service: %s", job.id, job.state, error)
        self._workers.close()

    def turn(self) -> None:
        """Check every unfinished job once: first the jobs that have a worker, then the queued jobs."""
        started = self._store.jobs_of_all_projects(_STARTED)
        running = [job for job in reversed(started) if self._leases.holds(job) and self._look_after(job)]
        attempts = {_latest_attempt(job) for job in started}
        self._workers.forget_ended(attempts)
        self._watchdog.keep(attempts)
        self._leases.keep(attempts)
        free = self._places - len(running)
        if free <= 0:
            return
        due = filter(is_due, self._store.jobs_of_all_projects([JobState.QUEUED]))
        for job in in_fair_order(due, started):
            free -= self._start_next_attempt(job)
            if free <= 0:
                return

    def _run(self) -> None:
        pause_seconds = self._settings.turn_seconds
        while not self._is_stopping:
            try:
                self.turn()
                self._count()
                self._fill_reserve()
                pause_seconds = self._settings.turn_seconds
            except Exception:
                # For example a full disk. The jobs wait, and the service continues to answer.
                LOG.exception("the scheduler failed; it tries again in %s s", pause_seconds)
                time.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, max(_LONGEST_PAUSE_SECONDS, self._settings.turn_seconds))
            self._wake.wait(self._settings.turn_seconds)
            self._wake.clear()

    def _own_jobs(self) -> list[Job]:
        started = self._store.jobs_of_all_projects(_STARTED)
        return [job for job in started if job.lease_owner == self._leases.owner]

    def _fill_reserve(self) -> None:
        if time.monotonic() - self._filled_at >= _FILL_SECONDS:
            self._filled_at = time.monotonic()
            self._reserve.fill()

    def _count(self) -> None:
        self._counts = self._store.count_jobs_of_all_projects()
        self._counted_at = time.monotonic()

    def _look_after(self, job: Job) -> bool:
        """Update a started job from the state of its worker; return whether the job still counts as running."""
        attempt = _latest_attempt(job)
        try:
            if self._workers.is_unconfirmed(attempt) and job.state is JobState.RUNNING:
                return self._start(job, attempt)
            if not self._workers.has_worker(attempt):
                return self._look_after_lost(job, attempt)
            if job.state is JobState.CANCELLING:
                self._workers.end(attempt)
            elif self._watchdog.is_overdue(job):
                self._settlement.fail_overdue(job)
                self._workers.kill(attempt, "the job has exceeded its longest duration")
            elif self._watchdog.is_silent(job):
                self._workers.kill(attempt, f"it gave no sign of life for {self._settings.silence_seconds:g} s")
        except ExecutorUnavailable as error:
            LOG.warning("job %s: %s; the scheduler tries again", job.id, error)
        return True

    def _look_after_lost(self, job: Job, attempt: Attempt) -> bool:
        """Settle a job whose worker is gone; return whether the worker may be alive elsewhere."""
        if self._leases.may_be_elsewhere(job):
            return True
        # The worker may have saved work, or have finished the job, after the jobs were read.
        now = self._store.job_of_any_project(job.id)
        if now is not None and now.state in _STARTED and now.attempt == job.attempt:
            self._settlement.settle(now, is_stopping=False)
        self._workers.forget(attempt)
        return False

    def _start_next_attempt(self, job: Job) -> bool:
        """Start a worker for a queued job; return whether the job now counts towards the limit of running jobs."""
        try:
            if job.attempt > 0 and self._workers.has_worker(_latest_attempt(job)):
                return False
            attempt = Attempt(job.id, job.attempt + 1)
            is_queued = self._store.change_job_of_any_project(
                job.id, [JobState.QUEUED], of_attempt=job.attempt, state=JobState.RUNNING, attempt=attempt.number,
                started_at=job.started_at or time.time(), heartbeat_at=None, progress_at=None, **self._leases.first(),
            )  # fmt: skip
            return is_queued and self._start(job, attempt)  # not queued: cancelled, or started by another service
        except ExecutorUnavailable as error:
            LOG.warning("job %s: %s; the scheduler tries again", job.id, error)
            return True

    def _start(self, job: Job, attempt: Attempt) -> bool:
        """Start a worker for a job; queue the job again if there is no room; return whether it started."""
        try:
            if self._workers.start(attempt):
                return True
        except OSError as error:
            if not is_full_disk(error):
                raise
            self._settlement.wait_for_disk(replace(job, attempt=attempt.number))
            return False
        undone: dict[str, Any] = {"attempt": attempt.number - 1}
        if attempt.number == 1:
            undone["started_at"] = None
        self._store.change_job_of_any_project(
            attempt.job_id, [JobState.RUNNING], of_attempt=attempt.number, state=JobState.QUEUED, **undone, **NO_LEASE
        )
        return False


def _latest_attempt(job: Job) -> Attempt:
    return Attempt(job.id, job.attempt)
