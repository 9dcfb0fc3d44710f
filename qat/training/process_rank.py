"""Rank of this process among the processes that `torchrun` started. Imports no torch."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Return whether this process writes files and reports progress: it has rank 0 or is the only process."""
    return os.environ.get("RANK", "0") == "0" or process_count() == 1


def process_count() -> int:
    """Return the number of processes that train together: that given to `torchrun --nproc-per-node`, else 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))
