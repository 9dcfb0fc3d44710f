"""What becomes of a job whose worker is gone: queued again, failed or cancelled."""

from __future__ import annotations

import logging
from typing import Any, Final

from api.errors import JOB_LIMIT, WORKER_LOST
from api.execution.attempt_workers import AttemptWorkers
from api.execution.executor import Attempt
from api.execution.leases import NO_LEASE
from api.execution.waiting import waiting_for_disk
from api.schemas.job_state import JobState
from api.schemas.problems import Problem
from api.settings import MIB, Settings
from api.storage.database import Store
from api.storage.disk_space import DiskReserve, free_bytes
from api.storage.job_directory import JobDirectory
from api.storage.job_files import JobFiles
from api.storage.records import Job

LOG: Final = logging.getLogger("bitbudget.scheduler")

_FULL_BYTES: Final = MIB
"""Free space in bytes below which a worker that has ended is believed to have found the disk full."""


class Settlement:
    """Decision about each job whose worker is gone.

    Every change names the attempt and the service's lease, so that a service which decides late changes nothing of a
    later attempt or of a job that another service has taken over.

    Args:
        store: Database of the jobs.
        settings: Settings of the service; they limit the crashes of a job.
        workers: Workers of the jobs.
        owner: Identifier of the service in its leases.
    """

    def __init__(self, store: Store, settings: Settings, workers: AttemptWorkers, owner: str) -> None:
        self._store = store
        self._settings = settings
        self._workers = workers
        self._owner = owner
        self._reserve = DiskReserve(settings)

    def settle(self, job: Job, *, is_stopping: bool) -> None:
        """Queue, fail or cancel a job whose worker is gone.

        Args:
            job: The job, which is running or cancelling.
            is_stopping: Whether the service has ended the worker because it stops; then this is not a crash.
        """
        attempt = Attempt(job.id, job.attempt)
        if job.state is JobState.CANCELLING:
            JobFiles(job.id, self._settings).clear_results(job.attempt)
            self._change(job, JobState.CANCELLING, state=JobState.CANCELLED, error=None, **NO_LEASE)
        elif is_stopping:
            if self._queue(job, error=None):
                LOG.info("job %s is queued again for the next service", job.id)
        elif free_bytes(self._settings.data_directory) < _FULL_BYTES:
            self.wait_for_disk(job)
        else:
            self._settle_crash(job, attempt)
        self._workers.forget(attempt)

    def wait_for_disk(self, job: Job, **values: Any) -> None:
        """Queue a running job again, because the disk is full; it is tried again after a pause.

        Args:
            job: The job.
            values: Further columns that change.
        """
        if self._queue(job, error=waiting_for_disk(job), **values):
            LOG.warning("job %s waits, because the disk is full", job.id)

    def fail_overdue(self, job: Job) -> None:
        """Let a running job fail that has exceeded the longest duration; its worker is killed afterwards."""
        problem = JOB_LIMIT.problem(
            f"the job has run for more than {self._settings.job_seconds:g} s, the longest duration of a job; choose "
            "fewer epochs or points, or let the operator raise BITBUDGET_JOB_SECONDS and retry the job"
        )
        self._change(job, JobState.RUNNING, state=JobState.FAILED, error=problem.document(), **NO_LEASE)

    def _settle_crash(self, job: Job, attempt: Attempt) -> None:
        """Queue a job whose worker has crashed; fail it if too many workers in a row have saved no work."""
        how = self._workers.ending(attempt)
        has_saved = job.progress_at is not None
        crashes = 0 if has_saved else job.crashes + 1
        if crashes <= self._settings.max_crashes:
            if self._queue(job, crashes=crashes, error=None):
                LOG.warning("the worker of job %s ended (%s); the job is queued again", job.id, how)
            return
        problem = self._worker_lost(attempt, crashes, how)
        if self._change(
            job, JobState.RUNNING, state=JobState.FAILED, crashes=crashes, error=problem.document(), **NO_LEASE
        ):
            JobDirectory.of(job.id, self._settings).attempt(job.attempt).clear_unfinished()
            output = self._workers.output_of(attempt)
            LOG.error("the worker of job %s ended (%s); the job has failed; its output: %s", job.id, how, output)

    def _queue(self, job: Job, **values: Any) -> bool:
        return self._change(job, JobState.RUNNING, state=JobState.QUEUED, **NO_LEASE, **values)

    def _worker_lost(self, attempt: Attempt, crashes: int, how: str) -> Problem:
        times = "once" if crashes == 1 else f"{crashes} times in a row without saving any work"
        output = self._workers.last_output(attempt)
        shown = f" The last lines of its output:\n{output}" if output else ""
        return WORKER_LOST.problem(
            f"the worker of the job ended unexpectedly {times}, the last time with: {how}. "
            f"POST /v1/jobs/{attempt.job_id}/retry starts the job again, from its last checkpoint if it has one. The "
            f"output of the worker is in {self._workers.output_of(attempt)}.{shown}"
        )

    def _change(self, job: Job, expected: JobState, **values: Any) -> bool:
        return self._reserve.with_room(
            lambda: self._store.change_job_of_any_project(
                job.id, [expected], of_attempt=job.attempt, of_owner=self._owner, **values
            )
        )
