"""Create, observe and cancel jobs of the service, and get the files that they produce."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from api.errors import InternalFault, JobFinished, JobNotFinished, KeyReused, NotFound
from api.logs import REQUEST_ID
from api.schemas.job_answers import JobAnswer, JobSummary
from api.schemas.job_state import JobState
from api.schemas.jobs import (
    AnyJobRequest,
    SensitivityJobRequest,
    request_of,
)
from api.schemas.reports import Artifact
from api.services.job_documents import job_document
from api.services.job_retry import retry
from api.services.measured_tables import MeasuredTables
from api.services.stored_results import present_result
from api.settings import Settings
from api.storage.database import Store
from api.storage.database.quotas import Limits
from api.storage.disk_space import DiskReserve
from api.storage.job_files import JobFiles
from api.storage.objects.errors import DamagedObject, ObjectMissing
from api.storage.records import UNFINISHED, Job
from network.errors import RequestError

MAX_KEY_LENGTH: Final = 255


class Jobs:
    """All jobs of the service, with the operations that HTTP requests need.

    Args:
        store: Database of the jobs.
        settings: Settings of the service, with the directory of the files of jobs.
        changed: Function that is called when the scheduler has something to do.
    """

    def __init__(self, store: Store, settings: Settings, changed: Callable[[], None]) -> None:
        self._store = store
        self._settings = settings
        self._changed = changed
        self._reserve = DiskReserve(settings)
        self._measured = MeasuredTables(store)
        self._limits = Limits.of(settings)

    def prepared(
        self, request: AnyJobRequest, idempotency_key: str | None
    ) -> tuple[AnyJobRequest, JobAnswer | None]:  # fmt: skip
        """Return a request with the table of the job that it names, and the job that an equal request has created.

        Args:
            request: The request.
            idempotency_key: The idempotency key of the caller; None if the caller gave none.

        Returns:
            The request without a reference to another job; the job of an earlier request with the same key, else None.

        Raises:
            KeyReused: If an earlier request with the same key was different, or if its job was deleted.
            NotFound: If the network does not exist, or a job that the request names.
        """
        if not isinstance(request, SensitivityJobRequest):
            request = self._measured.resolved(request, request.network_id)
        document = request.model_dump(mode="json")
        if idempotency_key is not None:
            if not 1 <= len(idempotency_key) <= MAX_KEY_LENGTH or not idempotency_key.isprintable():
                raise RequestError(
                    f"the header Idempotency-Key is invalid; expected 1 to {MAX_KEY_LENGTH} printable characters"
                )
            if (job := self._store.job_with_key(idempotency_key)) is not None:
                return request, self._same_request(job, document)
            if self._store.idempotency(idempotency_key) is not None:
                raise KeyReused(
                    "the job that an earlier request with the same Idempotency-Key created was deleted; use a new key "
                    "for a new request"
                )
        return request, None

    def add(self, request: AnyJobRequest, idempotency_key: str | None, traceparent: str | None = None) -> JobAnswer:
        """Add a job to the queue, or return the job that a faster request with the same idempotency key created.

        Args:
            request: The request, which was checked and names no other job.
            idempotency_key: The idempotency key of the caller; None if the caller gave none.
            traceparent: Span of the HTTP request; None without traces.

        Raises:
            KeyReused: If the faster request was different.
            QuotaExceeded: If the project has used all bytes that it may have.
            QueueLimit: If as many jobs of the project wait as may.
        """
        document = request.model_dump(mode="json")
        job_id = uuid.uuid4().hex
        origin = {"request_id": REQUEST_ID.get(), "traceparent": traceparent}
        if not self._store.add_job(job_id, document, idempotency_key, defaults=self._limits, **origin):
            _, known = self.prepared(request, idempotency_key)
            return self.add(request, idempotency_key, traceparent) if known is None else known
        self._changed()
        return self.job(job_id)

    def job(self, job_id: str) -> JobAnswer:
        """Return the description of a job by its identifier.

        Raises:
            NotFound: If the job does not exist.
        """
        job = self._job(job_id)
        document = job_document(job)
        try:
            return JobAnswer.model_validate(document)
        except ValidationError:  # an earlier version stored the result
            return JobAnswer.model_validate(document | {"result": present_result(job.result)})

    def status(self, job_id: str) -> tuple[JobState, int]:
        """Return the state and the revision of a job by its identifier, which costs less than its description.

        Raises:
            NotFound: If the job does not exist.
        """
        job = self._job(job_id)
        return job.state, job.revision

    def page(
        self, state: JobState | None, limit: int, before_number: int | None
    ) -> tuple[list[JobSummary], int | None]:  # fmt: skip
        """Return summaries of some jobs, newest first.

        Args:
            state: State of the jobs to return; None for all states.
            limit: Largest number of jobs.
            before_number: Number of the last job of the page before; None for the first page.

        Returns:
            The jobs; the number of the last one, None if no further job exists.
        """
        states = tuple(JobState) if state is None else (state,)
        jobs = self._store.jobs_page(states, limit, before_number)
        page = [JobSummary.model_validate(job_document(job)) for job in jobs[:limit]]
        return page, jobs[limit - 1].number if len(jobs) > limit else None

    def cancel(self, job_id: str) -> JobAnswer:
        """Cancel a job; cancelling a cancelled job again is not an error.

        Args:
            job_id: Identifier of the job.

        Raises:
            NotFound: If the job does not exist.
            JobFinished: If the job has succeeded or failed already.
        """
        while (found := self._job(job_id)).state in {JobState.QUEUED, JobState.RUNNING}:
            state = JobState.CANCELLED if found.state is JobState.QUEUED else JobState.CANCELLING
            change = partial(self._store.change_job, job_id, [found.state], of_attempt=found.attempt, state=state)
            if self._reserve.with_room(change):
                if state is JobState.CANCELLED:
                    JobFiles(job_id, self._settings).clear_results(found.attempt)
                break
        job = self.job(job_id)
        if job.state in {JobState.SUCCEEDED, JobState.FAILED}:
            raise JobFinished(f"job {job_id} has {job.state} already and cannot be cancelled")
        self._changed()
        return job

    def retry(self, job_id: str) -> JobAnswer:
        """Queue a failed or cancelled job again; retrying a queued or running job is not an error.

        Args:
            job_id: Identifier of the job.

        Raises:
            NotFound: If the job does not exist, or its network or dataset was deleted.
            JobFinished: If the job has succeeded.
            JobNotFinished: If the job is being cancelled.
            QueueLimit: If as many jobs of the project wait as may.
        """
        if retry(self._store, self._settings, self._job(job_id)):
            self._changed()
        return self.job(job_id)

    def delete(self, job_id: str, unused_since: float | None = None) -> None:
        """Delete a finished job and its files.

        Args:
            job_id: Identifier of the job.
            unused_since: Unix time in seconds; a job that was used later counts as unfinished. None: it does not.

        Raises:
            NotFound: If the job does not exist.
            JobNotFinished: If the job has not finished.
        """
        job = self._job(job_id)
        if not self._reserve.with_room(lambda: self._store.delete_job(job_id, unused_since)):
            raise JobNotFinished(f"job {job_id} is {job.state} and cannot be deleted; cancel the job first")
        JobFiles(job_id, self._settings).delete()

    def artifacts(self, job_id: str) -> list[Artifact]:
        """Return the names, sizes and SHA-256 hashes of the files that a successful job produced.

        Args:
            job_id: Identifier of the job.

        Raises:
            JobNotFinished: If the job has not finished.
            NotFound: If the job does not exist, has failed or was cancelled.
        """
        job = self._job(job_id)
        if job.state in UNFINISHED:
            raise JobNotFinished(f"job {job_id} is {job.state} and has no artifacts yet; wait until it has succeeded")
        if job.state is not JobState.SUCCEEDED:
            raise NotFound(f"job {job_id} has no artifacts, because its state is {job.state}; create a new job")
        return [Artifact.model_validate(each) for each in job.artifacts]

    def artifact(self, job_id: str, name: str) -> Artifact:
        """Return the description of one file that a successful job produced.

        Args:
            job_id: Identifier of the job.
            name: Name of the file; only names that the job registered are found.

        Raises:
            JobNotFinished: If the job has not finished.
            NotFound: If the job or the file does not exist.
        """
        artifacts = self.artifacts(job_id)
        for artifact in artifacts:
            if artifact.name == name:
                self._store.note_job_use(self._job(job_id))
                return artifact
        raise NotFound(
            f"job {job_id} has no artifact {name[:80]!r}; its artifacts: {', '.join(each.name for each in artifacts)}"
        )

    def held_artifact(self, job_id: str, artifact: Artifact, holds: ExitStack) -> Path:
        """Return the path of one file that a successful job produced, on the local disk.

        Args:
            job_id: Identifier of the job.
            artifact: Description of the file.
            holds: Stack that releases a copy of the file when it is closed.

        Raises:
            NotFound: If the job does not exist.
            StoreUnavailable: If the store does not answer.
            InternalFault: If the file is damaged or missing in the store.
        """
        try:
            return JobFiles(job_id, self._settings).held_artifact(self._job(job_id).attempt, artifact, holds)
        except (DamagedObject, ObjectMissing) as error:
            raise InternalFault(
                f"the file '{artifact.name}' of job {job_id} is damaged or missing in the store; create the job again"
            ) from error

    def content(self, job_id: str, name: str) -> bytes:
        """Return the content of one small file that a successful job produced.

        Args:
            job_id: Identifier of the job.
            name: Name of the file.

        Raises:
            JobNotFinished: If the job has not finished.
            NotFound: If the job or the file does not exist.
            StoreUnavailable: If the store does not answer.
            InternalFault: If the file is damaged or missing in the store.
        """
        with ExitStack() as holds:
            return self.held_artifact(job_id, self.artifact(job_id, name), holds).read_bytes()

    def _same_request(self, job: Job, document: dict[str, object]) -> JobAnswer:
        if request_of(job.request).model_dump(mode="json") != document:
            raise KeyReused(
                "an earlier request with the same Idempotency-Key was different; use a new key for a new request"
            )
        return self.job(job.id)

    def _job(self, job_id: str) -> Job:
        job = self._store.job(job_id)
        if job is None:
            raise NotFound(f"the job {job_id[:64]!r} does not exist; GET /v1/jobs lists all jobs")
        return job
