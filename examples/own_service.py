"""Start the HTTP service `bitbudget serve` for the duration of a pipeline, and stop it afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

START_SECONDS = 60
STOP_SECONDS = 15


class PipelineError(Exception):
    """Error that ends the example pipeline; its message is written for the reader of the build log."""


@contextmanager
def running_service() -> Iterator[str]:
    """Start the service on a free loopback port, with its data in a temporary directory, and yield its URL.

    The service is stopped and the directory is removed at the end, even after an error.

    Raises:
        PipelineError: if the service does not start. The message has the end of its log.
    """
    with TemporaryDirectory(prefix="bitbudget-") as directory:
        log = Path(directory, "service.log")
        bitbudget = str(Path(sys.executable).with_name("bitbudget"))
        command = [bitbudget, "serve", "--port", "0", "--data", str(Path(directory, "data"))]
        with log.open("wb") as output:
            # A new session: Ctrl-C reaches only this process, which then stops the service in order.
            process = subprocess.Popen(  # noqa: S603  # our own command
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        try:
            yield wait_for_url(process, log)
        finally:
            stop(process)


def wait_for_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until a started service prints its URL, and return the URL."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.search(r"^http://\S+$", log.read_text(errors="replace"), re.MULTILINE):
            return found[0]
        time.sleep(0.1)
    state = "did not listen" if process.poll() is None else f"ended with exit code {process.returncode}"
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise PipelineError(f"the service {state} within {START_SECONDS} s; its log ends with:\n{tail or '(nothing)'}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a service process with SIGTERM; if it does not stop, kill it and all processes that it started."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
