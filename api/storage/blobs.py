"""Store of files on disk, each named by the SHA-256 of its content."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Return whether a text is a SHA-256 in lower-case hexadecimal."""
    return _DIGEST.fullmatch(text) is not None


class Blobs:
    """Directory of files, each named by the SHA-256 of its content.

    Args:
        directory: Path of the directory; it is created if it does not exist.
        suffix: Suffix of every file name, such as ".npz".
    """

    def __init__(self, directory: Path, suffix: str = "") -> None:
        self._directory = directory
        self._suffix = suffix
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return the path of the file with a given SHA-256 in the store, whether or not the file exists.

        Raises:
            ValueError: If `digest` is not a SHA-256 in lower-case hexadecimal.
        """
        if not is_digest(digest):
            raise ValueError(
                f"the digest {digest[:80]!r} is not a SHA-256; expected 64 digits of lower-case hexadecimal"
            )
        return self._directory / f"{digest}{self._suffix}"

    def keep(self, digest: str, file: Path) -> None:
        """Move a complete file into the store in one atomic step.

        Args:
            digest: SHA-256 of the content, in lower-case hexadecimal.
            file: Path of the complete file, on the same file system as the store.
        """
        file.replace(self.path(digest))

    def delete(self, digest: str) -> None:
        """Delete the file with a given SHA-256 from the store, if it exists."""
        self.path(digest).unlink(missing_ok=True)
