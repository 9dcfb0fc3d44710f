"""Lock file that shows whether a process is alive: the worker of a job, or the service of a data directory.

The kernel releases the lock when the last process that holds it ends, however it ends. A process id that the kernel has
given to another process, a clock or a late heartbeat therefore cannot be mistaken for a living process. The service
takes the lock before it starts a worker, and the worker inherits it: a living worker holds the lock at every moment.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class ProcessLock:
    """Lock on a file, held by a process; the file contains the process id and a label of the holder.

    Args:
        path: Path of the file; its directory must exist before the lock is taken.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def share(self) -> int | None:
        """Take a lock that other processes may share, if no process holds it alone.

        Returns:
            An open file descriptor, as of `take`; None if another process holds the lock alone.

        Raises:
            OSError: If the file cannot be made.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def take(self, label: str = "") -> int | None:
        """Take a lock on a file if no process holds it.

        Args:
            label: Text that tells holders apart, without a line break.

        Returns:
            An open file descriptor. The lock is held until the descriptor and its inherited copies are closed. None if
            another process holds the lock.

        Raises:
            OSError: If the file cannot be written.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The file may hold the process id of an earlier worker, which may belong to another process by now.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"\n{label}".encode(), 0)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:  # for example a full disk: a descriptor that stays open would hold the lock
            os.close(descriptor)
            raise
        return descriptor

    @property
    def is_held(self) -> bool:
        """Whether any process holds the lock on a file."""
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
        """Process id of the last holder of a lock; None if the holder has not written it yet."""
        process_id = self._lines()[0]
        return int(process_id) if process_id.isdecimal() else None

    @property
    def label(self) -> str:
        """Label of the last holder of a lock; empty if the holder has not written one yet."""
        return self._lines()[1]

    @staticmethod
    def sign(descriptor: int, process_id: int, label: str = "") -> None:
        """Write the process id and the label of the holder into the file of a lock that is held.

        Args:
            descriptor: The open file descriptor that `take` returned, or an inherited copy.
            process_id: Process id of the holder.
            label: The label that was passed to `take`.
        """
        os.pwrite(descriptor, f"{process_id}\n{label}".encode(), 0)

    def _lines(self) -> tuple[str, str]:
        try:
            first, _, second = self._path.read_text().partition("\n")
        except FileNotFoundError:
            return "", ""
        return first, second
