"""Parts of one computation on all cores, with one BLAS thread each.

BLAS would split each matrix product over the cores, and wait for the slowest of them after every product. Where other
processes share the cores, that waiting took ten times the whole computation. Here each thread computes parts of its
own from beginning to end, and nobody waits before the last part.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import threadpoolctl  # type: ignore[import-untyped]  # it has no types of its own

_ONE_AT_A_TIME = threading.Lock()
"""BLAS's number of threads belongs to the process: two computations would restore each other's."""


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_on_all_cores(work: Callable[[slice], None], parts: Iterable[slice]) -> None:
    """Calls `work` with each part, as many at a time as there are cores; an error of one part is raised here.

    Args:
        work: numpy code, which lets other threads run; parts must not write to the same places.
        parts: what there is to do.
    """
    with (
        _ONE_AT_A_TIME,
        _libraries().limit(limits=1, user_api="blas"),
        ThreadPoolExecutor(max_workers=core_count()) as pool,
    ):
        for _ in pool.map(work, parts):
            pass


@cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController()
