"""Database record of a job, as the worker of one attempt writes it: signs of life, progress, result or problem."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, Protocol

from sqlalchemy.exc import DBAPIError

from api.execution.waiting import waiting_for_disk, waiting_for_store
from api.schemas.answer import Answer
from api.schemas.job_state import JobState
from api.schemas.problems import Problem
from api.schemas.reports import Artifact, ProgressAnswer
from api.storage.attempt_directory import AttemptSuperseded
from api.storage.database import Store
from api.storage.records import Job
from qat.progress import Progress

LOG: Final = logging.getLogger("bitbudget.worker")

PROGRESS_SECONDS: Final = 0.3
"""Shortest time in seconds between two writes of progress; each one is a synchronous write to the disk."""
PATIENCE_SECONDS: Final = 600.0
"""Longest time in seconds for which a worker tries to write the outcome of its job."""
_LONGEST_PAUSE_SECONDS: Final = 20.0


class Saved(Protocol):
    """Work that an attempt saves: on the disk (`SavedWork`), or in the store (`AttemptUploads`)."""

    def has_grown(self) -> bool:
        """Return whether work was saved since the last call, or since this object was made."""


class NothingSaved:
    """Work of an attempt that ends before it has saved anything."""

    def has_grown(self) -> bool:
        """Return False."""
        return False


class JobRecord:
    """Database record of a job that runs in one attempt.

    A write changes the record only as long as the job runs in this attempt.

    Args:
        store: The database.
        job: The job, with the attempt that this worker runs.
        saved: Work that this attempt saves.

    Attributes:
        reports: Number of progress reports of the job so far.
    """

    def __init__(self, store: Store, job: Job, saved: Saved) -> None:
        self.reports = 0
        self._store = store
        self._job = job
        self._saved = saved
        self._saved_at: float | None = None
        self._written = -PROGRESS_SECONDS
        self._known_phases: set[str] = set()

    def write_progress(self, progress: Progress) -> None:
        """Write the progress of a job to the database, unless progress of the same phase was written a moment ago.

        The first progress of each phase is written at once, and later progress at most every `PROGRESS_SECONDS`. A
        database that cannot be written, for example because its disk is full, does not stop the job.

        Raises:
            AttemptSuperseded: If the job no longer runs in this attempt: it is being cancelled, or a service believed
                that this worker was gone, and has started another one.
        """
        self.reports += 1
        now = time.monotonic()
        if progress.phase in self._known_phases and now - self._written < PROGRESS_SECONDS:
            return
        self._written = now
        self._known_phases.add(progress.phase)
        document = ProgressAnswer.model_validate(progress).model_dump(mode="json")
        try:
            runs = self._change(progress=document, **self._note_saved_work())
        except DBAPIError as error:
            LOG.warning("the progress of the job could not be written: %s", error)
            return
        if not runs:
            raise AttemptSuperseded("the job is being cancelled, or runs in a later attempt")

    def write_sign_of_life(self, now: float) -> None:
        """Write that the worker is alive and that its work goes on.

        Args:
            now: Unix time in seconds.

        Raises:
            AttemptSuperseded: If a later attempt runs the job, or the job has ended without this worker.
            DBAPIError: If the database cannot be written.
        """
        if self._change(heartbeat_at=now, **self._note_saved_work()):
            return
        job = self._store.job(self._job.id)
        if job is None or job.attempt != self._job.attempt or job.state is not JobState.CANCELLING:
            raise AttemptSuperseded("the job runs in a later attempt, or has ended")

    def wait_for_disk(self) -> None:
        """Queue the job again, because the disk is full; if the database is on it, this may be left to the service."""
        self._wait(waiting_for_disk(replace(self._job, progress_at=self._saved_at)))

    def wait_for_store(self) -> None:
        """Queue the job again, because the store does not answer."""
        self._wait(waiting_for_store(replace(self._job, progress_at=self._saved_at)))

    def succeed(self, result: Answer, artifacts: Iterable[Artifact]) -> None:
        """Write the result of a job and the list of its files, and let the job succeed."""
        self._write_outcome(
            state=JobState.SUCCEEDED,
            result=result.model_dump(mode="json"),
            artifacts=[each.model_dump(mode="json") for each in artifacts],
            error=None,
        )

    def fail(self, problem: Problem) -> None:
        """Write the problem because of which a job fails, and let the job fail."""
        self._write_outcome(state=JobState.FAILED, error=problem.document())

    def _wait(self, reason: dict[str, Any]) -> None:
        try:
            self._change(state=JobState.QUEUED, error=reason, lease_owner=None, lease_until=None)
        except DBAPIError as error:
            LOG.warning("the job could not be queued again: %s", error)

    def _write_outcome(self, **values: Any) -> None:
        """Change the record for the last time; wait for a database that cannot be written at the moment.

        Raises:
            DBAPIError: If the database cannot be written for `PATIENCE_SECONDS`.
        """
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        pause_seconds = PROGRESS_SECONDS
        while True:
            try:
                self._change(**values)
            except DBAPIError as error:
                if time.monotonic() > give_up_at:
                    raise
                LOG.warning("the outcome of the job could not be written; the worker tries again: %s", error)
                time.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
            else:
                return

    def _note_saved_work(self) -> dict[str, Any]:
        """Return the values of the columns that change because work was saved since the last call."""
        if not self._saved.has_grown():
            return {}
        self._saved_at = time.time()
        return {"progress_at": self._saved_at}

    def _change(self, **values: Any) -> bool:
        return self._store.change_job(self._job.id, [JobState.RUNNING], of_attempt=self._job.attempt, **values)
