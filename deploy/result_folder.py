"""Result files of a job or command, which appear in their directory only when all of them are complete.

    write into a staging directory next to the target  ->  move the files in, the report last

The report stands for all files being complete: a directory without it holds no result.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from deploy.atomic_write import write_atomically
from network.errors import RequestError

REPORT_FILE: Final = "report.json"
ARCHIVE_SUFFIX: Final = "-c.zip"
LINKED_FILE: Final = "linked.json"
OPTIONAL_FILES: Final = (f"*{ARCHIVE_SUFFIX}", LINKED_FILE)
"""Patterns of the files that not every training writes, or not by the same name."""

STAGING_PREFIX: Final = ".bitbudget-"


def write_text(path: Path, text: str) -> None:
    """Write a text file in one atomic step.

    Raises:
        RequestError: If the file cannot be written.
    """
    try:
        write_atomically(path, text)
    except OSError as error:
        raise RequestError(f"cannot write the file '{path}': {error.strerror}; choose another path") from error


def check_output(directory: Path) -> None:
    """Reject a directory for results that contains files other than those of an earlier result.

    Args:
        directory: Directory for the results: new, empty, or with an earlier result, which will be replaced.

    Raises:
        RequestError: If it is a file, or a directory with something else than an earlier result.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise RequestError(f"the output path '{directory}' is a file; expected a directory for the results")
    if any(directory.iterdir()) and not (directory / REPORT_FILE).is_file():
        raise RequestError(
            f"the directory '{directory}' has files other than an earlier result; choose an empty or a new directory"
        )


def check_writable(directory: Path) -> None:
    """Reject a directory for results that cannot be written to.

    Raises:
        RequestError: If no file can be created there.
    """
    with staging(directory):
        pass


@contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """Create a temporary directory on the file system of the results; it is deleted when the context ends.

    Args:
        directory: Directory for the results. The temporary directory is inside it if it exists, else next to it.

    Raises:
        RequestError: If it cannot be created.
    """
    place = directory if directory.is_dir() else directory.parent
    try:
        staged = Path(mkdtemp(prefix=STAGING_PREFIX, dir=place))
    except OSError as error:
        raise RequestError(
            f"cannot write into the directory '{place}': {error.strerror}; choose another directory"
        ) from error
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def publish(staged: Path, directory: Path, optional: Iterable[str] = OPTIONAL_FILES) -> None:
    """Move complete files and folders from a temporary directory to the directory of the results, the report last.

    Args:
        staged: Directory made by `staging`.
        directory: Directory for the results; files and folders of an earlier result are replaced.
        optional: Patterns of the names of files that not every result has; those of an earlier result are deleted.
    """
    if not directory.is_dir():
        staged.chmod(0o777 & ~_umask())
        staged.rename(directory)
        return
    (directory / REPORT_FILE).unlink(missing_ok=True)
    for path in (path for pattern in optional for path in directory.glob(pattern)):
        path.unlink()
    for path in sorted(staged.iterdir(), key=lambda path: path.name == REPORT_FILE):
        if path.is_dir():
            shutil.rmtree(directory / path.name, ignore_errors=True)
        path.replace(directory / path.name)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
