"""Reading files of a dataset: regular ones alone, and no symbolic link, wherever it leads. Imports no torch."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from network.errors import DatasetError
from qat.data.names import shown

MAX_DEPTH: Final = 6
"""Of folders inside a class."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a file from another at the same place."""

    size_bytes: int
    modified_ns: int


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file, to be read.

    Raises:
        DatasetError: it is not there, cannot be read, or is a symbolic link or no regular file.
    """
    try:
        # Without blocking, so that a named pipe is refused instead of waited for.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor, no path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DatasetError(f"'{shown(path.name)}' is no regular file")
        try:
            yield file
        except OSError as error:
            raise _unreadable(path, error) from error


def stamp_of(path: Path) -> Stamp:
    """A file's size, and when it was written.

    Raises:
        DatasetError: as `opened`.
    """
    with opened(path) as file:
        status = os.fstat(file.fileno())
        return Stamp(status.st_size, status.st_mtime_ns)


def read_whole(path: Path, max_bytes: int) -> bytes:
    """All of a file of bounded size.

    Raises:
        DatasetError: it is larger, or as `opened`.
    """
    with opened(path) as file:
        # Asked for as many as there are: a reader takes memory for as many as it is asked for.
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > max_bytes:
            raise DatasetError(f"'{shown(path.name)}' has {size_bytes} bytes; at most {max_bytes} are taken")
        return read_part(file, 0, size_bytes, path.name)


def read_part(file: BinaryIO, offset: int, size_bytes: int, name: str) -> bytes:
    """Some bytes of an open file.

    Raises:
        DatasetError: it ends before.
    """
    file.seek(offset)
    content = file.read(size_bytes)
    if len(content) != size_bytes:
        raise DatasetError(f"'{shown(name)}' ends {size_bytes - len(content)} bytes early: the file was cut or changed")
    return content


def entries(directory: Path) -> list[os.DirEntry[str]]:
    """What lies in a directory, by name; hidden entries are left out.

    Raises:
        DatasetError: it cannot be read, or holds a symbolic link.
    """
    try:
        with os.scandir(directory) as found:
            listed = sorted((each for each in found if not each.name.startswith(".")), key=lambda each: each.name)
    except OSError as error:
        raise _unreadable(directory, error) from error
    for entry in listed:
        if entry.is_symlink():
            raise DatasetError(
                f"'{shown(directory.name)}/{shown(entry.name)}' is a symbolic link; links are not followed: "
                "put the files themselves there"
            )
    return listed


def files_below(directory: Path, depth: int = MAX_DEPTH) -> Iterator[Path]:
    """Regular files of a directory and the folders in it, by name.

    Raises:
        DatasetError: as `entries`, or folders more than `depth` deep.
    """
    for entry in entries(directory):
        if entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            if not depth:
                raise DatasetError(f"'{shown(entry.path)}' lies too deep; expected at most {MAX_DEPTH} folders")
            yield from files_below(Path(entry.path), depth - 1)


def _unreadable(path: Path, error: Exception) -> DatasetError:
    is_link = isinstance(error, OSError) and path.is_symlink()
    reason = "it is a symbolic link, and links are not followed" if is_link else _reason(error)
    return DatasetError(f"cannot read '{shown(path.name)}': {reason}")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)[:200] or type(error).__name__
