"""Bounded pool of processes that run tasks of the service with limits of memory and time.

Each place of the pool is a `task_process`, which has imported everything and forks once for each task. A place runs one
task at a time; it is started when it is first needed, and again if its process has ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Final

from api.execution.task_process import MAX_ANSWER_BYTES, Ending

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]
_START_SECONDS: Final = 30.0
"""Time in seconds, in addition to that of a task, in which a process must start, fork and answer."""
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Environment of the processes: threads of a library would not survive the fork."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """Limits of one task.

    Attributes:
        memory_bytes: Memory that the task may allocate, in bytes.
        seconds: Longest time of the task, in seconds.
    """

    memory_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Way in which a task ended.

    Attributes:
        ending: The way.
        body: The answer, or details of the ending, as described at `Ending`.
    """

    ending: Ending
    body: bytes = b""


class PoolBusy(Exception):
    """Error: no place of the pool became free in time."""


class TaskPool:
    """Bounded pool of processes that run one kind of task; several threads can use it.

    Args:
        task: The task, as "module:function"; a function from bytes to bytes.
        limits: Limits of each task.
        places: Largest number of tasks that run at the same time.
    """

    def __init__(self, task: str, limits: TaskLimits, places: int) -> None:
        self._task = task
        self._limits = limits
        self._places = BoundedSemaphore(places)
        self._changing = Lock()
        self._idle: list[_TaskProcess] = []
        self._busy: set[_TaskProcess] = set()
        self._is_closed = False

    def warm_up(self) -> None:
        """Start one process of the pool, without waiting for it."""
        with self._changing:
            self._idle.append(_TaskProcess(self._task, self._limits))

    def run(self, request: bytes, *, wait_seconds: float) -> Outcome:
        """Run the task for a request, and wait until the task has ended.

        Args:
            request: The request, which the task understands.
            wait_seconds: Longest time to wait for a free place, in seconds.

        Raises:
            PoolBusy: If no place became free in time, or if the pool is closed.
        """
        if not self._places.acquire(timeout=wait_seconds):
            raise PoolBusy
        try:
            # A process may have been killed while it was idle; a new one is not expected to end.
            return self._run(request) or self._run(request) or Outcome(Ending.CRASHED, b"the end of its parent process")
        finally:
            self._places.release()

    def close(self) -> None:
        """End all processes of the pool and their tasks."""
        with self._changing:
            self._is_closed = True
            for process in (*self._idle, *self._busy):
                process.kill()
            for process in self._idle:
                process.release()
            self._idle.clear()

    def _run(self, request: bytes) -> Outcome | None:
        """Run the task in an idle process, or in a new one; return None if that process ends before the task."""
        with self._changing:
            if self._is_closed:
                raise PoolBusy
            process = self._idle.pop() if self._idle else _TaskProcess(self._task, self._limits)
            self._busy.add(process)
        outcome = None
        try:
            outcome = process.run(request)
        except (ConnectionError, EOFError):
            pass
        finally:
            with self._changing:
                self._busy.remove(process)
                if outcome is not None and process.is_alive and not self._is_closed:
                    self._idle.append(process)
                else:
                    process.kill()
                    process.release()
        return outcome


class _TaskProcess:
    """A started `task_process` with the connection to it."""

    def __init__(self, task: str, limits: TaskLimits) -> None:
        self._limits = limits
        self._connection, theirs = Pipe()
        options = [f"--task={task}", f"--memory-bytes={limits.memory_bytes}", f"--seconds={limits.seconds}"]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # the command is ours, and its arguments are not from a shell
                [sys.executable, "-m", "api.execution.task_process", f"--connection={theirs.fileno()}", *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=os.environ | _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(_import_path())},
            )

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def run(self, request: bytes) -> Outcome:
        """Run the task for a request.

        Raises:
            ConnectionError, EOFError: If the process has ended.
        """
        self._connection.send_bytes(request)
        if not self._connection.poll(self._limits.seconds + _START_SECONDS):
            self.kill()  # it should have ended the task long ago
            return Outcome(Ending.TOO_LONG)
        ending = Ending(self._connection.recv_bytes(64).decode())
        return Outcome(ending, self._connection.recv_bytes(MAX_ANSWER_BYTES))

    def kill(self) -> None:
        """Kill the process and its task, and reap the process."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def release(self) -> None:
        """Close the connection to the process."""
        self._connection.close()


def _import_path() -> list[str]:
    """Return the directories in which a process finds the packages of bitbudget, installed or not."""
    return [str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
