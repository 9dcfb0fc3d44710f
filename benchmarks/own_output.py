"""The standard output for a benchmark's own lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_output() -> Iterator[None]:
    """What solvers write to the standard output by themselves goes to stderr: HiGHS has such lines, in C."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
