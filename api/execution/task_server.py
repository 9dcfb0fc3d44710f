"""Process that has imported everything that tasks need, and forks once for each task.

A task starts in milliseconds, because its fork has all imports. It runs in the sandbox of `sandbox.py`, in a process
group of its own, which is killed as a whole. A task that is killed, or that crashes, costs neither this process nor the
service anything. If the service ends, this process reads the end of its connection, kills all tasks and ends.

    python -m api.execution.task_server --tasks MODULE:FUNCTION --control NUMBER
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from api.execution.sandbox import (
    MemoryMeter,
    end_with_parent,
    isolate_network,
    limit_resources,
    missing_protections,
    restrict_access,
)
from api.execution.task_messages import (
    HEAD,
    LEAVES,
    MAX_ANSWER_BYTES,
    MAX_MESSAGE_BYTES,
    STAYS,
    Ending,
    TaskStart,
    framed,
    packed,
    receive_frame,
    start_of,
    unpacked,
)
from network.errors import BitbudgetError

Task = Callable[[bytes], bytes]
"""Function that computes the answer to a request."""

GROWTH_SHARE: Final = 0.25
"""Largest share of its memory that a process may still have after a task, if it stays for the next one."""
_HARMLESS: Final = frozenset({Ending.ANSWERED, Ending.REFUSED})
"""Endings after which a process can stay."""


def main(arguments: list[str] | None = None) -> None:
    """Fork tasks until the service closes the connection."""
    parser = argparse.ArgumentParser(prog="python -m api.execution.task_server", description=__doc__)
    parser.add_argument("--tasks", required=True, help="function that returns the tasks by name, as MODULE:FUNCTION")
    parser.add_argument("--control", type=int, required=True, help="inherited file descriptor of the connection")
    given = parser.parse_args(arguments)
    has_own_network = isolate_network()  # before an import can start a thread
    module, _, function = given.tasks.partition(":")
    tasks: Mapping[str, Task] = getattr(importlib.import_module(module), function)()
    gc.collect()
    gc.freeze()  # a collection in a fork would copy the memory of all imported modules
    with (
        socket.socket(fileno=given.control) as control,
        tempfile.TemporaryDirectory(prefix="bitbudget-", ignore_cleanup_errors=True) as scratch,
    ):
        _Server(control, tasks, Path(scratch)).serve(missing_protections(has_own_network=has_own_network))


@dataclass(frozen=True)
class _Running:
    """A task that runs: its number, its process, and the process as a file that becomes readable when it ends."""

    number: int
    process_id: int
    process_file: int


@dataclass
class _Server:
    """Server that forks tasks: the connection to the service, the known tasks, and a directory for their scratch."""

    control: socket.socket
    tasks: Mapping[str, Task]
    scratch: Path
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    running: dict[int, _Running] = field(default_factory=dict)

    def serve(self, missing: list[str]) -> None:
        """Announce that tasks can start, then start, kill and reap tasks until the connection ends."""
        self.selector.register(self.control, selectors.EVENT_READ, None)
        try:
            self.control.sendall(packed("ready", missing=missing))
            while True:
                for key, _ in self.selector.select():
                    if key.data is None:
                        self._obey()
                    else:
                        self._reap(key.data)
        except (EOFError, ConnectionError):
            pass  # the service has ended, or has closed the connection
        finally:
            for each in self.running.values():
                _kill(each)

    def _obey(self) -> None:
        message, files, _, _ = socket.recv_fds(self.control, MAX_MESSAGE_BYTES, 1)
        if not message:
            raise EOFError
        kind, values = unpacked(message)
        if kind == "start":
            with socket.socket(fileno=files[0]) as connection:
                self._start(start_of(values), connection)
        elif kind == "kill" and (task := self.running.get(values["number"])) is not None:
            _kill(task)

    def _start(self, start: TaskStart, connection: socket.socket) -> None:
        scratch = self.scratch / str(start.number) if start.has_scratch else None
        server_id = os.getpid()
        try:
            if scratch is not None:
                scratch.mkdir()
            process_id = os.fork()
        except OSError:  # too many processes, or no memory for one more
            traceback.print_exc()
            self.control.sendall(packed("ended", number=start.number, status=1 << 8))
            return
        if process_id == 0:
            self.selector.close()
            self.control.close()
            _run(self.tasks[start.task], start, connection, scratch, server_id)
        task = _Running(start.number, process_id, os.pidfd_open(process_id))
        self.running[start.number] = task
        self.selector.register(task.process_file, selectors.EVENT_READ, task)

    def _reap(self, task: _Running) -> None:
        """Report the end of a task, after the end of every process that it started."""
        _kill(task)  # the process itself has ended and is not reaped yet, so that its group still exists
        _, status = os.waitpid(task.process_id, 0)
        self.selector.unregister(task.process_file)
        os.close(task.process_file)
        del self.running[task.number]
        self.control.sendall(packed("ended", number=task.number, status=status))
        shutil.rmtree(self.scratch / str(task.number), ignore_errors=True)


def _kill(task: _Running) -> None:
    """Kill a task that is not reaped yet, with all processes that it started."""
    for kill in (os.killpg, os.kill):  # the task may not have made its process group yet
        try:
            kill(task.process_id, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _run(
    task: Task, start: TaskStart, connection: socket.socket, scratch: Path | None, server_id: int
) -> NoReturn:  # fmt: skip
    """Run a task in the forked process: receive a request, send the outcome, again while it stays, and end."""
    status = 1
    try:
        os.setpgid(0, 0)
        end_with_parent(server_id)
        if scratch is not None:
            tempfile.tempdir = str(scratch)
            os.environ["TMPDIR"] = str(scratch)
            os.chdir(scratch)
        meter = MemoryMeter()
        limit_resources(meter, start.memory_bytes, start.cpu_seconds)
        restrict_access(map(Path, start.readable), scratch)
        allowed_bytes = meter.allocated_bytes() + int(GROWTH_SHARE * start.memory_bytes)
        stays = True
        while stays:
            ending, body = _worked(task, receive_frame(connection))
            connection.sendall(framed(ending.encode()) + HEAD.pack(len(body)))
            connection.sendall(body)  # without a copy, for which a task may have no memory left
            stays = start.is_reusable and ending in _HARMLESS and meter.allocated_bytes() < allowed_bytes
            connection.sendall(framed(STAYS if stays else LEAVES))
        status = 0
    except (EOFError, ConnectionError):
        status = 0  # the service does not wait for this task any more
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _worked(task: Task, request: bytes) -> tuple[Ending, bytes]:
    try:
        answer = task(request)
        if len(answer) > MAX_ANSWER_BYTES:
            return Ending.FAILED, b"an answer that is too large"
        return Ending.ANSWERED, answer
    except MemoryError:
        pass  # the memory is released when this block ends, and the outcome is built after that
    except BitbudgetError as error:
        if not _is_caused_by_memory(error):
            return Ending.REFUSED, f"{type(error).__name__}\n{error}".encode()
    except BaseException as error:
        traceback.print_exc()
        return Ending.FAILED, f"an unexpected {type(error).__name__}".encode()
    return Ending.OUT_OF_MEMORY, b""


def _is_caused_by_memory(error: BaseException | None) -> bool:
    """Return whether an error was raised while a MemoryError was handled, so that its own text is misleading."""
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


if __name__ == "__main__":
    main()
