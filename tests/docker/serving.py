"""A service that runs in a container until a test has ended."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.docker.buildah import Container

ROOT = Path(__file__).parents[2]


@contextmanager
def served(container: Container, configuration: dict[str, Any], folder: Path) -> Iterator[str]:
    """Start the image's command on a free port, wait until it is healthy, and give its URL.

    Args:
        container: A container of the image.
        configuration: What the image says about how it is run.
        folder: Folder for the log of the service, in which no traceback may stand.
    """
    port = free_port()
    container.set_environment(BITBUDGET_HOST="127.0.0.1", BITBUDGET_PORT=str(port))
    how, *healthcheck = configuration["Healthcheck"]["Test"]
    assert how == "CMD"
    with pytest.raises(RuntimeError, match="Connection refused"):
        container.run(*healthcheck)

    log = folder / "service.log"
    with container.running(*configuration["Entrypoint"], *configuration["Cmd"], log=log):
        _wait_until_healthy(container, healthcheck, log)
        yield f"http://127.0.0.1:{port}"
    assert "Traceback" not in log.read_text()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_until_healthy(container: Container, healthcheck: list[str], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            container.run(*healthcheck)
        except RuntimeError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"the service is not healthy after 30 s; its log:\n{log.read_text()}")
