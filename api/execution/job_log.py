"""Start of the process that writes the log of a job, wherever the worker of the job runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from api.execution import log_writer


def start_log_writer(log: Path, max_bytes: int) -> tuple[subprocess.Popen[bytes], int]:
    """Start the process that writes the log of a job; return it, and the file descriptor for the worker's output.

    The process ends after all processes have closed the file descriptor. A signal to the session of the worker does not
    reach it, and it ignores SIGTERM, which a cluster also sends to children: the last lines of the worker are kept.

    Args:
        log: Path of the log.
        max_bytes: Largest size of the log in bytes.

    Raises:
        OSError: If the process cannot be started.
    """
    source, output = os.pipe()
    try:
        writer = subprocess.Popen(  # noqa: S603  # the command is ours, and its arguments are not from a shell
            [sys.executable, "-I", "-S", log_writer.__file__, str(log), str(max_bytes)],
            stdin=source,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        os.close(output)
        raise
    finally:
        os.close(source)
    return writer, output
