"""A small disk for tests, which can be filled: a file system in memory, which only root may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted file system of a few megabytes.

    Args:
        root: Directory on which it is mounted.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / "ballast"

    def fill(self) -> None:
        """Write until no byte is left."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                while True:
                    try:
                        file.write(bytes(size))
                    except OSError:
                        break

    def make_room(self) -> None:
        """Delete what `fill` has written."""
        self._ballast.unlink(missing_ok=True)

    @property
    def free_bytes(self) -> int:
        """Free space in bytes."""
        state = os.statvfs(self.root)
        return state.f_bavail * state.f_frsize


@contextmanager
def small_disk(root: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a small disk on a new directory; skip the test where that is not allowed."""
    root.mkdir()
    options = ["/bin/mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(root)]
    if not Path(options[0]).exists() or os.geteuid() != 0:
        pytest.skip("a small disk needs the command mount and root")
    mounted = subprocess.run(options, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(root)
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(root)], check=True)
