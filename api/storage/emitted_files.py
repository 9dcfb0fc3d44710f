"""Writing of a tree of emitted C files, which never replaces a file that somebody else wrote or changed.

A manifest in the tree, `emission.json`, has the SHA-256 of each file. A file is written only if it does not exist, or
still has the content with which it was emitted. Files of an earlier emission that the new one does not have are
deleted. Other files in the folder, such as those of a build, stay.

Each file is replaced atomically, the manifest last. After an interruption, the same call finishes the work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from deploy.atomic_write import write_atomically
from network.errors import RequestError
from network.json_reading.fields import Fields, load_object

MANIFEST_FILE: Final = "emission.json"

_MAX_MANIFEST_BYTES: Final = 2**20


def write_emitted(files: Mapping[str, bytes], directory: Path, about: Mapping[str, object]) -> list[str]:
    """Write a tree of files into a directory, which is created.

    Args:
        files: Content of each file by its path in the tree.
        directory: The directory: new, or with an earlier emission, which is replaced.
        about: Further fields of the manifest.

    Returns:
        The paths of all files in the tree, sorted.

    Raises:
        RequestError: If a file would be replaced that was not emitted, or was changed since; nothing is written then.
            Or if the directory cannot be written to.
    """
    earlier = _manifest(directory)
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    for path in sorted({*files, *earlier}):
        _require_own(directory, path, {hashes.get(path), earlier.get(path)})
    manifest = {**about, "files": dict(sorted(hashes.items()))}
    try:
        for path, content in files.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_file() or target.read_bytes() != content:
                write_atomically(target, content)
        for path in earlier.keys() - files.keys():
            (directory / path).unlink(missing_ok=True)
        write_atomically(directory / MANIFEST_FILE, json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise RequestError(
            f"cannot write into the directory '{directory}': {error.strerror}; choose another directory"
        ) from error
    return sorted([*files, MANIFEST_FILE])


def _manifest(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of an earlier emission by its path; empty without one.

    Raises:
        RequestError: If the directory is a file, or the manifest is not one.
    """
    if directory.exists() and not directory.is_dir():
        raise RequestError(f"the output path '{directory}' is a file; expected a directory for the C files")
    path = directory / MANIFEST_FILE
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RequestError(f"cannot read '{path}': {error.strerror}; choose another directory") from error
    fields = Fields(load_object(content, MANIFEST_FILE, RequestError), MANIFEST_FILE, error=RequestError)
    files = fields.raw("files", {})
    if not isinstance(files, dict) or not all(_is_inside(each) for each in files):
        raise fields.refused("files", "paths in the directory; choose another directory")
    return {each: str(digest) for each, digest in files.items()}


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not PurePosixPath(path).is_absolute() and ".." not in parts


def _require_own(directory: Path, path: str, known: set[str | None]) -> None:
    """Reject a file that exists with another content than the known ones."""
    target = directory / path
    if not target.exists() and not target.is_symlink():
        return
    try:
        digest = None if not target.is_file() else hashlib.sha256(target.read_bytes()).hexdigest()
    except OSError as error:
        raise RequestError(f"cannot read '{target}': {error.strerror}; choose another directory") from error
    if digest is None or digest not in known:
        raise RequestError(
            f"'{target}' was changed after it was emitted, or comes from elsewhere, and would be replaced; move it "
            "away, or choose another directory"
        )
