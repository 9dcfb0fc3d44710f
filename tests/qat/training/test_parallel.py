"""Training in two processes gives the result of one process, and both processes end with the same network."""

from __future__ import annotations

import multiprocessing
import socket
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from network.errors import TrainingError
from qat.options.training import Processor, TrainingOptions
from qat.training.checkpoint import FILE_NAME, STEP_FILE_NAME
from qat.training.parallel import Processes
from qat.training.processor import processor_of
from tests.qat.small_problem import PER_CHANNEL_ICN, trained
from tests.qat.training import parallel_run

CPU = torch.device("cpu")


def started(place: Path, *options: TrainingOptions) -> list[BaseProcess]:
    """Start two processes that train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "tests.qat.training.parallel_run"])
    processes = [
        context.Process(target=parallel_run.run, args=(rank, 2, port, place / str(rank), options[rank % len(options)]))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    return list(processes)


def run_two(place: Path, *options: TrainingOptions) -> list[int | None]:
    """Wait for both processes and return their exit codes."""
    processes = started(place, *options)
    for process in processes:
        process.join(timeout=100)
        if process.exitcode is None:
            process.kill()  # it hangs, which the exit code tells
    return [process.exitcode for process in processes]


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def losses_of(place: Path) -> list[float]:
    return [float(loss) for loss in (place / "0" / "told").read_text().splitlines()[0].split()]


def test_with_fixed_statistics_two_are_as_one(tmp_path: Path) -> None:
    options = parallel_run.OPTIONS.replace(freeze_batch_norm_at=0.0)
    assert run_two(tmp_path, options) == [0, 0]
    assert files_of(tmp_path / "0") == files_of(tmp_path / "1")
    alone = trained(options, PER_CHANNEL_ICN)
    assert losses_of(tmp_path) == pytest.approx([each.training_loss for each in alone.epochs[1:]], rel=1e-3)


def test_with_moving_statistics_both_end_with_the_same_network(tmp_path: Path) -> None:
    assert run_two(tmp_path, parallel_run.OPTIONS) == [0, 0]
    assert files_of(tmp_path / "0") == files_of(tmp_path / "1")
    alone = trained(parallel_run.OPTIONS, PER_CHANNEL_ICN)
    # Each part of a batch has separate statistics, so that the losses are close but not equal.
    assert losses_of(tmp_path) == pytest.approx([each.training_loss for each in alone.epochs[1:]], rel=0.15)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [FILE_NAME]
    told = [set((tmp_path / f"phases{rank}").read_text().splitlines()) for rank in range(2)]
    assert {"validating", "testing"} <= told[0]
    assert told[1] == set()


def test_processes_with_other_options_do_not_begin(tmp_path: Path) -> None:
    codes = run_two(tmp_path, parallel_run.OPTIONS, parallel_run.OPTIONS.replace(learning_rate=0.01))
    assert codes == [1, 1]
    assert not (tmp_path / "checkpoints").exists()


def test_killed_in_the_middle_they_go_on_together(tmp_path: Path) -> None:
    options = parallel_run.OPTIONS.replace(checkpoint_minutes=0.0)
    assert run_two(tmp_path / "unbroken", options) == [0, 0]
    killed = started(tmp_path / "killed", options)
    deadline = time.monotonic() + 100
    while not (tmp_path / "killed" / "checkpoints" / STEP_FILE_NAME).exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    for process in killed:
        process.kill()
        process.join()
    assert run_two(tmp_path / "killed", options) == [0, 0]
    assert files_of(tmp_path / "killed" / "0") == files_of(tmp_path / "unbroken" / "0")
    assert files_of(tmp_path / "killed" / "1") == files_of(tmp_path / "unbroken" / "0")


def test_parts_are_the_batch() -> None:
    batches = [np.arange(7), np.arange(7, 13)]
    parts = [Processes(CPU, rank, 3).parts_of(batches) for rank in range(3)]
    for number, batch in enumerate(batches):
        assert np.concatenate([each[number] for each in parts]).tolist() == batch.tolist()
    with pytest.raises(TrainingError, match="a batch has 5 samples for 3 training processes"):
        Processes(CPU, 0, 3).parts_of([np.arange(5)])


def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert processor_of(TrainingOptions()).type == "cpu"
    with pytest.raises(TrainingError, match=r"finds 0 GPUs; expected one GPU for each process: set train_on to cpu"):
        processor_of(TrainingOptions(train_on=Processor.CUDA))
