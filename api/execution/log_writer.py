"""Writer of a job's log, a process of its own: `python -I -S log_writer.py FILE MAX_BYTES`, with the output as input.

It copies what it reads to the end of the file. If the file would become larger than the limit, the older half is
deleted: a worker that prints without end does not fill the disk, and its last lines are kept. A separate process also
keeps the last lines of a worker that was killed, and outlives the service as the worker does. It imports nothing but
the standard library, so that it starts at once and needs little memory.
"""

from __future__ import annotations

import os
import signal
import sys

NOTE = b"[earlier output was deleted]\n"
"""First line of a log from which output was deleted."""
CHUNK_BYTES = 65_536
_MODE = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


def copy(source: int, path: str, max_bytes: int) -> None:
    """Append everything from a file descriptor to a log file until its end.

    If the disk is full, output is lost, and the worker is not stopped.

    Args:
        source: File descriptor that is read.
        path: Path of the log, which is created if it does not exist.
        max_bytes: Largest size of the log in bytes, at least 2 * `CHUNK_BYTES`.
    """
    log = os.open(path, _MODE, 0o644)
    while content := os.read(source, CHUNK_BYTES):
        try:
            _write(log, content, max_bytes)
        except OSError:
            continue


def append(path: str | os.PathLike[str], content: bytes, max_bytes: int) -> None:
    """Append to a log file what has come as a whole; of a content that is too long, the end is kept.

    Args:
        path: Path of the log, which is created if it does not exist.
        content: What is appended.
        max_bytes: Largest size of the log in bytes.

    Raises:
        OSError: If the file cannot be written.
    """
    log = os.open(path, _MODE, 0o644)
    try:
        _write(log, content[-max_bytes // 2 :], max_bytes)
    finally:
        os.close(log)


def _write(log: int, content: bytes, max_bytes: int) -> None:
    if os.fstat(log).st_size + len(content) > max_bytes:
        _keep_newest(log, max_bytes // 2)
    os.write(log, content)


def _keep_newest(log: int, kept_bytes: int) -> None:
    """Delete the older part of a log, up to the end of a line.

    Args:
        log: File descriptor of the log.
        kept_bytes: Number of bytes that are kept at most.
    """
    size = os.fstat(log).st_size
    newest = os.pread(log, kept_bytes, max(0, size - kept_bytes))
    _, newline, lines = newest.partition(b"\n")
    os.ftruncate(log, 0)
    os.write(log, NOTE + (lines if newline else newest))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a cluster sends it to the worker's children, too
    copy(0, sys.argv[1], int(sys.argv[2]))
