"""The process of one job: `python -m api.execution.worker JOB --data-directory DIRECTORY --lock DESCRIPTOR`.

It tells the database how far it is and what came out. It outlives the service; when it dies itself, it leaves nothing
but checkpoints, from which the next one goes on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from pathlib import Path

from api.errors import Problem, problem_of, problem_of_system
from api.operations.sensitivity import SensitivityJob, run_sensitivity_job
from api.operations.train import MainJob, run_main_job
from api.schemas.answer import NetworkName
from api.schemas.jobs import JobRequest, SensitivityJobRequest, request_of
from api.schemas.reports import REPORT_FILE, ProgressAnswer, SensitivityReport, TrainingReport, artifacts_in
from api.services.datasets import Datasets
from api.services.networks import Networks
from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from api.storage.process_lock import ProcessLock
from api.storage.records import Job, JobState
from network.errors import BitbudgetError
from qat.progress import Progress

PROGRESS_SECONDS = 0.3
"""How often progress is written at most: each time costs a synchronous write to the disk."""


class ProgressWriter:
    """Writes a job's progress to the database: each kind of phase when it first comes, and else not too often."""

    def __init__(self, store: Store, job_id: str) -> None:
        self._store = store
        self._job_id = job_id
        self._written = -PROGRESS_SECONDS
        self._known_phases: set[str] = set()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.phase in self._known_phases and now - self._written < PROGRESS_SECONDS:
            return
        self._written = now
        self._known_phases.add(progress.phase)
        document = ProgressAnswer.model_validate(progress).model_dump(mode="json")
        self._store.change_job(self._job_id, [JobState.RUNNING], progress=document)


def work(store: Store, settings: Settings, job: Job) -> None:
    """Run a job to its end, whichever that is, and tell the database."""
    directory = JobDirectory.of(job.id, settings)
    directory.clear_unfinished()
    try:
        if not directory.has_artifacts:  # an earlier worker may have died between the last file and the database
            _do(store, settings, job, directory)
    except BitbudgetError as error:
        _fail(store, job, problem_of(error))
    except OSError as error:
        _fail(store, job, problem_of_system(error))
        raise  # the log keeps the traceback
    else:
        _succeed(store, job, directory)


def _do(store: Store, settings: Settings, job: Job, directory: JobDirectory) -> None:
    report = ProgressWriter(store, job.id)
    request = request_of(job.request)
    network = Networks(store, settings).with_weights(request.network_id)
    name = NetworkName(id=request.network_id, name=network.name)
    dataset = Datasets(store, settings).load(request.dataset)
    if isinstance(request, SensitivityJobRequest):
        measuring = SensitivityJob(network=network, network_name=name, dataset=dataset, options=request.options())
        run_sensitivity_job(measuring, directory.artifacts, report)
        return
    training = MainJob(network=network, network_name=name, request=request, dataset=dataset, options=request.training)
    run_main_job(training, directory.artifacts, report=report, checkpoint_directory=directory.checkpoint)


def _succeed(store: Store, job: Job, directory: JobDirectory) -> None:
    is_training = isinstance(request_of(job.request), JobRequest)
    report = (directory.artifacts / REPORT_FILE).read_bytes()
    told = (TrainingReport if is_training else SensitivityReport).model_validate_json(report)
    store.change_job(
        job.id,
        [JobState.RUNNING],
        state=JobState.SUCCEEDED,
        result=told.model_dump(mode="json"),
        artifacts=[each.model_dump(mode="json") for each in artifacts_in(directory.artifacts)],
    )
    # Where the job was being cancelled, the service removes everything once this process is gone.
    shutil.rmtree(directory.checkpoint, ignore_errors=True)


def _fail(store: Store, job: Job, problem: Problem) -> None:
    store.change_job(job.id, [JobState.RUNNING], state=JobState.FAILED, error=problem.document())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m api.execution.worker", description="Runs one job of the bitbudget service."
    )
    parser.add_argument("job")
    parser.add_argument("--data-directory", type=Path, required=True)
    parser.add_argument("--max-dataset-bytes", type=int, required=True)
    parser.add_argument("--operator-datasets", type=Path)
    parser.add_argument("--lock", type=int, required=True, help="the open file that holds the job's lock")
    given = parser.parse_args(arguments)
    os.set_inheritable(given.lock, False)  # what this process starts must not keep the lock when it ends
    ProcessLock.sign(given.lock, os.getpid())
    settings = Settings(
        data_directory=given.data_directory,
        max_dataset_bytes=given.max_dataset_bytes,
        operator_datasets=given.operator_datasets,
    )
    store = Store(settings.database)
    job = store.job(given.job)
    if job is not None and job.state is JobState.RUNNING:
        work(store, settings, job)


if __name__ == "__main__":
    main()
