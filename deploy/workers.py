"""Parallel execution of a computation on all CPU cores, with one BLAS thread for each core.

BLAS by itself splits each matrix product over the cores, and waits for the slowest core after every product. If other
processes use the same cores, this wait has taken ten times as long as the computation. Here each thread computes whole
parts, so the threads wait for each other only once, at the end.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import threadpoolctl  # type: ignore[import-untyped]  # the package has no type annotations

_ONE_AT_A_TIME = threading.Lock()
"""Lock for the number of BLAS threads, which the whole process shares: only one computation may change it."""


def core_count() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_on_all_cores(work: Callable[[slice], None], parts: Iterable[slice]) -> None:
    """Call a function for each part of a computation in parallel, on all CPU cores.

    Args:
        work: The function, mostly numpy code that releases the interpreter's lock. Two parts must not write to the same
            elements. An error that it raises is raised again here.
        parts: Slices of the work, one for each call of the function.
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
