"""Store of files on disk, each named by the SHA-256 of its content, with the parts of each file."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Return whether a text is a SHA-256 in lower-case hexadecimal."""
    return _DIGEST.fullmatch(text) is not None


def file_names(digest: str, suffix: str, parts: Iterable[str]) -> list[str]:
    """Return the names of a file and of its parts.

    Args:
        digest: Identity of the content, in lower-case hexadecimal.
        suffix: Suffix of every file name, such as ".npz".
        parts: SHA-256 of each part, in lower-case hexadecimal.
    """
    whole = f"{digest}{suffix}"
    return [whole, *(f"{whole}.{part}{suffix}" for part in parts)]


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
    def locked(self, digest: str) -> Iterator[None]:
        """Keep all other threads and processes, which also use this method, from storing and deleting files.

        Without the lock, a file could be deleted because its last record was deleted, in the moment in which an upload
        of the same content is stored and gets a record.

        Args:
            digest: SHA-256 of the content that is stored or deleted. The lock of a directory is one for all contents.
        """
        self.path(digest)
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

    def held(
        self, digest: str, parts: Collection[str], holds: ExitStack, *, is_checked: bool = False
    ) -> tuple[Path, dict[str, Path]]:
        """Return the paths of a file and of its parts, whether or not they exist.

        Args:
            digest: SHA-256 of the content, in lower-case hexadecimal.
            parts: SHA-256 of each part, in lower-case hexadecimal.
            holds: Stack that releases copies of files; files in a directory need none.
            is_checked: Whether copies are compared with their SHA-256; files in a directory are not copies.
        """
        whole, *others = file_names(digest, self._suffix, parts)
        return self.path(digest).with_name(whole), dict(
            zip(parts, [self._directory / each for each in others], strict=True)
        )

    def keep(self, digest: str, file: Path, parts: Mapping[str, Path] | None = None) -> None:
        """Move a complete file into the store in one atomic step, after its parts.

        Args:
            digest: SHA-256 of the content, in lower-case hexadecimal.
            file: Path of the complete file, on the same file system as the store.
            parts: SHA-256 of each part of the file, in lower-case hexadecimal, and the path of the part.
        """
        whole, *others = file_names(digest, self._suffix, parts or ())
        for name, path in zip(others, (parts or {}).values(), strict=True):
            path.replace(self._directory / name)
        file.replace(self._directory / whole)

    def delete(self, digest: str) -> None:
        """Delete the file with a given SHA-256 and its parts from the store, if they exist."""
        whole = self.path(digest)
        whole.unlink(missing_ok=True)
        # `Path.glob` would compile a pattern for each digest, and Python keeps hundreds of patterns.
        for part in [each for each in whole.parent.iterdir() if each.name.startswith(f"{whole.name}.")]:
            part.unlink(missing_ok=True)
