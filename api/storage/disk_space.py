"""Full disks: how their errors are recognised, and a reserve with which deleting and cancelling still work.

The reserve is a directory of files in the data directory, which are deleted one by one when a change that frees space
finds the disk full. They are written again when there is room.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from api.settings import MIB, Settings

PIECES: Final = 16
"""Number of pieces of the reserve."""
PIECE_BYTES: Final = MIB // 2
"""Size of a piece in bytes: enough for a change of the database."""

_NUMBERS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_TEXTS: Final = ("No space left on device", "disk is full", "Disk quota exceeded", "DiskFull")
"""Texts of libraries that raise other errors than OSError for a full disk: safetensors, SQLite, PostgreSQL."""

_SQLITE_TEXT: Final = "disk I/O error"
"""Text of SQLite where it cannot make its shared memory, for example because the disk is full."""

_Value = TypeVar("_Value")


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error, or the one that caused it, says that the disk is full."""
    return any(
        (isinstance(each, OSError) and each.errno in _NUMBERS) or any(text in str(each) for text in _TEXTS)
        for each in _causes(error)
    )


class DiskReserve:
    """Reserve of disk space of one data directory, in pieces, of which each change gives up only those that it needs.

    Args:
        settings: Settings of the service, with the data directory.
    """

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.data_directory / "reserve"

    def fill(self) -> None:
        """Write the missing pieces of the reserve as long as there is room for twice its size."""
        for piece in self._pieces():
            if piece.exists():
                continue
            if free_bytes(self._directory.parent) < 2 * PIECES * PIECE_BYTES:
                return
            self._directory.mkdir(exist_ok=True)
            try:
                with piece.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, PIECE_BYTES)
            except OSError:
                piece.unlink(missing_ok=True)
                return

    def with_room(self, change: Callable[[], _Value]) -> _Value:
        """Make a change that frees space; while the disk is full, give up one piece of the reserve and try again.

        Args:
            change: The change, which can be repeated.

        Returns:
            The result of the change.
        """
        pieces = self._pieces()
        while True:
            try:
                return change()
            except Exception as error:
                if not is_full_disk(error) and _SQLITE_TEXT not in str(error):
                    raise
                if (piece := next((each for each in pieces if each.exists()), None)) is None:
                    raise
                piece.unlink(missing_ok=True)

    def _pieces(self) -> list[Path]:
        return [self._directory / str(number) for number in range(PIECES)]


def free_bytes(path: Path) -> int:
    """Return the free space in bytes of the file system of an existing path."""
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
