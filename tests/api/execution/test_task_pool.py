"""The pool of tasks: every way in which a task can end, its limits, its queue, and that no process is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

from api.execution.sandbox import landlock_version
from api.execution.task_messages import Ending, Outcome
from api.execution.task_pool import MAX_RETRY_SECONDS, PoolBusy, PoolClosed, PoolLost
from tests.api.live_service import is_alive
from tests.blocking_pool import MIB, BlockingPool

TASKS = "tests.api.execution.scripted_tasks:tasks"
NEEDS_LANDLOCK = pytest.mark.skipif(landlock_version() < 6, reason="the kernel's Landlock has no scopes (Linux 6.12)")


@pytest.fixture(scope="module")
def pool() -> Iterator[BlockingPool]:
    opened = BlockingPool(TASKS)
    yield opened
    opened.close()


def run(pool: BlockingPool, request: str, **limits: Any) -> Outcome:
    return pool.run("run", request.encode(), **limits)


def processes(pool: BlockingPool) -> tuple[int, int]:
    """Return the process ids of a task and of the server that it was forked from."""
    task, parent = json.loads(run(pool, "processes").body)
    return task, parent


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition() and time.monotonic() < give_up_at:
        time.sleep(0.005)
    assert condition()


@pytest.fixture
def shared_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to which the tasks of a pool that is started from now on can write."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_each_task_has_its_own_process_of_one_warm_server(pool: BlockingPool) -> None:
    assert run(pool, "echo \x00 text") == Outcome(Ending.ANSWERED, b"\x00 text")
    (first, parent), (second, same) = processes(pool), processes(pool)
    assert parent == same
    assert first != second
    assert os.getpid() not in {first, second, parent}


def test_only_the_first_task_waits_for_imports() -> None:
    fresh = BlockingPool(TASKS)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        assert run(fresh, "echo again").ending is Ending.ANSWERED
        times.append(time.perf_counter() - began)
    fresh.close()
    first, *others = times
    assert sorted(others)[10] < first / 3, times


def test_large_requests_and_answers_arrive(pool: BlockingPool) -> None:
    text = "x" * 3_000_000
    assert run(pool, f"echo {text}").body == text.encode()
    assert run(pool, f"large {32 * MIB}").body == bytes(32 * MIB)
    assert run(pool, f"large {32 * MIB + 1}") == Outcome(Ending.FAILED, b"an answer that is too large")


def test_a_task_that_takes_too_long_is_killed(pool: BlockingPool) -> None:
    began = time.monotonic()
    assert run(pool, "wait /nothing", seconds=0.3).ending is Ending.TOO_LONG
    assert run(pool, "wait /nothing", whole_seconds=0.3).ending is Ending.TOO_LONG
    assert 0.6 <= time.monotonic() - began < 20
    assert run(pool, "echo next").body == b"next"


def test_processor_time_is_limited_even_if_the_service_does_not_kill(pool: BlockingPool) -> None:
    """RLIMIT_CPU ends a task whose service was killed itself."""
    limits = Path("/proc/self/limits")
    from api.execution import sandbox

    process_id = os.fork()
    if not process_id:
        sandbox.limit_resources(sandbox.MemoryMeter(), 64 * MIB, 7)
        line = next(each for each in limits.read_text().splitlines() if each.startswith("Max cpu time"))
        os._exit(0 if line.split()[3:5] == ["7", "7"] else 1)
    assert os.waitpid(process_id, 0)[1] == 0


def test_memory_is_limited_and_what_was_there_before_does_not_count(pool: BlockingPool) -> None:
    assert run(pool, f"allocate {48 * MIB}").body == str(48 * MIB).encode()
    for _ in range(2):
        assert run(pool, f"allocate {65 * MIB}") == Outcome(Ending.OUT_OF_MEMORY)
    assert run(pool, f"allocate {65 * MIB}", memory_bytes=80 * MIB).ending is Ending.ANSWERED


def test_an_error_that_only_lack_of_memory_caused_is_lack_of_memory(pool: BlockingPool) -> None:
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
def test_a_crash_is_an_outcome_and_the_server_stays(pool: BlockingPool, request_text: str, expected: Outcome) -> None:
    _, parent = processes(pool)
    assert run(pool, request_text) == expected
    assert processes(pool)[1] == parent


def test_an_error_in_the_input_has_its_class_and_its_text(pool: BlockingPool) -> None:
    outcome = run(pool, "refuse")
    assert outcome.ending is Ending.REFUSED
    name, _, message = outcome.body.decode().partition("\n")
    assert name in {"UnreadableFile", "InvalidNetwork"}
    assert "expected" in message


@NEEDS_LANDLOCK
def test_a_task_reads_what_it_is_given_and_nothing_else(pool: BlockingPool, tmp_path: Path) -> None:
    given, other = tmp_path / "given", tmp_path / "other"
    given.write_text("text")
    other.write_text("text")
    assert run(pool, f"read {given}", readable=(given,)).body == b"done"
    assert run(pool, f"read {other}", readable=(given,)).body == b"EACCES"
    assert run(pool, f"read {given}").body == b"EACCES"
    assert run(pool, f"write {given}", readable=(given,)).body == b"EACCES"
    assert run(pool, f"write {tmp_path / 'new'}", readable=(tmp_path,)).body == b"EACCES"
    assert run(pool, "read /etc/passwd").body == b"EACCES"


@NEEDS_LANDLOCK
def test_a_task_reaches_no_port_and_no_other_process(pool: BlockingPool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert run(pool, f"connect {listener.getsockname()[1]}").body in {b"EACCES", b"ENETUNREACH"}
    _, server = processes(pool)
    for process_id in (os.getpid(), server):
        assert run(pool, f"end {process_id}").body == b"EPERM"
    assert processes(pool)[1] == server


def test_a_reusable_process_stays_until_it_fails_or_has_grown(pool: BlockingPool) -> None:
    def process_of(**limits: Any) -> int:
        return int(json.loads(run(pool, "processes", is_reusable=True, **limits).body)[0])

    first = process_of()
    assert run(pool, "refuse", is_reusable=True).ending is Ending.REFUSED
    assert process_of() == first
    assert processes(pool)[0] != first, "a task that is not reusable has a process of its own"
    assert process_of(memory_bytes=65 * MIB) != first, "another limit needs another process"
    assert run(pool, f"keep {32 * MIB}", is_reusable=True).ending is Ending.ANSWERED
    second = process_of()
    assert second != first
    wait_until(lambda: not is_alive(first))
    assert run(pool, "exit 3", is_reusable=True).ending is Ending.CRASHED
    third = process_of()
    assert third != second
    assert run(pool, "wait /nothing", seconds=0.2, is_reusable=True).ending is Ending.TOO_LONG
    assert process_of() != third


def test_an_idle_process_that_was_killed_is_replaced(pool: BlockingPool) -> None:
    idle = json.loads(run(pool, "processes", is_reusable=True).body)[0]
    os.kill(idle, signal.SIGKILL)
    assert run(pool, "echo there", is_reusable=True).body == b"there"


def test_scratch_files_are_gone_when_the_task_has_ended(pool: BlockingPool) -> None:
    first, second = (Path(run(pool, "scratch", has_scratch=True).body.decode()) for _ in range(2))
    assert first.parent != second.parent
    wait_until(lambda: not first.parent.exists())
    run(pool, "exit 3", has_scratch=True)
    wait_until(lambda: not list(first.parent.parent.iterdir()))


def test_a_server_that_was_killed_while_it_was_idle_is_replaced(pool: BlockingPool) -> None:
    _, parent = processes(pool)
    os.kill(parent, signal.SIGKILL)
    assert run(pool, "echo there").body == b"there"
    assert processes(pool)[1] != parent


def test_a_task_whose_server_is_killed_dies_and_is_tried_once_more(shared_folder: Path) -> None:
    pool = BlockingPool(TASKS, seconds=60.0)
    _, server = processes(pool)
    go_on = shared_folder / "go on"
    future = pool.start("run", f"wait {go_on}".encode(), readable=(shared_folder,))
    children = Path(f"/proc/{server}/task/{server}/children")
    wait_until(lambda: bool(children.read_text()))
    task = int(children.read_text())
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not is_alive(task))
    go_on.touch()
    assert future.result(30).body == b"waited"
    pool.close()


def test_a_task_whose_server_is_killed_twice_is_not_blamed(shared_folder: Path) -> None:
    others = servers()
    pool = BlockingPool(TASKS, seconds=60.0)
    future = pool.start("run", f"wait {shared_folder / 'never'}".encode(), readable=(shared_folder,))
    for _ in range(2):
        wait_until(lambda: bool(busy_servers() - others))
        (server,) = busy_servers() - others
        os.kill(server, signal.SIGKILL)
        others.add(server)
    with pytest.raises(PoolLost):
        future.result(30)
    pool.close()


def servers() -> set[int]:
    """Return the process ids of all servers of tasks that this process has started."""
    found = set()
    for children in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            if is_alive(child) and b"api.execution.task_server" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(child)
    return found


def busy_servers() -> set[int]:
    """Return the process ids of the servers that have a task."""
    return {each for each in servers() if Path(f"/proc/{each}/task/{each}/children").read_text()}


def test_more_tasks_than_places_wait_and_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    pool = BlockingPool(TASKS, places=2, queue_length=3, seconds=60.0)
    go_on = tmp_path / "go on"
    futures = [pool.start("run", f"wait {go_on}".encode(), readable=(tmp_path,)) for _ in range(5)]
    wait_until(lambda: (pool.pool.running, pool.pool.waiting) == (2, 3))
    began = time.monotonic()
    with pytest.raises(PoolBusy) as refused:
        run(pool, "echo early")
    assert time.monotonic() - began < 5
    assert 1 <= refused.value.retry_after_seconds <= MAX_RETRY_SECONDS
    go_on.touch()
    assert [each.result(30).body for each in futures] == [b"waited"] * 5
    wait_until(lambda: (pool.pool.running, pool.pool.waiting) == (0, 0))
    assert run(pool, "echo late").body == b"late"
    pool.close()


def test_who_waits_too_long_or_leaves_gives_up_the_turn(tmp_path: Path) -> None:
    pool = BlockingPool(TASKS, queue_length=2, seconds=60.0)
    go_on = tmp_path / "go on"
    first = pool.start("run", f"wait {go_on}".encode(), readable=(tmp_path,))
    wait_until(lambda: pool.pool.running == 1)
    with pytest.raises(PoolBusy):
        run(pool, "echo impatient", wait_seconds=0.05)
    with pytest.raises(PoolBusy):
        run(pool, "echo too late", wait_seconds=-1.0)
    leaving = pool.start("run", b"echo leaving")
    staying = pool.start("run", b"echo staying")
    wait_until(lambda: pool.pool.waiting == 2)
    leaving.cancel()
    wait_until(lambda: pool.pool.waiting == 1)
    go_on.touch()
    assert first.result(30).body == b"waited"
    assert staying.result(30).body == b"staying"
    pool.close()


@pytest.mark.parametrize("what", ["loop", "child"])
def test_who_leaves_kills_the_task_with_its_children_and_frees_the_place(shared_folder: Path, what: str) -> None:
    pool = BlockingPool(TASKS, seconds=60.0)
    parent = processes(pool)[1]
    (scratch,) = (each for each in shared_folder.iterdir() if each.name.startswith("bitbudget-"))
    future, process_id = started_in_scratch(pool, what, scratch)
    assert is_alive(process_id)
    future.cancel()
    with pytest.raises(CancelledError):
        future.result(10)
    wait_until(lambda: not is_alive(process_id))
    assert run(pool, "echo next").body == b"next"
    assert processes(pool)[1] == parent
    pool.close()


def started_in_scratch(pool: BlockingPool, what: str, scratch: Path) -> tuple[Future[Outcome], int]:
    """Start a task that writes the process id of itself or its child into its own scratch directory."""
    future = pool.start("run", f"{what} process".encode(), has_scratch=True)
    wait_until(lambda: any(each.read_text() for each in scratch.glob("*/process")))
    (path,) = scratch.glob("*/process")
    return future, int(path.read_text())


def test_closing_kills_the_tasks_that_run_and_refuses_those_that_wait(shared_folder: Path) -> None:
    pool = BlockingPool(TASKS, seconds=60.0)
    _, parent = processes(pool)
    (scratch,) = (each for each in shared_folder.iterdir() if each.name.startswith("bitbudget-"))
    running, process_id = started_in_scratch(pool, "loop", scratch)
    waiting = pool.start("run", b"echo waiting")
    wait_until(lambda: pool.pool.waiting == 1)
    pool.close()
    for each in (running, waiting):
        assert isinstance(each.exception(10), PoolClosed)
    assert not is_alive(parent)
    wait_until(lambda: not is_alive(process_id))


def test_the_event_loop_is_free_while_tasks_run(pool: BlockingPool) -> None:
    """Twenty tasks that take a while, one place: the loop answers all the time."""
    gaps: list[float] = []
    has_ended = threading.Event()

    async def watch() -> None:
        last = time.monotonic()
        while not has_ended.is_set():
            await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    watcher = threading.Thread(target=pool.on_loop, args=(watch(),))
    watcher.start()
    futures = [pool.start("run", f"allocate {32 * MIB}".encode()) for _ in range(8)]
    for each in futures:
        each.result(60)
    has_ended.set()
    watcher.join()
    assert len(gaps) > 5
    assert sorted(gaps)[len(gaps) // 2] < 0.1
