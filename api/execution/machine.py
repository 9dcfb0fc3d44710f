"""Processor cores and memory that this process may use, and the share of them that each job gets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from api.settings import Settings

THREADS_OF_A_JOB: Final = 2
"""Number of processor cores for which one job runs by default: two jobs on four cores."""
PLACES_OF_A_CLUSTER: Final = 64
"""Number of jobs that a cluster has at the same time by default; it lets those wait for which it has no room."""
MEMORY_SHARE_OF_JOBS: Final = 0.75
"""Share of the machine's memory that all jobs may allocate together by default."""

_CGROUP: Final = Path("/sys/fs/cgroup")


def job_places(settings: Settings) -> int:
    """Return how many jobs may run at the same time."""
    if settings.max_concurrent_jobs is not None:
        return settings.max_concurrent_jobs
    return PLACES_OF_A_CLUSTER if settings.executor == "ray" else max(1, cores() // THREADS_OF_A_JOB)


def job_threads(settings: Settings) -> int:
    """Return how many threads one job computes with, unless its request says another number."""
    return max(1, cores() // job_places(settings))


def job_memory_bytes(settings: Settings) -> int:
    """Return how much memory in bytes the worker of one job may allocate."""
    return settings.job_memory_bytes or int(memory_bytes() * MEMORY_SHARE_OF_JOBS) // job_places(settings)


def cores(cgroup: Path = _CGROUP) -> int:
    """Return the number of processor cores that this process may use, rounded down, at least 1.

    Args:
        cgroup: Directory of the control group (version 2), whose quota of processor time counts.
    """
    allowed = len(os.sched_getaffinity(0))
    quota, _, period = _text(cgroup / "cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        allowed = min(allowed, int(quota) // int(period))
    return max(1, allowed)


def memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Return the memory in bytes that this machine, or the control group of a container, has.

    Args:
        cgroup: Directory of the control group (version 2), whose limit counts.
    """
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _text(cgroup / "memory.max")
    return min(installed, int(limit)) if limit.isdecimal() else installed


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # a machine without control groups
        return ""
