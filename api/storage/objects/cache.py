"""Copies of objects on the local disk, shared by all processes of a data directory, with a limit on their size.

    cache/SHA-256.SUFFIX

The processes that read uploads have no network, so that they get files. Whoever uses a copy holds a shared lock on it;
of the copies that are not in use, the one that was used least recently is deleted first. Deleting the directory, while
nothing runs, costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import Final

_ABANDONED_SECONDS: Final = 3600.0
"""Time in seconds without a change after which an incomplete copy counts as left by a process that was killed."""


class ObjectCache:
    """Directory of copies of objects.

    Args:
        directory: The directory; it is created with the first copy.
        max_bytes: Largest size in bytes of all copies together, besides those that are in use.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes

    def hold(
        self, name: str, fetch: Callable[[Path], None], holds: ExitStack, *, check_sha256: str | None = None
    ) -> Path:
        """Return the path of a copy, which is not deleted until the holds are closed.

        Args:
            name: Name of the copy.
            fetch: Function that writes the object to a path, and checks it; it is called if there is no copy.
            holds: Stack that releases the copy when it is closed.
            check_sha256: SHA-256 that the copy must have, in hexadecimal: a copy that the disk has damaged is fetched
                again. None does not read the copy.

        Raises:
            OSError: If the disk is full.
        """
        path = self._directory / name
        while True:
            file = _opened(path)
            if file is not None and check_sha256 is not None and not _has(file, check_sha256):
                path.unlink(missing_ok=True)
                file.close()
                file = None
            if file is not None:
                holds.enter_context(file)
                os.utime(path)
                return path
            self._directory.mkdir(parents=True, exist_ok=True)
            incomplete = self._directory / f".{name}.{uuid.uuid4().hex}"
            try:
                fetch(incomplete)
                incomplete.replace(path)
            finally:
                incomplete.unlink(missing_ok=True)
            with ExitStack() as held:
                if (file := _opened(path)) is not None:
                    held.enter_context(file)
                self.make_room()

    def add(self, name: str, file: Path) -> None:
        """Move a file whose content is stored into the cache; if that is not possible, it is fetched when it is needed.

        Args:
            name: Name of the copy.
            file: The file, on the file system of the cache.
        """
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            os.utime(file)
            file.replace(self._directory / name)
        self.make_room()

    def make_room(self) -> None:
        """Delete copies that are not in use until the size is below the limit."""
        found: list[tuple[float, int, Path]] = []
        with contextlib.suppress(FileNotFoundError):
            for each in self._directory.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    status = each.stat()
                    if not each.name.startswith("."):
                        found.append((status.st_mtime, status.st_size, each))
                    elif time.time() - status.st_mtime > _ABANDONED_SECONDS:
                        each.unlink()
        total_bytes = sum(size_bytes for _, size_bytes, _ in found)
        for _, size_bytes, path in sorted(found):
            if total_bytes <= self._max_bytes:
                return
            if _delete_unused(path):
                total_bytes -= size_bytes


def _opened(path: Path) -> BufferedReader | None:
    """Open a copy with a shared lock; return None if there is none, or if it was just deleted."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH)
        if os.fstat(file.fileno()).st_nlink > 0:  # else it was deleted before it was locked
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _has(file: BufferedReader, sha256: str) -> bool:
    return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _delete_unused(path: Path) -> bool:
    """Delete a copy unless a process holds it; return whether it is gone."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        path.unlink(missing_ok=True)
    return True
