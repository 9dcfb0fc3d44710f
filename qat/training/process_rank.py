"""Which of the processes that `torchrun` started this one is. Imports no torch."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Whether this process is the one that writes and reports: there is no other, or it is the first of them."""
    return os.environ.get("RANK", "0") == "0" or process_count() == 1


def process_count() -> int:
    """How many processes train together: as many as `torchrun --nproc-per-node` said, else one."""
    return int(os.environ.get("WORLD_SIZE", "1"))
