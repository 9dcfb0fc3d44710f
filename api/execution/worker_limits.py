"""Limits of the worker of a job, which keep the machine usable for the service: memory and priority.

RLIMIT_DATA limits the memory that the worker may allocate, so that a larger request fails in the worker alone. A
lowered priority (nice) gives the processor to the service and to other programs first. If the machine has no memory
left, the kernel ends a worker and not the service (oom_score_adj).
"""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path
from typing import Final

MEMORY_ADVICE: Final = (
    "the job needs more memory than a job may allocate; choose a smaller batch_size or a smaller dataset, or let the "
    "operator raise BITBUDGET_JOB_MEMORY or lower BITBUDGET_MAX_JOBS"
)

_OOM_SCORE: Final = 500
"""Addition to the worker's badness for the kernel's out-of-memory killer, of at most 1000."""
_TORCH_TEXT: Final = "can't allocate memory"


def limit_worker(memory_bytes: int | None, nice: int) -> None:
    """Limit the memory of this process and of those that it will start, and lower their priority.

    Args:
        memory_bytes: Memory in bytes that each process may allocate; None for no limit.
        nice: Number from 0 to 19 by which the priority is lowered.
    """
    os.nice(nice)
    with contextlib.suppress(OSError):  # not every container lets a process write it
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump could fill the disk
    if memory_bytes is not None:
        limit_memory(memory_bytes)


def limit_memory(memory_bytes: int) -> None:
    """Limit the memory in bytes that this process, and each one that it will start, may allocate."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory could not be allocated; torch raises a RuntimeError for it."""
    return isinstance(error, MemoryError) or _TORCH_TEXT in str(error)
