"""Process that runs one kind of task for the service, each task in a fork of its own with limits of memory and time.

    service ──request──► this process, which has imported everything ──fork──► task: limits, work, answer, exit
            ◄─outcome──                                              ◄─answer─

A task starts in milliseconds, because the fork has all imports. A task that is killed, or that crashes, costs neither
this process nor the service anything. `python -m api.execution.task_process --task MODULE:FUNCTION ...` starts it.

Requests and answers are bytes that the task defines; nothing is unpickled. If the service ends, this process reads the
end of its connection, kills the task and ends.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import math
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from enum import StrEnum
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Final, NoReturn

from network.errors import BitbudgetError

MAX_ANSWER_BYTES: Final = 32 * 2**20
"""Largest answer of a task, in bytes."""

Task = Callable[[bytes], bytes]
"""Function that computes the answer to a request."""


class Ending(StrEnum):
    """Ways in which a task ends."""

    ANSWERED = "answered"
    """The body of the outcome is the answer."""
    REFUSED = "refused"
    """The task raised an error in the caller's input; the body is the name of its class, a line break and its text."""
    FAILED = "failed"
    """The task raised another error, which is in the log; the body says which."""
    OUT_OF_MEMORY = "out of memory"
    """The task needed more memory than allowed."""
    TOO_LONG = "too long"
    """The task was killed because it needed more time than allowed."""
    CRASHED = "crashed"
    """The process of the task ended without an answer; the body says how."""


def main(arguments: list[str] | None = None) -> None:
    """Run tasks until the service closes the connection."""
    parser = argparse.ArgumentParser(prog="python -m api.execution.task_process", description=__doc__)
    parser.add_argument("--task", required=True, help="task, as MODULE:FUNCTION")
    parser.add_argument("--connection", type=int, required=True, help="inherited file descriptor of the connection")
    parser.add_argument("--memory-bytes", type=int, required=True, help="memory that a task may allocate")
    parser.add_argument("--seconds", type=float, required=True, help="longest time of a task, in seconds")
    given = parser.parse_args(arguments)
    module, _, function = given.task.partition(":")
    task: Task = getattr(importlib.import_module(module), function)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy the memory of all imported modules
    service = Connection(given.connection)
    while True:
        try:
            ending, body = _outcome(task, service.recv_bytes(), service, given.memory_bytes, given.seconds)
            service.send_bytes(ending.encode())
            service.send_bytes(body)
        except (EOFError, ConnectionError):
            return  # the service has ended, or has closed the connection


def _outcome(
    task: Task, request: bytes, service: Connection, memory_bytes: int, seconds: float
) -> tuple[Ending, bytes]:
    """Run a task in a fork of this process; return how the task ended, and the body of its outcome.

    Raises:
        EOFError: If the service closes the connection during the task, which is killed.
    """
    reader, writer = Pipe(duplex=False)
    process_id = os.fork()
    if process_id == 0:
        reader.close()
        service.close()
        _run(task, request, writer, memory_bytes, seconds)
    writer.close()
    with reader:
        try:
            ready = wait([reader, service], seconds)
            if service in ready:  # the service sends nothing during a task, so the connection has ended
                raise EOFError
            outcome = _received(reader) if ready else (Ending.TOO_LONG, b"")
        finally:
            os.kill(process_id, signal.SIGKILL)  # a process that is ending keeps its exit status
            _, status = os.waitpid(process_id, 0)
    return outcome or (Ending.CRASHED, _text_of(status).encode())


def _received(reader: Connection) -> tuple[Ending, bytes] | None:
    """Return what the process of a task sent; None if the process ended before it had sent everything."""
    try:
        return Ending(reader.recv_bytes(64).decode()), reader.recv_bytes(MAX_ANSWER_BYTES)
    except (EOFError, OSError, ValueError):
        return None


def _run(task: Task, request: bytes, writer: Connection, memory_bytes: int, seconds: float) -> NoReturn:
    """Run a task with limits in the forked process, send the outcome, and end the process."""
    status = 1
    try:
        _limit(memory_bytes, seconds)
        ending, body = _worked(task, request)
        writer.send_bytes(ending.encode())
        writer.send_bytes(body)
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def _worked(task: Task, request: bytes) -> tuple[Ending, bytes]:
    try:
        return Ending.ANSWERED, task(request)
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


def _limit(memory_bytes: int, seconds: float) -> None:
    """Limit the memory that this process may allocate from now on, and its processor time; write no core dumps."""
    allowed = _allocated_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The process above kills a task that takes too long; this limit ends the task if that process was killed itself.
    cpu_seconds = math.ceil(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))


def _allocated_bytes() -> int:
    """Return the bytes of this process that count towards RLIMIT_DATA: heap and private writable mappings."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmData":
            return int(value.split()[0]) * 1024
    raise OSError("/proc/self/status has no line VmData; expected Linux")


def _text_of(status: int) -> str:
    """Return the exit code or the name of the signal of a status of `os.waitpid`."""
    if os.WIFSIGNALED(status):
        return f"the signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"the exit code {os.waitstatus_to_exitcode(status)}"


if __name__ == "__main__":
    main()
