"""File access for datasets, restricted to regular files; symbolic links are never followed. Imports no torch."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from network.errors import DatasetError
from qat.data.names import printable, reason_of

MAX_DEPTH: Final = 6
"""Largest number of nested folders inside a class folder."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Identity of a file's content: if the size or the time changed, the file was replaced or modified.

    Attributes:
        size_bytes: Size of the file in bytes.
        modified_ns: Time of the last modification, in nanoseconds since 1970.
    """

    size_bytes: int
    modified_ns: int


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; the file is closed at the end of the context.

    Args:
        path: The file.

    Raises:
        DatasetError: if the file does not exist, cannot be read, is a symbolic link, or is not a regular file.
    """
    try:
        # O_NONBLOCK: opening a named pipe returns at once, and the check below rejects it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    with open(descriptor, "rb") as file:  # noqa: PTH123  # it opens a descriptor, not a path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DatasetError(f"'{printable(path.name)}' is not a regular file; give a file or a directory of files")
        try:
            yield file
        except OSError as error:
            raise _unreadable(path, error) from error


def stamp_of(path: Path) -> Stamp:
    """Return the size and the modification time of a file.

    Args:
        path: The file.

    Raises:
        DatasetError: if the file does not exist, cannot be read, is a symbolic link, or is not a regular file.
    """
    with opened(path) as file:
        status = os.fstat(file.fileno())
        return Stamp(status.st_size, status.st_mtime_ns)


def read_whole(path: Path, max_bytes: int) -> bytes:
    """Read the complete content of a file of limited size.

    Args:
        path: The file.
        max_bytes: Largest size that is read, in bytes.

    Raises:
        DatasetError: if the file is larger than `max_bytes`, does not exist, cannot be read, is a symbolic link, or is
            not a regular file.
    """
    with opened(path) as file:
        # `read` allocates memory for the requested number of bytes, so exactly the file's size is requested.
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > max_bytes:
            raise DatasetError(
                f"'{printable(path.name)}' has {size_bytes} bytes; at most {max_bytes} are allowed: give a smaller file"
            )
        return read_part(file, 0, size_bytes, path.name)


def read_part(file: BinaryIO, offset: int, size_bytes: int, name: str) -> bytes:
    """Read a range of bytes of an open file.

    Args:
        file: The open file.
        offset: Position of the first byte, from 0.
        size_bytes: Number of bytes to read.
        name: Name of the content in errors.

    Raises:
        DatasetError: if the file ends before the range does.
    """
    file.seek(offset)
    content = file.read(size_bytes)
    if len(content) != size_bytes:
        raise DatasetError(
            f"'{printable(name)}' ends {size_bytes - len(content)} bytes early: the file was truncated or changed; "
            "restore it"
        )
    return content


def entries(directory: Path) -> list[os.DirEntry[str]]:
    """List the entries of a directory, sorted by name and without hidden entries (names that begin with a dot).

    Args:
        directory: The directory.

    Raises:
        DatasetError: if the directory cannot be read or contains a symbolic link.
    """
    try:
        with os.scandir(directory) as found:
            listed = sorted((each for each in found if not each.name.startswith(".")), key=lambda each: each.name)
    except OSError as error:
        raise _unreadable(directory, error) from error
    for entry in listed:
        if entry.is_symlink():
            raise DatasetError(
                f"'{printable(directory.name)}/{printable(entry.name)}' is a symbolic link; links are not followed: "
                "put the files themselves there"
            )
    return listed


def files_below(directory: Path, depth: int = MAX_DEPTH) -> Iterator[Path]:
    """Iterate over the regular files of a directory and of its subfolders, sorted by name.

    Args:
        directory: The directory.
        depth: Largest number of nested subfolders, from 0.

    Raises:
        DatasetError: if a directory cannot be read, contains a symbolic link, or is nested deeper than `depth`.
    """
    for entry in entries(directory):
        if entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            if not depth:
                raise DatasetError(
                    f"'{printable(entry.path)}' is nested too deeply; expected at most {MAX_DEPTH} folders inside a "
                    "class folder: move its files up"
                )
            yield from files_below(Path(entry.path), depth - 1)


def _unreadable(path: Path, error: Exception) -> DatasetError:
    is_link = isinstance(error, OSError) and path.is_symlink()
    reason = "it is a symbolic link, and links are not followed" if is_link else _reason(error)
    return DatasetError(f"cannot read '{printable(path.name)}': {reason}")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or reason_of(error)
