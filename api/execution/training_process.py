"""One of several processes that train a network together, which Ray Train starts on the nodes of a cluster.

    first process     reads network and dataset, chooses the bits, trains, converts and writes the files: all that the
                      worker of a job does if it trains alone
    other processes   read the dataset, wait for network and bits, and train

Ray Train has joined the processes to a process group, and has set the environment variables of torchrun.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray

from api.execution.training_board import POLL_SECONDS, Teller
from api.execution.training_input import dataset_of, main_job_of
from api.execution.worker_command import settings_of_worker
from api.execution.worker_limits import limit_memory
from api.operations.train import run_main_job
from api.schemas.jobs import JobRequest
from api.settings import Settings
from api.storage.database import Store
from api.storage.file_copies import Copies, copies_of, write_copies
from qat.train import train
from qat.training.process_rank import is_first_process


@dataclass(frozen=True, kw_only=True)
class ProcessInput:
    """What each process is given.

    Attributes:
        project: Project of the job.
        request: Request of the job.
        needed: Names of environment variables that the node must have.
        memory_bytes: Memory in bytes that the process may allocate; None for no limit.
        checkpoint: Files of the checkpoint from which the training continues.
    """

    project: str
    request: JobRequest
    needed: tuple[str, ...]
    memory_bytes: int | None
    checkpoint: Copies


def train_together(given_to_all: dict[str, Any]) -> dict[str, bytes] | None:
    """Train as one of several processes.

    Args:
        given_to_all: The reference of a `ProcessInput`, and the board of the training.

    Returns:
        The artifacts of the job from the first process, and None from the others.
    """
    given: ProcessInput = ray.get(given_to_all["input"])
    board = given_to_all["board"]
    if given.memory_bytes is not None:
        limit_memory(given.memory_bytes)
    settings = settings_of_worker(given.needed)
    store = Store(settings.database).of_project(given.project)
    try:
        with TemporaryDirectory(prefix="bitbudget-") as folder:
            checkpoint = Path(folder, "checkpoint")
            write_copies(given.checkpoint, checkpoint)
            if is_first_process():
                return _train_as_first(store, settings, given.request, board, Path(folder))
            _train_as_other(store, settings, given.request, board, checkpoint)
            return None
    finally:
        store.close()


def _train_as_first(
    store: Store, settings: Settings, request: JobRequest, board: Any, folder: Path
) -> dict[str, bytes]:
    artifacts, checkpoint = folder / "artifacts", folder / "checkpoint"
    with Teller(board, checkpoint) as teller:
        run_main_job(
            main_job_of(store, settings, request),
            artifacts,
            report=teller.report,
            checkpoint_directory=checkpoint,
            before_training=lambda network, allocation: ray.get(board.begin.remote(network, allocation)),
        )
    return copies_of(artifacts)


def _train_as_other(store: Store, settings: Settings, request: JobRequest, board: Any, checkpoint: Path) -> None:
    dataset = dataset_of(store, settings, request)
    while (begun := ray.get(board.begun.remote())) is None:
        time.sleep(POLL_SECONDS)
    network, allocation = begun
    train(network, allocation, dataset, request.training, checkpoint_directory=checkpoint)
