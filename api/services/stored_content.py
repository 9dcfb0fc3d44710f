"""Check of stored files against the SHA-256 by which they are named, before a job uses them for hours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from network.content_identity import content_id


def damage_of(identity: str, path: Path, weights: Mapping[str, Path] | None = None) -> str | None:
    """Return what is wrong with the stored files of a network or dataset.

    Args:
        identity: Identity of the content, in lower-case hexadecimal: see `content_id`.
        path: Path of the stored file.
        weights: Path of each file of weights of a network, by its name.

    Returns:
        A sentence that says what to do; None if the files are as they were uploaded.
    """
    try:
        parts = [(name, _sha256(part)) for name, part in (weights or {}).items()]
        if content_id(_sha256(path), parts) == identity:
            return None
        fault = "is damaged: its content does not have its SHA-256"
    except FileNotFoundError:
        fault = "is missing"
    return f"the stored file of {identity} {fault}; upload the same content again, and retry the job"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
