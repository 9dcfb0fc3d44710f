"""Processor time of this process and of the processes that it has started."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SESSION, _USER_TICKS, _SYSTEM_TICKS = 3, 11, 12
"""Positions in /proc/PID/stat, counted from the field behind the name of the program."""


def session_cpu_seconds() -> float:
    """Return the processor time in seconds of this process, its ended children and the living processes of its session.

    If this process does not lead its session, as in a cluster, other processes of the session are not counted.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time() + children.ru_utime + children.ru_stime
    if os.getsid(0) != os.getpid():
        return own
    return own + sum(map(_cpu_seconds_in_session, Path("/proc").glob("[0-9]*")))


def _cpu_seconds_in_session(process: Path) -> float:
    """Return the processor time in seconds of another living process of this session; 0 for any other process."""
    if process.name == str(os.getpid()):
        return 0.0
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended in the meantime
        return 0.0
    if int(fields[_SESSION]) != os.getpid():
        return 0.0
    return (int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / _TICKS
