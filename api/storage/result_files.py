"""Files of a result of a job or command, with the names and hashes by which the service answers them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from api.schemas.reports import Artifact

SENSITIVITY_FILE: Final = "sensitivity.json"


def artifacts_in(directory: Path) -> list[Artifact]:
    """Return name, size in bytes and SHA-256 of each file of a directory, sorted by name."""
    return [_artifact(path) for path in sorted(directory.iterdir()) if path.is_file()]


def _artifact(path: Path) -> Artifact:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Artifact(name=path.name, size_bytes=path.stat().st_size, sha256=digest)
