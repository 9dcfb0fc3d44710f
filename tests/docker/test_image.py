"""The image, really built and started: as its own user, with its own command, and with the main job played inside."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.pipeline import main as play_pipeline
from tests.docker import buildah
from tests.docker.buildah import Container

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(buildah.why_not()), reason=f"the image is not built: {buildah.why_not()}"),
]


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    buildah.build(ROOT)
    return buildah.configuration()


@pytest.fixture
def container(configuration: dict[str, Any]) -> Iterator[Container]:
    with buildah.container() as container:
        yield container


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until_healthy(container: Container, healthcheck: list[str], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            container.run(*healthcheck)
        except RuntimeError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"the service is not healthy after 30 s; its log:\n{log.read_text()}")


def test_the_main_job_against_the_service_in_the_image(
    configuration: dict[str, Any], container: Container, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    container.set_environment(BITBUDGET_HOST="127.0.0.1", BITBUDGET_PORT=str(port))
    how, *healthcheck = configuration["Healthcheck"]["Test"]
    assert how == "CMD"
    with pytest.raises(RuntimeError, match="Connection refused"):
        container.run(*healthcheck)

    log = tmp_path / "service.log"
    command = [*configuration["Entrypoint"], *configuration["Cmd"]]
    with container.running(*command, log=log):
        wait_until_healthy(container, healthcheck, log)
        arguments = ["--url", f"http://127.0.0.1:{port}", "--epochs", "1", "--out", str(tmp_path / "out")]
        assert play_pipeline(arguments) == 0, capsys.readouterr().err + log.read_text()
    assert json.loads((tmp_path / "out" / "report.json").read_bytes())["accuracy"]["integer_only"] > 90
    assert "Traceback" not in log.read_text()


def test_it_runs_as_a_user_without_rights(configuration: dict[str, Any], container: Container) -> None:
    assert configuration["User"] == "bitbudget"
    assert list(configuration["Volumes"]) == ["/data"]
    assert list(configuration["ExposedPorts"]) == ["8000/tcp"]
    assert container.run("id", "-u") == "10001"
    assert container.run("stat", "-c", "%U %a", "/data") == "bitbudget 750"
    search = (
        r"find / -xdev \( -path /proc -o -path /sys -o -path /dev \) -prune -o -type d -writable -print 2>/dev/null"
    )
    folders = container.run("sh", "-c", f"{search} || true")
    assert set(folders.split()) <= {"/data", "/tmp", "/var/tmp", "/run/lock"}  # noqa: S108  # what Debian opens to all


def test_nothing_is_in_it_that_builds(container: Container) -> None:
    for tool in ("gcc", "pip", "make", "git"):
        assert container.run("sh", "-c", f"command -v {tool} || echo none") == "none"
