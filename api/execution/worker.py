"""Worker process of one attempt to run a job: `python -m api.execution.worker JOB --attempt NUMBER ...`.

Its environment has the settings of its service (`worker_command`).

The worker writes progress and result to the database. It continues if the service ends. If the worker ends
unexpectedly, it leaves only checkpoints, from which the next attempt continues.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from api.errors import JOB_LIMIT, problem_of, problem_of_system
from api.execution.attempt_uploads import AttemptUploads
from api.execution.executor import ALREADY_BEGUN
from api.execution.heartbeat import Heartbeat
from api.execution.job_record import JobRecord, NothingSaved
from api.execution.job_share import share_of
from api.execution.observed_attempt import observed_attempt
from api.execution.training_input import dataset_of, main_job_of
from api.execution.worker_command import settings_of_worker
from api.execution.worker_limits import MEMORY_ADVICE, is_out_of_memory, limit_worker
from api.operations.question_job import QuestionJob, run_question_job
from api.operations.sensitivity import SensitivityJob, run_sensitivity_job
from api.operations.shrink.job import ShrinkJob, run_shrink_job
from api.operations.train import run_main_job
from api.schemas.answer import Answer, NetworkName
from api.schemas.job_state import JobState
from api.schemas.jobs import JobRequest, QuestionJobRequest, SensitivityJobRequest, request_of
from api.schemas.reports import FitReport, ParetoReport, SensitivityReport, TrainingReport
from api.schemas.shrink import ShrinkReport
from api.services.networks import Networks
from api.settings import Settings
from api.storage.attempt_directory import AttemptDirectory, AttemptSuperseded
from api.storage.database import Store
from api.storage.disk_space import is_full_disk
from api.storage.job_directory import JobDirectory
from api.storage.objects.errors import StoreUnavailable
from api.storage.objects.object_store import ObjectStore
from api.storage.objects.stored_attempts import StoredAttempts
from api.storage.process_lock import ProcessLock
from api.storage.records import Job
from api.storage.result_files import artifacts_in
from api.storage.saved_work import SavedWork
from deploy.result_folder import REPORT_FILE
from network.errors import BitbudgetError
from qat.fan_out import IN_ORDER, FanOut
from qat.progress import Report

_REPORTS: Final[dict[str, type[Answer]]] = {
    "training": TrainingReport,
    "sensitivity": SensitivityReport,
    "shrink": ShrinkReport,
    "fit": FitReport,
    "pareto": ParetoReport,
}
"""Class of the report of each kind of job."""


def work(store: Store, settings: Settings, job: Job) -> None:
    """Run a job until it has succeeded or failed, and write the outcome to the service's database."""
    objects = ObjectStore.of(settings)
    try:
        if objects is not None:
            root = JobDirectory.of(job.id, settings).root
            root.mkdir(parents=True, exist_ok=True)
            StoredAttempts(objects, job.id).bring(job.attempt, root)
        directory = JobDirectory.of(job.id, settings).claim_attempt(job.attempt)
    except AttemptSuperseded as error:
        raise SystemExit(str(error)) from None
    except StoreUnavailable:
        JobRecord(store, job, NothingSaved()).wait_for_store()
        return
    directory.clear_unfinished()
    uploads = None if objects is None else AttemptUploads(settings, objects, job, directory)
    record = JobRecord(store, job, SavedWork(directory.checkpoint) if uploads is None else uploads)
    heartbeat = Heartbeat(record)
    heartbeat.start()
    try:
        # An earlier worker may have ended after it wrote the artifacts and before it wrote the result.
        if not directory.has_artifacts:
            with _uploading(uploads):
                _run(store, settings, job, directory, record.write_progress)
        if uploads is not None:
            uploads.store_artifacts()
    except AttemptSuperseded as error:
        raise SystemExit(str(error)) from None
    except Exception as error:
        heartbeat.stop()
        _settle_error(record, error)
        if not isinstance(error, BitbudgetError):
            raise  # so that the log has the traceback
    else:
        heartbeat.stop()
        _succeed(record, job, directory, uploads)


@contextmanager
def _uploading(uploads: AttemptUploads | None) -> Iterator[None]:
    if uploads is None:
        yield
        return
    uploads.start()
    try:
        yield
    finally:
        uploads.stop()


def _settle_error(record: JobRecord, error: Exception) -> None:
    """Let a job wait or fail because of an error, unless it is a fault of bitbudget, which counts as a crash."""
    if isinstance(error, StoreUnavailable):
        record.wait_for_store()
    elif is_full_disk(error):
        record.wait_for_disk()
    elif is_out_of_memory(error):
        record.fail(JOB_LIMIT.problem(MEMORY_ADVICE))
    elif isinstance(error, BitbudgetError):
        record.fail(problem_of(error))
    elif isinstance(error, OSError):
        record.fail(problem_of_system(error))


def _run(store: Store, settings: Settings, job: Job, directory: AttemptDirectory, report: Report) -> None:
    request = request_of(job.request)
    if isinstance(request, JobRequest):
        _train(store, settings, job, request, directory, report)
        return
    network = Networks(store, settings).with_weights(request.network_id)
    name = NetworkName(id=request.network_id, name=network.name)
    if isinstance(request, QuestionJobRequest):
        run_question_job(QuestionJob(network=network, network_name=name, request=request), directory.artifacts, report)
        return
    dataset = dataset_of(store, settings, request)
    with _places(settings, job) as fan_out:
        if isinstance(request, SensitivityJobRequest):
            measuring = SensitivityJob(
                network=network, network_name=name, dataset=dataset, options=request.options(), fan_out=fan_out
            )
            run_sensitivity_job(measuring, directory.artifacts, report)
            return
        shrinking = ShrinkJob(
            network=network, network_name=name, request=request, dataset=dataset, options=request.training,
            fan_out=fan_out,
        )  # fmt: skip
        run_shrink_job(shrinking, directory.artifacts, report=report, checkpoint_directory=directory.checkpoint)


def _train(
    store: Store, settings: Settings, job: Job, request: JobRequest, directory: AttemptDirectory, report: Report
) -> None:
    """Train in this process, or let several processes of the cluster train."""
    share = share_of(settings, job)
    if share.training_processes > 1:
        from api.execution.ray_training import train_on_cluster

        train_on_cluster(settings, job, request, share, directory, report)
        return
    training = main_job_of(store, settings, request)
    run_main_job(training, directory.artifacts, report=report, checkpoint_directory=directory.checkpoint)


def _places(settings: Settings, job: Job) -> AbstractContextManager[FanOut]:
    """Return where the independent parts of a job are computed: on the cluster that runs this worker, or here."""
    if settings.executor != "ray":
        return nullcontext(IN_ORDER)
    from api.execution.ray_fan_out import on_cluster

    return on_cluster(share_of(settings, job))


def _succeed(record: JobRecord, job: Job, directory: AttemptDirectory, uploads: AttemptUploads | None) -> None:
    kind = _REPORTS[request_of(job.request).kind]
    result = kind.model_validate_json((directory.artifacts / REPORT_FILE).read_bytes())
    artifacts = artifacts_in(directory.artifacts)
    record.succeed(result, artifacts)
    # If the job is being cancelled, the service deletes all files after this process has ended.
    if uploads is None:
        shutil.rmtree(directory.checkpoint, ignore_errors=True)
    else:
        uploads.clear({each.name: each.sha256 for each in artifacts})


def main(arguments: list[str] | None = None) -> None:
    """Run one attempt of a job, given by command-line arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m api.execution.worker", description="Run one attempt of a job of the bitbudget service."
    )
    parser.add_argument("job", help="identifier of the job")
    parser.add_argument("--attempt", type=int, required=True, help="number of the attempt")
    parser.add_argument("--needs", action="append", default=[], help="environment variable that must have a value")
    parser.add_argument("--lock", type=int, help="inherited file descriptor that holds the lock of the job, if any")
    parser.add_argument("--memory-bytes", type=int, help="memory that this process may allocate; default: no limit")
    parser.add_argument("--nice", type=int, default=0, help="number by which the priority of this process is lowered")
    given = parser.parse_args(arguments)
    limit_worker(given.memory_bytes, given.nice)
    if given.lock is not None:
        os.set_inheritable(given.lock, False)  # processes that this process starts must not inherit the lock
        ProcessLock.sign(given.lock, os.getpid(), label=str(given.attempt))
    settings = settings_of_worker(given.needs)
    store = Store(settings.database)
    job = store.job_of_any_project(given.job)
    if job is None or job.state is not JobState.RUNNING or job.attempt != given.attempt:
        return
    own = store.of_project(job.project)
    if not own.begin_attempt(job.id, job.attempt):
        raise SystemExit(ALREADY_BEGUN)
    with observed_attempt(own, settings, job):
        work(own, settings, job)


if __name__ == "__main__":
    main()
