"""Full disks: how their errors are recognised, and a reserve with which deleting and cancelling still work.

The reserve is a file in the data directory, which is deleted when a change that frees space finds the disk full. It is
written again when there is room.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from api.settings import MIB, Settings

RESERVE_BYTES: Final = 8 * MIB
"""Size of the reserve in bytes: enough for the database's changes."""

_NUMBERS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_TEXTS: Final = ("No space left on device", "disk is full", "Disk quota exceeded", "DiskFull")
"""Texts of libraries that raise other errors than OSError for a full disk: safetensors, SQLite, PostgreSQL."""

_Value = TypeVar("_Value")


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error, or the one that caused it, says that the disk is full."""
    return any(
        (isinstance(each, OSError) and each.errno in _NUMBERS) or any(text in str(each) for text in _TEXTS)
        for each in _causes(error)
    )


class DiskReserve:
    """Reserve of disk space of one data directory.

    Args:
        settings: Settings of the service, with the data directory.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.data_directory / "reserve"

    def fill(self) -> None:
        """Write the reserve if it does not exist and there is room for twice its size."""
        if self._path.exists() or free_bytes(self._path.parent) < 2 * RESERVE_BYTES:
            return
        partial = self._path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            partial.replace(self._path)
        except OSError:
            partial.unlink(missing_ok=True)

    def with_room(self, change: Callable[[], _Value]) -> _Value:
        """Make a change that frees space; if the disk is full, give the reserve up and try once more.

        Args:
            change: The change, which can be repeated.

        Returns:
            The result of the change.
        """
        try:
            return change()
        except Exception as error:
            if not is_full_disk(error):
                raise
            self._path.unlink(missing_ok=True)
        return change()


def free_bytes(path: Path) -> int:
    """Return the free space in bytes of the file system of an existing path."""
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
