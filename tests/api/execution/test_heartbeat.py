"""Signs of life of a worker: a hang is silent, and neither a long computation nor a long wait for one is."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Run a worker through all its phases, in a session of its own as the executor starts it."""
    folder = tmp_path_factory.mktemp("watched")
    command = [sys.executable, "-m", "tests.api.execution.watched_worker", str(folder)]
    root = Path(__file__).parents[3]
    return subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True, cwd=root)


@pytest.fixture(scope="module")
def lines(worker: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return dict(line.split(": ") for line in worker.stdout.splitlines())


@pytest.mark.parametrize("phase", ["computes", "reports", "waits for a process that computes"])
def test_work_gives_signs_of_life(lines: dict[str, str], phase: str) -> None:
    assert int(lines[phase]) >= 2


@pytest.mark.parametrize("phase", ["hangs", "waits for a process that hangs"])
def test_a_hang_is_silent(lines: dict[str, str], phase: str) -> None:
    """At most one sign, for the processor time that starting the phase has used."""
    assert int(lines[phase]) <= 1


def test_saved_work_is_noted(lines: dict[str, str]) -> None:
    assert lines["saved"] == "True"


def test_a_worker_ends_itself_when_a_later_attempt_runs_its_job(worker: subprocess.CompletedProcess[str]) -> None:
    assert worker.returncode == -signal.SIGTERM, worker.stderr
    assert "not ended" not in worker.stdout
