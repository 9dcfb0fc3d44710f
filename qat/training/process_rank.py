"""Rank of this process among the processes that train together. This module does not import torch.

It is in the environment variables that `torchrun` sets, and Ray Train.
"""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Return whether this process has rank 0 or is the only one; only the first process writes files and reports
    progress.
    """
    return os.environ.get("RANK", "0") == "0" or process_count() == 1


def process_count() -> int:
    """Return the number of processes that train together, for example the value of `torchrun --nproc-per-node`; 1 if
    there is only this process.
    """
    return int(os.environ.get("WORLD_SIZE", "1"))
