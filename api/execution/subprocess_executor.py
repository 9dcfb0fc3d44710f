"""Executor that runs each worker of a job as a local process in its own session, which holds the lock of the job.

The lock (see `api.storage.process_lock`) decides whether a worker is alive. It is taken before the process starts and
inherited by it, so that a living worker always holds the lock, also when the service is killed during the start.

What a worker prints goes through a pipe to a [log writer](log_writer.py), which keeps the newest part.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Final

from api.execution.executor import Attempt, ExecutorUnavailable, Handle, ending_of
from api.execution.job_log import start_log_writer
from api.execution.job_share import JobShare, share_of
from api.execution.log_tail import last_lines
from api.execution.worker_command import WORKER_COMMAND, environment_here, worker_options
from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from api.storage.process_lock import ProcessLock

_EXIT_SECONDS: Final = 2.0
"""Longest time in seconds between the release of a worker's lock and its exit status."""


class SubprocessExecutor:
    """Executor that runs each worker of a job as a process of this machine.

    A worker outlives a service that is killed: it has its own session. Its output is appended to the log of the job.

    Args:
        settings: Settings of the service; they name the data directory, and the worker receives them as options.
        worker_command: Command that runs a worker; the job, the attempt and the options are appended.
    """

    def __init__(self, settings: Settings, worker_command: Sequence[str] = WORKER_COMMAND) -> None:
        self._settings = settings
        self._store: Store | None = None
        self._worker_command = worker_command
        self._children: dict[Handle, subprocess.Popen[bytes]] = {}
        self._log_writers: dict[Handle, subprocess.Popen[bytes]] = {}

    def start(self, attempt: Attempt) -> Handle | None:
        """Start a worker process for an attempt to run a job; None while an earlier worker holds the job's lock."""
        handle = _handle(attempt)
        if handle in self._children:
            return handle
        directory = JobDirectory.of(attempt.job_id, self._settings)
        directory.root.mkdir(parents=True, exist_ok=True)
        lock = directory.lock.take(label=str(attempt.number))
        if lock is None:
            return self.find(attempt)
        share = self._share_of(attempt)
        options = [*worker_options(attempt, share), f"--nice={self._settings.job_nice}"]
        try:
            directory.log.touch()
            writer, output = start_log_writer(directory.log, self._settings.max_log_bytes)
            try:
                child = subprocess.Popen(  # noqa: S603  # the command is ours, and its arguments are not from a shell
                    [*self._worker_command, attempt.job_id, *options, f"--lock={lock}"],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[lock],
                    start_new_session=True,
                    env=environment_here(self._settings, share),
                )
            finally:
                os.close(output)
            ProcessLock.sign(lock, child.pid, label=str(attempt.number))
        finally:
            os.close(lock)
        self._children[handle] = child
        self._log_writers[handle] = writer
        return handle

    def find(self, attempt: Attempt) -> Handle | None:
        """Return the handle of a worker if it is alive and holds the lock of its job; None otherwise."""
        handle = _handle(attempt)
        return handle if self.is_alive(handle) else None

    def is_alive(self, handle: Handle) -> bool:
        """Return whether a worker process holds the lock of its job, and therefore is alive."""
        attempt = _attempt(handle)
        lock = JobDirectory.of(attempt.job_id, self._settings).lock
        # A worker of the first version of the database wrote no label; its attempt has the number 0.
        if lock.is_held and int(lock.label or 0) == attempt.number:
            return True
        self._exit_status(handle)
        return False

    def ending(self, handle: Handle) -> str | None:
        """Return the exit code or the signal of a worker process; None if another process started the worker."""
        status = self._exit_status(handle)
        if status is None:
            return None
        return ending_of(status)

    def output_of(self, attempt: Attempt) -> str:
        """Return a noun phrase that names the log file of a job, relative to the service's data directory."""
        log = JobDirectory.of(attempt.job_id, self._settings).log
        return f"the file {log.relative_to(self._settings.data_directory)} in the data directory of the service"

    def last_output(self, attempt: Attempt) -> str:
        """Return the last lines of the log of a job."""
        return last_lines(JobDirectory.of(attempt.job_id, self._settings).log)

    def ask_to_end(self, handle: Handle) -> None:
        """Send SIGTERM to a worker process and to all processes of its session."""
        self._signal(handle, signal.SIGTERM)

    def kill(self, handle: Handle) -> None:
        """Send SIGKILL to a worker process and to all processes of its session."""
        self._signal(handle, signal.SIGKILL)

    def forget(self, handle: Handle) -> None:
        """Drop the exit status of a worker process that has ended."""
        child = self._children.get(handle)
        if child is not None and child.returncode is not None:
            del self._children[handle]
            del self._log_writers[handle]

    def close(self) -> None:
        """Kill the worker processes that this executor object started and that are alive, and reap them."""
        for child in self._children.values():
            if child.poll() is None:
                _signal_session(child.pid, signal.SIGKILL)
                child.wait()
        for writer in self._log_writers.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                writer.wait(_EXIT_SECONDS)
        self._children.clear()
        self._log_writers.clear()
        if self._store is not None:
            self._store.close()
            self._store = None

    def _exit_status(self, handle: Handle) -> int | None:
        """Return the exit status of a worker process that this object started, and reap it; None if there is none."""
        child = self._children.get(handle)
        if child is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = child.wait(_EXIT_SECONDS)
            self._log_writers[handle].wait(_EXIT_SECONDS)  # then the log is complete
            return status
        return child.returncode

    def _share_of(self, attempt: Attempt) -> JobShare:
        if self._store is None:
            self._store = Store(self._settings.database)
        return share_of(self._settings, self._store.job_of_any_project(attempt.job_id))

    def _signal(self, handle: Handle, number: signal.Signals) -> None:
        if not self.is_alive(handle):
            return
        process_id = JobDirectory.of(_attempt(handle).job_id, self._settings).lock.holder
        if process_id is None:  # the service that started it was killed a moment later
            raise ExecutorUnavailable("the worker has not yet written its process id; try again in a second")
        _signal_session(process_id, number)


def _signal_session(process_id: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # the process has ended in the meantime
        os.killpg(process_id, number)


def _handle(attempt: Attempt) -> Handle:
    return Handle(f"{attempt.job_id}/{attempt.number}")


def _attempt(handle: Handle) -> Attempt:
    job_id, _, number = handle.rpartition("/")
    return Attempt(job_id, int(number))
