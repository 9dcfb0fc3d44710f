"""Run of a command whose output goes to the log of a job: `python -m api.execution.logged_command LOG BYTES COMMAND`.

On a cluster, a worker has nothing around it that would keep its log small. This process starts a log writer, and
becomes the command: the exit code and the signals are those of the command.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from api.execution.job_log import start_log_writer


def main(log: str, max_bytes: str, *command: str) -> None:
    """Become a command whose output goes to a log.

    Args:
        log: Path of the log; its directory is created.
        max_bytes: Largest size of the log in bytes.
        command: Program and arguments.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    _, output = start_log_writer(Path(log), int(max_bytes))
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.execvp(command[0], command)  # noqa: S606  # the command is the executor's, and no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
