"""Cache on disk of files that are computed from uploaded files, shared by all processes of a data directory.

    derived/SHA-256 of the kept file/NAME

Deleting any of it, at any time, costs time and nothing else.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from api.storage.blobs import is_digest
from deploy.atomic_write import write_atomically


class DerivedFiles:
    """Directory of files that are computed from uploaded files and can be computed again.

    Args:
        directory: The directory; it is created when the first file is written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, digest: str, name: str) -> Path | None:
        """Return the path of a cached file; None if it was not computed yet.

        Args:
            digest: SHA-256 of the kept file, in lower-case hexadecimal.
            name: Name of what was computed, with the version of its format.
        """
        path = self._of(digest) / name
        return path if path.is_file() else None

    def write(self, digest: str, name: str, content: bytes) -> None:
        """Write a cached file in one atomic step.

        Raises:
            OSError: If the disk cannot be written to.
        """
        directory = self._of(digest)
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / name, content)

    def delete(self, digest: str) -> None:
        """Delete all cached files that were computed from one uploaded file."""
        shutil.rmtree(self._of(digest), ignore_errors=True)

    def _of(self, digest: str) -> Path:
        if not is_digest(digest):
            raise ValueError(
                f"the digest {digest[:80]!r} is not a SHA-256; expected 64 digits of lower-case hexadecimal"
            )
        return self._directory / digest
