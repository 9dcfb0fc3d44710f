"""Atomic replacement of files: a reader finds the complete old content or the complete new content, never a mixture.

    write a temporary file beside the target -> fsync it -> rename it over the target -> fsync the directory

The first fsync puts the content on the disk before the name refers to it; the second puts the new name on the disk. So
the guarantee also holds if the machine loses its power.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file atomically: a reader finds the complete old content or the complete new content.

    Args:
        path: The file to write, in an existing directory.
        content: The whole content; a text is written in UTF-8.

    Raises:
        OSError: if the file cannot be written. The earlier file is unchanged, and the temporary file is removed.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path, *, is_only_writer: bool = False) -> Iterator[Path]:
    """Yield the path of a temporary file, which replaces the target file atomically when the `with` block ends without
    an error.

    Args:
        path: The file to create or replace, in an existing directory.
        is_only_writer: Whether no other process writes this file at the same time. Then the temporary file has one
            fixed name, and the one that a killed process left is overwritten. Otherwise its name has the process id.

    Yields:
        The path of the temporary file, in the directory of `path`. The body must write the whole file and close it.

    Raises:
        OSError: if the file cannot be synced or renamed. If the body or a later step fails before the rename, the
            earlier file is unchanged, and the temporary file is removed.
    """
    unique = "" if is_only_writer else f".{os.getpid()}"
    temporary = path.with_name(f".{path.name}{unique}.partial")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Flush a directory to the disk, so that new file names survive a crash, unless the system does not allow that."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except PermissionError:  # a directory may be writable but not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the file system does not sync directories
            raise
    finally:
        os.close(descriptor)
