"""Files kept under the SHA-256 of their content, and under nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


class Blobs:
    """A directory of content-addressed files."""

    def __init__(self, directory: Path, suffix: str = "") -> None:
        self._directory = directory
        self._suffix = suffix
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where a file lies, or would lie.

        Raises:
            ValueError: no digest, so no name for a file.
        """
        if not is_digest(digest):
            raise ValueError("files are named by SHA-256 in lower-case hexadecimal")
        return self._directory / f"{digest}{self._suffix}"

    def keep(self, digest: str, file: Path) -> None:
        """Move a whole file of the same file system in; it is there at once or not at all."""
        file.replace(self.path(digest))

    def delete(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)
