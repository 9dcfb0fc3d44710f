"""Jobs as callers see them: created once, watched, cancelled, and their artifacts fetched."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Discriminator, Field

from api.errors import DoesNotFit, JobFinished, JobNotFinished, KeyReused, NotFound, Problem
from api.operations.train import require_weights
from api.schemas.answer import Answer
from api.schemas.jobs import AnyJobRequest, JobRequest, request_of
from api.schemas.reports import Artifact, ProgressAnswer, SensitivityReport, TrainingReport
from api.services.datasets import Datasets
from api.services.measured_tables import MeasuredTables
from api.services.networks import Networks
from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from api.storage.records import UNFINISHED, Job, JobState
from network.errors import RequestError
from qat.data.checks import check_dataset

MAX_KEY_LENGTH: Final = 255


class JobSummary(Answer):
    """A job, in short."""

    id: str
    state: JobState = Field(description="queued, running, cancelling; and at last succeeded, failed or cancelled")
    revision: int = Field(description="ascending with every change; wait for the next one with ?after=")
    created_at: AwareDatetime
    started_at: AwareDatetime | None = Field(description="when a worker first took it up")
    finished_at: AwareDatetime | None
    kind: Literal["training", "sensitivity"] = Field(description="what the job does")
    request: AnyJobRequest = Field(description="what was asked for, defaults filled in")
    progress: ProgressAnswer | None = Field(description="the last that the worker told; null before it does")


class JobAnswer(JobSummary):
    """A job."""

    error: Problem | None = Field(description="failed: why")
    result: Annotated[TrainingReport | SensitivityReport, Discriminator("kind")] | None = Field(
        description="succeeded: bits, memory report and accuracy; or the measured sensitivities"
    )
    artifacts: list[Artifact] = Field(description="succeeded: the files, under /v1/jobs/{id}/artifacts/{name}")


class Jobs:
    """The jobs of a data directory.

    Args:
        store: where they are remembered.
        settings: where their files lie.
        networks: what they may train.
        datasets: what they may train on.
        changed: is called when there is something to do for the runner.
    """

    def __init__(
        self, store: Store, settings: Settings, networks: Networks, datasets: Datasets, changed: Callable[[], None]
    ) -> None:
        self._store = store
        self._settings = settings
        self._networks = networks
        self._datasets = datasets
        self._changed = changed
        self._measured = MeasuredTables(store)

    def create(self, request: AnyJobRequest, idempotency_key: str | None) -> JobAnswer:
        """Queue a job; with a key that was seen before, the job that it made then.

        Raises:
            KeyReused: the key came with another request.
            NotFound: no such network or dataset.
            DoesNotFit: the network does not fit the budget.
            BitbudgetError: anything else that would let the job fail, as far as it can be known now.
        """
        if isinstance(request, JobRequest):
            request = self._measured.resolved(request, request.network_id)
        document = request.model_dump(mode="json")
        if idempotency_key is not None:
            if not 1 <= len(idempotency_key) <= MAX_KEY_LENGTH or not idempotency_key.isprintable():
                raise RequestError(f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable characters")
            if (job := self._store.job_with_key(idempotency_key)) is not None:
                return self._same_request(job, document)
        self._check(request)
        job_id = uuid.uuid4().hex
        if not self._store.add_job(job_id, document, idempotency_key):
            return self.create(request, idempotency_key)  # the same key came twice at once; the other was first
        self._changed()
        return self.job(job_id)

    def job(self, job_id: str) -> JobAnswer:
        return JobAnswer.model_validate(self._document(self._job(job_id)))

    def summaries(self, state: JobState | None, limit: int) -> list[JobSummary]:
        """Newest first."""
        states = tuple(JobState) if state is None else (state,)
        return [JobSummary.model_validate(self._document(job)) for job in self._store.jobs(states, limit)]

    def cancel(self, job_id: str) -> JobAnswer:
        """Ask a job to end; asking twice is no error.

        Raises:
            JobFinished: it has ended already.
        """
        self._job(job_id)
        if not self._store.change_job(job_id, [JobState.QUEUED], state=JobState.CANCELLED):
            self._store.change_job(job_id, [JobState.RUNNING], state=JobState.CANCELLING)
        else:
            JobDirectory.of(job_id, self._settings).clear_results()
        job = self.job(job_id)
        if job.state in {JobState.SUCCEEDED, JobState.FAILED}:
            raise JobFinished(f"job {job_id} has {job.state} already; there is nothing to cancel")
        self._changed()
        return job

    def delete(self, job_id: str) -> None:
        """Forget a finished job and its files.

        Raises:
            JobNotFinished: it has not ended.
        """
        job = self._job(job_id)
        if not self._store.delete_job(job_id):
            raise JobNotFinished(f"job {job_id} is {job.state}; cancel it first")
        shutil.rmtree(JobDirectory.of(job_id, self._settings).root, ignore_errors=True)

    def artifacts(self, job_id: str) -> list[Artifact]:
        """The files of a job that has succeeded.

        Raises:
            JobNotFinished: it has not, so far.
            NotFound: it never will.
        """
        job = self._job(job_id)
        if job.state in UNFINISHED:
            raise JobNotFinished(f"job {job_id} is {job.state}; it has artifacts once it has succeeded")
        if job.state is not JobState.SUCCEEDED:
            raise NotFound(f"job {job_id} has {job.state}: it leaves no artifacts")
        return [Artifact.model_validate(each) for each in job.artifacts]

    def artifact(self, job_id: str, name: str) -> tuple[Artifact, Path]:
        """One file of a job that has succeeded: only names that the job has registered are looked up."""
        artifacts = self.artifacts(job_id)
        for artifact in artifacts:
            if artifact.name == name:
                return artifact, JobDirectory.of(job_id, self._settings).artifacts / artifact.name
        raise NotFound(
            f"job {job_id} has no artifact {name[:80]!r}; it has {', '.join(each.name for each in artifacts)}"
        )

    def _check(self, request: AnyJobRequest) -> None:
        network = self._networks.describe(request.network_id)
        require_weights(network.name, has_weights=network.has_weights)
        if isinstance(request, JobRequest):
            answer = self._networks.could_fit(request.network_id, request)
            if not answer.fits:
                raise DoesNotFit(answer)
        with self._datasets.in_memory:
            check_dataset(self._datasets.load(request.dataset), self._networks.structure(request.network_id))

    def _same_request(self, job: Job, document: dict[str, object]) -> JobAnswer:
        if request_of(job.request).model_dump(mode="json") != document:
            raise KeyReused("this Idempotency-Key came with another request before; take a new key for a new request")
        return self.job(job.id)

    def _job(self, job_id: str) -> Job:
        job = self._store.job(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id[:64]!r}")
        return job

    @staticmethod
    def _document(job: Job) -> dict[str, object]:
        def moment(seconds: float | None) -> datetime | None:
            return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

        return {
            "id": job.id,
            "state": job.state,
            "revision": job.revision,
            "created_at": moment(job.created_at),
            "started_at": moment(job.started_at),
            "finished_at": moment(job.finished_at),
            "kind": job.request.get("kind", "training"),
            "request": request_of(job.request),
            "progress": job.progress,
            "error": job.error,
            "result": job.result,
            "artifacts": job.artifacts,
        }
