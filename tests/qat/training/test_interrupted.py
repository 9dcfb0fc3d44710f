"""A run that is killed at any moment and started again writes the same bytes as an uninterrupted run."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from network.errors import TrainingError
from qat.options.training import TrainingOptions
from qat.progress import Progress
from qat.training.checkpoint import FILE_NAME, STEP_FILE_NAME
from tests.qat.small_problem import PACT_FOLDED, trained
from tests.qat.training import interrupted_run

KILLS = 10


def started(checkpoints: Path, out: Path) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    # Import once what each process needs: torch.optim imports torch._dynamo.
    context.set_forkserver_preload(["torch._dynamo", "tests.qat.training.interrupted_run"])
    out.mkdir(exist_ok=True)
    process = context.Process(target=interrupted_run.run, args=(checkpoints, out))
    process.start()
    return process


def checkpoints_written(process: BaseProcess, checkpoints: Path) -> Iterator[None]:
    """Yield once each time a checkpoint file has been replaced."""
    seen: dict[str, int] = {}
    while process.is_alive():
        for name in (FILE_NAME, STEP_FILE_NAME):
            try:
                now = (checkpoints / name).stat().st_mtime_ns
            except FileNotFoundError:
                continue
            if seen.get(name, now) != now:
                yield
            seen[name] = now
        time.sleep(0.0005)


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_killed_ten_times_it_leaves_the_same_bytes(tmp_path: Path) -> None:
    unbroken = started(tmp_path / "unbroken", tmp_path / "expected")
    chance = random.Random(5)  # noqa: S311  # no secret
    checkpoints = tmp_path / "killed"
    for _ in range(KILLS):
        process = started(checkpoints, tmp_path / "found")
        left = chance.randint(1, 4)
        for _ in checkpoints_written(process, checkpoints):
            left -= 1
            if not left:
                break
        time.sleep(chance.random() * 0.02)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run was over before it could be killed: make it longer"
    last = started(checkpoints, tmp_path / "found")
    for process in (unbroken, last):
        process.join(timeout=120)
        assert process.exitcode == 0
    assert files_of(tmp_path / "found") == files_of(tmp_path / "expected")
    frozen = float((tmp_path / "found" / "epochs.txt").read_text().split()[-1])
    assert frozen > 0, "nothing oscillated: the run would not show that its history is kept"


class Stopped(Exception):
    """Exception that simulates a crash."""


def stopped_at_the_last_step(options: TrainingOptions, directory: Path) -> None:
    """Crash after the last step of an epoch, before its checkpoint is written."""

    def stop(progress: Progress) -> None:
        if progress.phase == "training" and progress.step == progress.steps:
            raise Stopped

    with pytest.raises(Stopped):
        trained(options, PACT_FOLDED, checkpoint_directory=directory, report=stop)


def test_a_step_is_never_taken_twice(tmp_path: Path) -> None:
    """A restarted run continues with the step after the last finished one."""
    options = interrupted_run.OPTIONS.replace(epochs=1)
    stopped_at_the_last_step(options, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME, STEP_FILE_NAME}
    told: list[Progress] = []
    trained(options, PACT_FOLDED, checkpoint_directory=tmp_path, report=told.append)
    begun = next(progress for progress in told if progress.phase == "training")
    assert begun.steps is not None
    assert begun.step == begun.steps - 1  # the crash came before the last step's checkpoint
    assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME}


def test_a_step_older_than_the_last_epoch_is_passed_over(tmp_path: Path) -> None:
    """A crash can happen after the epoch's checkpoint is written and before the older step checkpoint is removed."""
    options = interrupted_run.OPTIONS.replace(epochs=2)
    kept = tmp_path / "kept"

    def keep(progress: Progress) -> None:
        if progress.phase == "validating" and progress.epoch == 1:
            shutil.copy(tmp_path / STEP_FILE_NAME, kept)
        if progress.phase == "training" and progress.epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        trained(options, PACT_FOLDED, checkpoint_directory=tmp_path, report=keep)
    kept.rename(tmp_path / STEP_FILE_NAME)
    resumed = trained(options, PACT_FOLDED, checkpoint_directory=tmp_path)
    unbroken = trained(options, PACT_FOLDED)
    assert [each.training_loss for each in resumed.epochs] == [each.training_loss for each in unbroken.epochs]


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, b"{"])
def test_refuses_a_damaged_step(tmp_path: Path, damage: bytes) -> None:
    options = interrupted_run.OPTIONS.replace(epochs=1)
    stopped_at_the_last_step(options, tmp_path)
    (tmp_path / STEP_FILE_NAME).write_bytes(damage)
    with pytest.raises(TrainingError, match=r"step\.safetensors in .* is damaged"):
        trained(options, PACT_FOLDED, checkpoint_directory=tmp_path)
