"""Training of one job by several processes of the Ray cluster on which its worker runs, by Ray Train.

    worker (a submission) ── fit ──► Ray Train ── starts ──► training processes, each with the share of the job
            ▲                                                       │
            └── progress, checkpoints ◄── TrainingBoard ◄───────────┘

The worker holds the job: it writes progress, signs of life, checkpoints and artifacts. If a process is lost, all end,
and so does the worker: the next attempt of the job continues from the last checkpoint. If the worker ends, Ray ends the
processes.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, Final

import ray
from ray.train.torch import TorchConfig
from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig  # ray.train has types of version 1
from ray.train.v2.api.exceptions import WorkerGroupError
from ray.train.v2.torch.torch_trainer import TorchTrainer

from api.execution.executor import HEARTBEAT_SECONDS
from api.execution.job_share import JobShare
from api.execution.training_board import POLL_SECONDS, News, start_board
from api.execution.training_process import ProcessInput, train_together
from api.execution.worker_command import needed_elsewhere
from api.execution.worker_limits import is_out_of_memory
from api.schemas.jobs import JobRequest
from api.settings import Settings
from api.storage.attempt_directory import AttemptDirectory, AttemptSuperseded
from api.storage.file_copies import Copies, copies_of, write_copies
from api.storage.records import Job
from deploy.result_folder import publish, staging
from network.errors import BitbudgetError
from qat.progress import Progress, Report
from qat.training.parallel import PROCESS_GROUP_TIMEOUT

WAITING: Final = "waiting for the training processes"
"""Phase of a job whose training processes have not begun."""
_WITHOUT_RETRIES: Final = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
"""Environment variables for Ray Train: without retries, an actor that announces the loss of nodes is of no use."""
_ON_CPU: Final = "gloo"
_ON_GPU: Final = "cpu:gloo,cuda:nccl"
"""Backends of torch for processes with a GPU, which may be told to train on the CPU all the same."""


def train_on_cluster(
    settings: Settings, job: Job, request: JobRequest, share: JobShare, directory: AttemptDirectory, report: Report
) -> None:
    """Let processes of the cluster train the network of a job, and write the artifacts.

    Args:
        settings: Settings of the worker.
        job: The job.
        request: Its request.
        share: What each process gets, and the number of processes.
        directory: Directory of the attempt; the checkpoint in it is continued, and replaced by later ones.
        report: Callback that receives the progress.

    Raises:
        AttemptSuperseded: If a later attempt has taken the files over.
        BitbudgetError, OSError, MemoryError: If a process raises it.
        ray.train.TrainingFailedError: If a process is lost, or fails otherwise.
    """
    os.environ |= _WITHOUT_RETRIES
    ray.init(address="auto", log_to_driver=False, logging_level=logging.WARNING)
    try:
        given = ProcessInput(
            project=job.project,
            request=request,
            needed=needed_elsewhere(settings),
            memory_bytes=share.memory_bytes,
            checkpoint=copies_of(directory.checkpoint),
        )
        board = start_board()
        with TemporaryDirectory(prefix="bitbudget-") as storage:
            run = RunConfig(
                name=f"{job.id}-{job.attempt}",
                storage_path=storage,
                failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),
                worker_runtime_env={"env_vars": _environment(share)},
            )
            trainer = TorchTrainer(
                train_together,
                train_loop_config={"input": ray.put(given), "board": board},
                torch_config=TorchConfig(
                    backend=_ON_GPU if share.gpus else _ON_CPU, timeout_s=int(PROCESS_GROUP_TIMEOUT.total_seconds())
                ),
                scaling_config=_scaling(share),
                run_config=run,
            )
            artifacts = _Fit(trainer).watched(_Watch(board, directory, report))
    finally:
        ray.shutdown()
    with staging(directory.artifacts) as staged:
        write_copies(artifacts, staged)
        publish(staged, directory.artifacts)


class _Watch:
    """What the worker does while the processes train: it passes on progress and keeps checkpoints."""

    def __init__(self, board: Any, directory: AttemptDirectory, report: Report) -> None:
        self._board = board
        self._directory = directory
        self._report = report
        self._reported_at = float("-inf")

    def look(self) -> None:
        """Take what the processes have told.

        Raises:
            AttemptSuperseded: If a later attempt has taken the files over.
            OSError: If a checkpoint cannot be written.
        """
        news: News = ray.get(self._board.take.remote())
        if news.checkpoint is not None:
            self._keep(news.checkpoint)
        if news.is_alive and news.progress is not None:
            self._report(news.progress)
        elif not news.has_told and time.monotonic() - self._reported_at >= HEARTBEAT_SECONDS:
            self._reported_at = time.monotonic()
            self._report(Progress(phase=WAITING))

    def _keep(self, checkpoint: Copies) -> None:
        try:
            write_copies(checkpoint, self._directory.checkpoint)
        except FileNotFoundError as error:
            raise AttemptSuperseded("a later attempt has taken over the files of this one") from error


class _Fit(Thread):
    """Thread that waits for Ray Train, so that the worker can look after the job in the meantime."""

    def __init__(self, trainer: TorchTrainer) -> None:
        super().__init__(name="fit", daemon=True)
        self._trainer = trainer
        self._artifacts: dict[str, bytes] | None = None
        self._error: BaseException | None = None

    def watched(self, watch: _Watch) -> dict[str, bytes]:
        """Run until the training has ended, and return the artifacts; an error of the watch ends the waiting."""
        self.start()
        while self.is_alive():
            watch.look()
            self.join(POLL_SECONDS)
        if self._error is not None:
            raise self._error
        assert self._artifacts is not None  # noqa: S101  # the first process returns them
        return self._artifacts

    def run(self) -> None:
        try:
            self._artifacts = self._trainer.fit().return_value  # type: ignore[attr-defined]  # version 2 has it
        except WorkerGroupError as error:
            self._error = _cause(error.worker_failures) or error
        except BaseException as error:  # raised by `watched`
            self._error = error


def _cause(failures: Mapping[int, Exception]) -> Exception | None:
    """Return the error of the first process that has raised one which says why the job fails, or waits.

    When one process fails, the others may fail because it no longer answers.

    Args:
        failures: Error of each process that has failed, by its rank.
    """
    for _, error in sorted(failures.items()):
        if isinstance(error, BitbudgetError | OSError) or is_out_of_memory(error):
            return error
    return None


def _scaling(share: JobShare) -> ScalingConfig:
    resources: dict[str, float] = {"CPU": share.processors}
    if share.gpus:
        resources["GPU"] = share.gpus
    if share.memory_bytes is not None:
        resources["memory"] = share.memory_bytes
    return ScalingConfig(num_workers=share.training_processes, use_gpu=bool(share.gpus), resources_per_worker=resources)


def _environment(share: JobShare) -> dict[str, str]:
    """Return environment variables of each process: idle threads sleep, and what is not reserved is not seen."""
    waiting = {"OMP_WAIT_POLICY": "PASSIVE"}
    return waiting if share.gpus else waiting | {"CUDA_VISIBLE_DEVICES": ""}
