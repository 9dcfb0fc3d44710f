"""Work that an attempt to run a job has saved: whether a checkpoint or a finished part was written since a moment."""

from __future__ import annotations

import os
from pathlib import Path


class SavedWork:
    """Work in a directory of checkpoints that is saved after this object was made.

    Args:
        directory: Directory of the checkpoints, which may not exist yet.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._newest = self._newest_change()

    def has_grown(self) -> bool:
        """Return whether a file was written or replaced since the last call, or since this object was made."""
        newest, self._newest = self._newest, self._newest_change()
        return self._newest > newest

    def _newest_change(self) -> int:
        """Return the time of the latest change of a finished file, in nanoseconds; 0 if there is none.

        A file whose name begins with a dot is not finished.
        """
        newest = 0
        for folder, _, names in os.walk(self._directory):
            for name in names:
                if not name.startswith("."):
                    newest = max(newest, _changed_at(Path(folder, name)))
        return newest


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # replaced or deleted in the meantime
        return 0
