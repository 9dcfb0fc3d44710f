"""Guarantees that every executor gives to the scheduler. A new executor gets a row in `HOUSES`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import pytest

from api.execution.executor import Attempt, Executor, ExecutorUnavailable, Handle
from api.execution.executors import EXECUTORS
from api.execution.ray_executor import RayExecutor
from api.execution.subprocess_executor import SubprocessExecutor
from api.job_settings import ExecutorName
from api.settings import Settings
from api.storage.job_directory import JobDirectory
from tests.api.execution.thread_executor import Cluster, ThreadExecutor, Worker
from tests.api.ray_cluster import end_shared_ray_cluster, shared_ray_cluster

TIMEOUT_SECONDS = 60.0


@dataclass
class House:
    """A place where workers run, and a function that opens an executor on it, as each new service does."""

    open_executor: Callable[[], Executor]
    output: Callable[[Attempt], str] | None = None
    suffix: str = ""
    """Text that makes the jobs of this test differ from those of other tests on the same cluster."""

    def attempt(self, job_id: str, number: int) -> Attempt:
        return Attempt(job_id + self.suffix, number)


def subprocess_house(folder: Path) -> House:
    settings = Settings(data_directory=folder)
    command = (sys.executable, "-m", "tests.api.execution.scripted_worker")
    return House(
        lambda: SubprocessExecutor(settings, command),
        lambda attempt: (settings.jobs_directory / attempt.job_id / "log.txt").read_text(),
    )


def thread_house(_: Path) -> House:
    def task(worker: Worker) -> str:
        word = worker.attempt.job_id.partition("-")[0]
        if word == "crashes":
            raise RuntimeError("code 3")
        while word in {"works", "stubborn"} and not worker.killed.is_set():
            if word == "works" and worker.asked.is_set():
                return "asked to end"
            time.sleep(0.005)
        return "signal 9" if worker.killed.is_set() else "exit code 0"

    cluster = Cluster(task)
    return House(lambda: ThreadExecutor(cluster))


class Patient:
    """An executor whose calls are repeated while its cluster is too busy to answer, as the scheduler does."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            give_up_at = time.monotonic() + TIMEOUT_SECONDS
            while True:
                try:
                    return getattr(self._executor, name)(*arguments)
                except ExecutorUnavailable:
                    if time.monotonic() > give_up_at:
                        raise
                    time.sleep(0.5)

        return call


def ray_house(folder: Path) -> House:
    cluster, worker = shared_ray_cluster(), ("-m", "tests.api.execution.scripted_worker")
    settings = Settings(
        data_directory=folder, executor="ray", ray_address=cluster.url, ray_python=sys.executable, job_processors=1
    )
    return House(
        lambda: cast("Executor", Patient(RayExecutor(settings, worker, closing_seconds=TIMEOUT_SECONDS))),
        lambda attempt: log.read_text() if (log := JobDirectory.of(attempt.job_id, settings).log).exists() else "",
        suffix=f"-{folder.name}",
    )


HOUSES = {"subprocess": subprocess_house, "thread": thread_house, "ray": ray_house}
SLOW = {"ray"}
"""Houses whose tests take minutes."""


@dataclass
class Opened:
    """A house with one open executor; further executors that a test opens are closed at the end of the test."""

    house: House
    stack: ExitStack

    def executor(self) -> Executor:
        executor = self.house.open_executor()
        self.stack.callback(executor.close)
        return executor


@pytest.fixture(scope="module", autouse=True)
def end_of_the_cluster() -> Iterator[None]:
    yield
    end_shared_ray_cluster()


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.long if name in SLOW else ()) for name in HOUSES])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with ExitStack() as stack:
        yield Opened(HOUSES[request.param](tmp_path), stack)


@pytest.fixture
def executor(opened: Opened) -> Executor:
    return opened.executor()


Of = Callable[[str, int], Attempt]


@pytest.fixture
def of(opened: Opened) -> Of:
    """Return a function that makes an attempt of a job."""
    return opened.house.attempt


def started(executor: Executor, attempt: Attempt) -> Handle:
    handle = executor.start(attempt)
    assert handle is not None
    return handle


def wait_until_gone(executor: Executor, handle: Handle) -> None:
    give_up_at = time.monotonic() + TIMEOUT_SECONDS
    while executor.is_alive(handle):
        assert time.monotonic() < give_up_at, f"{handle} is still alive"
        time.sleep(0.005)


def test_every_executor_can_be_chosen_and_is_tested_here() -> None:
    assert set(EXECUTORS) == set(get_args(ExecutorName))
    assert set(EXECUTORS) <= set(HOUSES)


def test_a_worker_is_alive_from_the_start_until_it_is_asked_to_end(of: Of, executor: Executor) -> None:
    handle = started(executor, of("works-1", 1))
    assert isinstance(handle, str)
    for _ in range(20):
        assert executor.is_alive(handle)
        time.sleep(0.01)
    executor.ask_to_end(handle)
    executor.ask_to_end(handle)
    wait_until_gone(executor, handle)
    executor.ask_to_end(handle)
    executor.kill(handle)


def test_a_start_is_idempotent(of: Of, opened: Opened, executor: Executor) -> None:
    attempt = of("works-1", 1)
    handle = started(executor, attempt)
    assert executor.start(attempt) == handle
    assert opened.executor().start(attempt) == handle
    executor.kill(handle)
    wait_until_gone(executor, handle)
    assert executor.start(attempt) == handle
    assert not executor.is_alive(handle), "no second worker was started"


def test_a_stubborn_worker_is_killed(of: Of, opened: Opened, executor: Executor) -> None:
    attempt = of("stubborn-1", 1)
    handle = started(executor, attempt)
    while opened.house.output is not None and "ready" not in opened.house.output(attempt):
        time.sleep(0.01)  # a process needs some time until it ignores the request to end
    executor.ask_to_end(handle)
    time.sleep(0.1)
    assert executor.is_alive(handle)
    executor.kill(handle)
    wait_until_gone(executor, handle)
    assert "signal 9" in str(executor.ending(handle))


@pytest.mark.parametrize(("job_id", "expected"), [("ends-1", "exit code 0"), ("crashes-1", "code 3")])
def test_the_ending_of_a_worker_is_known(of: Of, executor: Executor, job_id: str, expected: str) -> None:
    handle = started(executor, of(job_id, 1))
    wait_until_gone(executor, handle)
    assert expected in str(executor.ending(handle))
    assert not executor.is_alive(handle), "an ended worker stays ended"


def test_a_worker_is_found_after_a_restart_of_the_service(of: Of, opened: Opened, executor: Executor) -> None:
    attempt = of("works-1", 2)
    handle = started(executor, attempt)
    later = opened.executor()  # the first one is not closed, as if its service had been killed
    found = later.find(attempt)
    assert found == handle
    assert later.is_alive(found)
    later.ask_to_end(found)
    wait_until_gone(later, found)
    wait_until_gone(executor, handle)


def test_only_attempts_that_were_started_are_found(of: Of, executor: Executor) -> None:
    started(executor, of("works-1", 2))
    assert executor.find(of("works-1", 1)) is None
    assert executor.find(of("works-1", 3)) is None
    assert executor.find(of("works-2", 2)) is None


def test_an_ended_worker_is_found_as_ended_or_not_at_all(of: Of, opened: Opened, executor: Executor) -> None:
    attempt = of("ends-1", 1)
    wait_until_gone(executor, started(executor, attempt))
    later = opened.executor()
    found = later.find(attempt)
    assert found is None or not later.is_alive(found)


def test_attempts_of_one_job_and_jobs_are_apart(of: Of, executor: Executor) -> None:
    first = started(executor, of("works-1", 1))
    other = started(executor, of("works-2", 1))
    executor.kill(first)
    wait_until_gone(executor, first)
    second = started(executor, of("works-1", 2))
    assert len({first, second, other}) == 3
    assert not executor.is_alive(first)
    assert executor.is_alive(second)
    assert executor.is_alive(other)
    executor.ask_to_end(first)  # has no effect: the worker has ended, and the request must not reach the next attempt
    executor.kill(first)
    time.sleep(0.1)
    assert executor.is_alive(second)


def test_nothing_outlives_a_closed_executor(of: Of, opened: Opened, executor: Executor) -> None:
    handles = [started(executor, of(f"{word}-1", 1)) for word in ("works", "stubborn", "ends")]
    executor.close()
    later = opened.executor()
    assert not any(later.is_alive(handle) for handle in handles)


def test_the_output_is_kept_where_the_executor_says(of: Of, opened: Opened, executor: Executor) -> None:
    first, second = of("ends-1", 1), of("ends-1", 2)
    for attempt in (first, second):
        wait_until_gone(executor, started(executor, attempt))
    assert "ends-1" in executor.output_of(second)
    if opened.house.output is not None:
        assert opened.house.output(second) == f"output of {second.job_id}\n" * 2, "the log is appended to"
