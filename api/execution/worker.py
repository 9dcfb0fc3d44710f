"""Worker process of one attempt to run a job: `python -m api.execution.worker JOB --attempt NUMBER ...`.

The worker writes progress and result to the database. It continues if the service ends. If the worker ends
unexpectedly, it leaves only checkpoints, from which the next attempt continues.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from pathlib import Path
from typing import Any, Final

from api.errors import Problem, problem_of, problem_of_system
from api.operations.sensitivity import SensitivityJob, run_sensitivity_job
from api.operations.shrink.job import ShrinkJob, run_shrink_job
from api.operations.train import MainJob, run_main_job
from api.schemas.answer import Answer, NetworkName
from api.schemas.job_state import JobState
from api.schemas.jobs import SensitivityJobRequest, ShrinkJobRequest, request_of
from api.schemas.reports import ProgressAnswer, SensitivityReport, TrainingReport
from api.schemas.shrink import ShrinkReport
from api.services.datasets import Datasets
from api.services.networks import Networks
from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from api.storage.process_lock import ProcessLock
from api.storage.records import Job
from api.storage.result_files import REPORT_FILE, artifacts_in
from network.errors import BitbudgetError
from qat.data.label_offset import with_label_offset
from qat.progress import Progress

_REPORTS: Final[dict[str, type[Answer]]] = {
    "training": TrainingReport,
    "sensitivity": SensitivityReport,
    "shrink": ShrinkReport,
}
"""Class of the report of each kind of job."""

PROGRESS_SECONDS: Final = 0.3
"""Shortest time in seconds between two writes of progress; each one is a synchronous write to the disk."""


class ProgressWriter:
    """Callback that writes the progress of a job to the service's database.

    The first progress of each phase is written at once, and later progress at most every `PROGRESS_SECONDS`.

    Args:
        store: The database.
        job: The job, with the attempt that this worker runs.
    """

    def __init__(self, store: Store, job: Job) -> None:
        self._store = store
        self._job = job
        self._written = -PROGRESS_SECONDS
        self._known_phases: set[str] = set()

    def __call__(self, progress: Progress) -> None:
        """Write the progress of a job to the database, unless progress of the same phase was written a moment ago."""
        now = time.monotonic()
        if progress.phase in self._known_phases and now - self._written < PROGRESS_SECONDS:
            return
        self._written = now
        self._known_phases.add(progress.phase)
        document = ProgressAnswer.model_validate(progress).model_dump(mode="json")
        _change(self._store, self._job, progress=document)


def work(store: Store, settings: Settings, job: Job) -> None:
    """Run a job until it has succeeded or failed, and write the outcome to the service's database."""
    directory = JobDirectory.of(job.id, settings)
    directory.clear_unfinished()
    try:
        # An earlier worker may have ended after it wrote the artifacts and before it wrote the result.
        if not directory.has_artifacts:
            _run(store, settings, job, directory)
    except BitbudgetError as error:
        _fail(store, job, problem_of(error))
    except OSError as error:
        _fail(store, job, problem_of_system(error))
        raise  # so that the log has the traceback
    else:
        _succeed(store, job, directory)


def _run(store: Store, settings: Settings, job: Job, directory: JobDirectory) -> None:
    report = ProgressWriter(store, job)
    request = request_of(job.request)
    network = Networks(store, settings).with_weights(request.network_id)
    name = NetworkName(id=request.network_id, name=network.name)
    dataset = with_label_offset(Datasets(store, settings).load(request.dataset), request.label_offset)
    if isinstance(request, SensitivityJobRequest):
        measuring = SensitivityJob(network=network, network_name=name, dataset=dataset, options=request.options())
        run_sensitivity_job(measuring, directory.artifacts, report)
        return
    if isinstance(request, ShrinkJobRequest):
        shrinking = ShrinkJob(
            network=network, network_name=name, request=request, dataset=dataset, options=request.training
        )
        run_shrink_job(shrinking, directory.artifacts, report=report, checkpoint_directory=directory.checkpoint)
        return
    training = MainJob(
        network=network,
        network_name=name,
        request=request,
        dataset=dataset,
        options=request.training,
        is_known_to_fit=True,  # the service has checked it before it queued the job
    )
    run_main_job(training, directory.artifacts, report=report, checkpoint_directory=directory.checkpoint)


def _succeed(store: Store, job: Job, directory: JobDirectory) -> None:
    kind = _REPORTS[request_of(job.request).kind]
    result = kind.model_validate_json((directory.artifacts / REPORT_FILE).read_bytes())
    _change(
        store,
        job,
        state=JobState.SUCCEEDED,
        result=result.model_dump(mode="json"),
        artifacts=[each.model_dump(mode="json") for each in artifacts_in(directory.artifacts)],
    )
    # If the job is being cancelled, the service deletes all files after this process has ended.
    shutil.rmtree(directory.checkpoint, ignore_errors=True)


def _fail(store: Store, job: Job, problem: Problem) -> None:
    _change(store, job, state=JobState.FAILED, error=problem.document())


def _change(store: Store, job: Job, **values: Any) -> None:
    """Change the database record of a job, if the job still runs in the attempt of this worker."""
    store.change_job(job.id, [JobState.RUNNING], of_attempt=job.attempt, **values)


def main(arguments: list[str] | None = None) -> None:
    """Run one attempt of a job, given by command-line arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m api.execution.worker", description="Run one attempt of a job of the bitbudget service."
    )
    parser.add_argument("job", help="identifier of the job")
    parser.add_argument("--attempt", type=int, required=True, help="number of the attempt")
    parser.add_argument("--data-directory", type=Path, required=True, help="data directory of the service")
    parser.add_argument("--max-dataset-bytes", type=int, required=True, help="largest dataset file, in bytes")
    parser.add_argument("--operator-datasets", type=Path, help="directory of the operator's datasets")
    parser.add_argument("--lock", type=int, help="inherited file descriptor that holds the lock of the job, if any")
    given = parser.parse_args(arguments)
    if given.lock is not None:
        os.set_inheritable(given.lock, False)  # processes that this process starts must not inherit the lock
        ProcessLock.sign(given.lock, os.getpid(), label=str(given.attempt))
    settings = Settings(
        data_directory=given.data_directory,
        max_dataset_bytes=given.max_dataset_bytes,
        operator_datasets=given.operator_datasets,
    )
    store = Store(settings.database)
    job = store.job_of_any_project(given.job)
    if job is not None and job.state is JobState.RUNNING and job.attempt == given.attempt:
        work(store.of_project(job.project), settings, job)


if __name__ == "__main__":
    main()
