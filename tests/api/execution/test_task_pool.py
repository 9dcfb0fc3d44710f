"""The pool of processes with limits: every way in which a task can end, and that no process is left behind."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.execution.task_pool import Outcome, PoolBusy, TaskLimits, TaskPool
from api.execution.task_process import Ending
from tests.api.live_service import is_alive

MIB = 2**20
TASK = "tests.api.execution.scripted_tasks:run"


@pytest.fixture(scope="module")
def pool() -> Iterator[TaskPool]:
    opened = TaskPool(TASK, TaskLimits(memory_bytes=64 * MIB, seconds=5.0), places=1)
    yield opened
    opened.close()


def run(pool: TaskPool, request: str) -> Outcome:
    return pool.run(request.encode(), wait_seconds=30)


def processes(pool: TaskPool) -> tuple[int, int]:
    """Return the process ids of a task and of the process that it was forked from."""
    task, parent = json.loads(run(pool, "processes").body)
    return task, parent


def wait_until_gone(process_id: int) -> None:
    give_up_at = time.monotonic() + 10
    while is_alive(process_id) and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert not is_alive(process_id)


def test_each_task_has_its_own_process_of_one_warm_parent(pool: TaskPool) -> None:
    assert run(pool, "echo \x00 text") == Outcome(Ending.ANSWERED, b"\x00 text")
    (first, parent), (second, same) = processes(pool), processes(pool)
    assert parent == same
    assert first != second
    assert os.getpid() not in {first, second, parent}


def test_only_the_first_task_waits_for_imports() -> None:
    fresh = TaskPool(TASK, TaskLimits(memory_bytes=64 * MIB, seconds=5.0), places=1)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        assert run(fresh, "echo again").ending is Ending.ANSWERED
        times.append(time.perf_counter() - began)
    fresh.close()
    first, *others = times
    assert sorted(others)[10] < first / 3, times


def test_a_task_that_never_ends_is_killed(pool: TaskPool, tmp_path: Path) -> None:
    began = time.monotonic()
    assert run(pool, f"loop {tmp_path / 'id'}").ending is Ending.TOO_LONG
    assert 5 <= time.monotonic() - began < 30
    wait_until_gone(int((tmp_path / "id").read_text()))
    assert run(pool, "echo next").body == b"next"


def test_memory_is_limited_and_what_was_there_before_does_not_count(pool: TaskPool) -> None:
    assert run(pool, f"allocate {48 * MIB}").body == str(48 * MIB).encode()
    for _ in range(2):
        assert run(pool, f"allocate {65 * MIB}") == Outcome(Ending.OUT_OF_MEMORY)
    assert run(pool, f"allocate {48 * MIB}").ending is Ending.ANSWERED


def test_an_error_that_only_lack_of_memory_caused_is_lack_of_memory(pool: TaskPool) -> None:
    assert run(pool, "misleading").ending is Ending.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("crash", Outcome(Ending.CRASHED, b"the signal SIGSEGV")),
        ("exit 0", Outcome(Ending.CRASHED, b"the exit code 0")),
        ("exit 3", Outcome(Ending.CRASHED, b"the exit code 3")),
        ("unknown", Outcome(Ending.FAILED, b"an unexpected KeyError")),
    ],
)
def test_a_crash_is_an_outcome_and_the_pool_stays(pool: TaskPool, request_text: str, expected: Outcome) -> None:
    _, parent = processes(pool)
    assert run(pool, request_text) == expected
    assert processes(pool)[1] == parent


def test_an_error_in_the_input_has_its_class_and_its_text(pool: TaskPool) -> None:
    outcome = run(pool, "refuse")
    assert outcome.ending is Ending.REFUSED
    name, _, message = outcome.body.decode().partition("\n")
    assert name in {"UnreadableFile", "InvalidNetwork"}
    assert "expected" in message


def test_a_process_that_was_killed_while_idle_is_replaced(pool: TaskPool) -> None:
    _, parent = processes(pool)
    os.kill(parent, signal.SIGKILL)
    assert run(pool, "echo there").body == b"there"
    assert processes(pool)[1] != parent


def test_more_tasks_than_places_wait_and_are_refused_in_the_end(pool: TaskPool) -> None:
    run(pool, "echo warm")
    slow = threading.Thread(target=run, args=(pool, "sleep 2"))
    slow.start()
    time.sleep(0.5)
    with pytest.raises(PoolBusy):
        pool.run(b"echo early", wait_seconds=0.1)
    assert run(pool, "echo late").body == b"late"
    slow.join()


def test_closing_kills_the_tasks_that_run(tmp_path: Path) -> None:
    pool = TaskPool(TASK, TaskLimits(memory_bytes=64 * MIB, seconds=60.0), places=2)
    _, parent = processes(pool)
    outcomes: list[Outcome | type[PoolBusy]] = []

    def work() -> None:
        try:
            outcomes.append(run(pool, f"loop {tmp_path / 'id'}"))
        except PoolBusy:
            outcomes.append(PoolBusy)

    worker = threading.Thread(target=work)
    worker.start()
    while not (tmp_path / "id").is_file() or not (tmp_path / "id").read_text():
        time.sleep(0.01)
    pool.close()
    worker.join(timeout=20)
    assert outcomes == [PoolBusy]
    wait_until_gone(parent)
    wait_until_gone(int((tmp_path / "id").read_text()))
    with pytest.raises(PoolBusy):
        run(pool, "echo closed")
