"""Contents of the files of a folder, which go from one machine to another, and back into a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from deploy.atomic_write import write_atomically

Copies = Mapping[str, bytes]
"""Path of a file relative to its folder, with `/` as separator -> its content."""


def copies_of(folder: Path) -> dict[str, bytes]:
    """Return the content of each finished file in a folder and its subfolders; empty if there is no such folder.

    A file whose name begins with a dot is not finished. A file that is deleted in the meantime is left out.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            with contextlib.suppress(FileNotFoundError):
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def write_copies(copies: Copies, folder: Path) -> None:
    """Write files into a folder, so that it has these files alone; each file is replaced in one atomic step.

    Args:
        copies: The files.
        folder: The folder, which is made if its parent exists.

    Raises:
        OSError: If a file cannot be written.
    """
    folder.mkdir(exist_ok=True)
    for name, content in copies.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    for name in copies_of(folder).keys() - copies.keys():
        (folder / name).unlink(missing_ok=True)
