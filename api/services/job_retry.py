"""Retry of a job that has failed or was cancelled."""

from __future__ import annotations

import re
from typing import Final

from api.errors import TRAINING_FAILED, JobFinished, JobNotFinished, NotFound
from api.schemas.job_state import JobState
from api.schemas.jobs import QuestionJobRequest, request_of
from api.settings import Settings
from api.storage.database import Store
from api.storage.database.quotas import Limits
from api.storage.job_files import JobFiles
from api.storage.records import Job

_RETRIED: Final = (JobState.FAILED, JobState.CANCELLED)
_HASH: Final = re.compile(r"[0-9a-f]{64}")


def retry(store: Store, settings: Settings, job: Job) -> bool:
    """Queue a failed or cancelled job again; a job that is queued or running already is left as it is.

    The next attempt continues from the checkpoint of the last one. The checkpoint of a training that failed by itself
    is deleted, because the training would fail again at the same place.

    Args:
        store: Database of the jobs.
        settings: Settings of the service, with the directory of the files of jobs.
        job: The job.

    Returns:
        Whether the job was queued.

    Raises:
        JobFinished: If the job has succeeded.
        JobNotFinished: If the job is being cancelled.
        NotFound: If the network or the dataset of the job was deleted.
        QueueLimit: If as many jobs of the project wait as may.
        StoreUnavailable: If the checkpoint must be deleted, and the store does not answer.
    """
    if job.state is JobState.SUCCEEDED:
        raise JobFinished(f"job {job.id} has succeeded and cannot be retried; its artifacts are ready")
    if job.state is JobState.CANCELLING:
        raise JobNotFinished(f"job {job.id} is being cancelled; retry it when it is cancelled")
    if job.state not in _RETRIED:
        return False
    _require_files(store, job)
    if job.error is not None and job.error.get("type") == TRAINING_FAILED.type:
        JobFiles(job.id, settings).clear_results_now(job.attempt)
    return store.change_job(
        job.id, _RETRIED, of_attempt=job.attempt, defaults=Limits.of(settings), state=JobState.QUEUED, crashes=0,
        error=None, progress=None, started_at=None, retries=job.retries + 1,
    )  # fmt: skip


def _require_files(store: Store, job: Job) -> None:
    request = request_of(job.request)
    needed = [("network", request.network_id)]
    if not isinstance(request, QuestionJobRequest):
        needed.append(("dataset", request.dataset))
    for kind, file_id in needed:
        # Built-in datasets and those of the operator have names and no record.
        if _HASH.fullmatch(file_id) and not store.has_file(kind, file_id):
            raise NotFound(
                f"the {kind} of job {job.id} was deleted, so that the job cannot be retried; upload the {kind} again"
            )
