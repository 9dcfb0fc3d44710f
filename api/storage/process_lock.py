"""Whether a process lives (the worker of a job, the service of a data directory): it locks a file for as long.

The kernel drops the lock with the last process that holds it, however that ends. So neither a process id that was
given to somebody else, nor a clock, nor a heartbeat can be mistaken for a worker. The service takes the lock before it
starts the worker, and the worker inherits it: there is no moment at which a living worker holds none.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class ProcessLock:
    """The lock on one file, with the process id of its holder inside."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self) -> int | None:
        """An open file that holds the lock until it and its heirs are closed; None if somebody has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)  # the process id of an earlier worker, by now perhaps somebody else's
        return descriptor

    @property
    def is_held(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @property
    def holder(self) -> int | None:
        """The holder's process id; None before it has written it."""
        try:
            return int(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return None

    @staticmethod
    def sign(descriptor: int, process_id: int) -> None:
        """Write into a taken lock who holds it."""
        os.pwrite(descriptor, str(process_id).encode(), 0)
