"""What becomes of a job whose worker is gone: queued again, failed or cancelled."""

from __future__ import annotations

import logging
from typing import Any, Final

from api.errors import WORKER_LOST, Problem
from api.execution.attempt_workers import AttemptWorkers
from api.execution.executor import Attempt
from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from api.storage.records import Job

LOG: Final = logging.getLogger("bitbudget.scheduler")


class Settlement:
    """Decision about each job whose worker is gone.

    Every change names the attempt, so that a service which decides late changes nothing of a later attempt.

    Args:
        store: Database of the jobs.
        settings: Settings of the service; they limit the crashes of a job.
        workers: Workers of the jobs.
    """

    def __init__(self, store: Store, settings: Settings, workers: AttemptWorkers) -> None:
        self._store = store
        self._settings = settings
        self._workers = workers

    def settle(self, job: Job, *, is_stopping: bool) -> None:
        """Queue, fail or cancel a job whose worker is gone.

        Args:
            job: The job, which is running or cancelling.
            is_stopping: Whether the service has ended the worker because it stops; then this is not a crash.
        """
        attempt = Attempt(job.id, job.attempt)
        how = self._workers.ending(attempt)
        if job.state is JobState.CANCELLING:
            JobDirectory.of(job.id, self._settings).clear_results(job.attempt)
            self._change(job, JobState.CANCELLING, state=JobState.CANCELLED)
        elif is_stopping:
            if self._change(job, JobState.RUNNING, state=JobState.QUEUED):
                LOG.info("job %s is queued again for the next service", job.id)
        else:
            self._settle_crash(job, attempt, how)
        self._workers.forget(attempt)

    def _settle_crash(self, job: Job, attempt: Attempt, how: str) -> None:
        crashes = job.crashes + 1
        if crashes <= self._settings.max_crashes:
            if self._change(job, JobState.RUNNING, state=JobState.QUEUED, crashes=crashes):
                LOG.warning("the worker of job %s ended (%s); the job is queued again", job.id, how)
            return
        problem = self._worker_lost(attempt, crashes, how)
        if self._change(job, JobState.RUNNING, state=JobState.FAILED, crashes=crashes, error=problem.document()):
            JobDirectory.of(job.id, self._settings).attempt(job.attempt).clear_unfinished()
            LOG.error("the worker of job %s ended (%s); the job has failed; its output: %s", job.id, how,
                      self._workers.output_of(attempt))  # fmt: skip

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
        return self._store.change_job_of_any_project(job.id, [expected], of_attempt=job.attempt, **values)
