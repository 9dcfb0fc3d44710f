"""The subprocess executor alone: locks, sessions, and workers of earlier versions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.execution.executor import Attempt
from api.execution.subprocess_executor import SubprocessExecutor
from api.settings import Settings
from api.storage.process_lock import ProcessLock


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_directory=tmp_path)


@pytest.fixture
def executor(settings: Settings) -> Iterator[SubprocessExecutor]:
    opened = SubprocessExecutor(settings, (sys.executable, "-m", "tests.api.execution.scripted_worker"))
    yield opened
    opened.close()


def test_a_worker_holds_the_lock_in_its_own_session(settings: Settings, executor: SubprocessExecutor) -> None:
    executor.start(Attempt("works-1", 3))
    lock = ProcessLock(settings.jobs_directory / "works-1" / "lock")
    assert lock.take() is None
    assert lock.label == "3"
    assert lock.holder is not None
    assert os.getsid(lock.holder) == lock.holder != os.getsid(0)


def test_no_second_worker_of_a_job_starts(executor: SubprocessExecutor) -> None:
    handle = executor.start(Attempt("works-1", 1))
    assert handle is not None
    assert executor.start(Attempt("works-1", 2)) is None
    executor.kill(handle)
    while executor.is_alive(handle):
        time.sleep(0.01)
    assert executor.start(Attempt("works-1", 2)) is not None


def test_a_worker_of_the_version_before_attempts_is_found(settings: Settings, executor: SubprocessExecutor) -> None:
    """Its lock has a process id alone; the migration gives its job the attempt 0."""
    path = settings.jobs_directory / "old" / "lock"
    path.parent.mkdir(parents=True)
    lock = ProcessLock(path).take()
    assert lock is not None
    path.write_text("12345")
    assert executor.find(Attempt("old", 0)) is not None
    assert executor.find(Attempt("old", 1)) is None
    os.close(lock)
    assert executor.find(Attempt("old", 0)) is None
