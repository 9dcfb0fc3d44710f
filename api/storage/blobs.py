"""Store of files on disk, each named by the SHA-256 of its content, with the parts of each file."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other threads and processes, which also use this method, from storing and deleting files.

        Without the lock, a file could be deleted because its last record was deleted, in the moment in which an upload
        of the same content is stored and gets a record.
        """
        descriptor = os.open(self._directory.with_name(f"{self._directory.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

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

    def part_path(self, digest: str, part: str) -> Path:
        """Return the path of a part of a file in the store, whether or not the part exists.

        Args:
            digest: SHA-256 of the file that the part belongs to, in lower-case hexadecimal.
            part: SHA-256 of the part, in lower-case hexadecimal.

        Raises:
            ValueError: If `digest` or `part` is not a SHA-256 in lower-case hexadecimal.
        """
        whole = self.path(digest)
        return whole.with_name(f"{whole.name}.{self.path(part).name}")

    def keep(self, digest: str, file: Path, parts: Mapping[str, Path] | None = None) -> None:
        """Move a complete file into the store in one atomic step, after its parts.

        Args:
            digest: SHA-256 of the content, in lower-case hexadecimal.
            file: Path of the complete file, on the same file system as the store.
            parts: SHA-256 of each part of the file, in lower-case hexadecimal, and the path of the part.
        """
        for part, path in (parts or {}).items():
            path.replace(self.part_path(digest, part))
        file.replace(self.path(digest))

    def delete(self, digest: str) -> None:
        """Delete the file with a given SHA-256 and its parts from the store, if they exist."""
        whole = self.path(digest)
        whole.unlink(missing_ok=True)
        for part in self._directory.glob(f"{whole.name}.*"):
            part.unlink(missing_ok=True)
