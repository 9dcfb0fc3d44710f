"""The image, really built and started: as its own user, with its own command, and with the main job played inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.pipeline import DIGITS, Service, fetch_artifacts, watch
from examples.pipeline import main as play_pipeline
from tests.docker import buildah
from tests.docker.buildah import Container
from tests.docker.serving import ROOT, served

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(buildah.why_not()), reason=f"the image is not built: {buildah.why_not()}"),
]


WITH_TOOLCHAIN = "localhost/bitbudget-with-toolchain"


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    buildah.build(ROOT)
    return buildah.configuration()


@pytest.fixture
def container(configuration: dict[str, Any]) -> Iterator[Container]:
    with buildah.container() as container:
        yield container


def test_the_main_job_against_the_service_in_the_image(
    configuration: dict[str, Any], container: Container, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(container, configuration, tmp_path) as url:
        arguments = ["--url", url, "--epochs", "1", "--out", str(tmp_path / "out")]
        assert play_pipeline(arguments) == 0, capsys.readouterr().err + (tmp_path / "service.log").read_text()
    assert json.loads((tmp_path / "out" / "report.json").read_bytes())["accuracy"]["integer_only"] > 90


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
    for tool in ("gcc", "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "pip", "make", "git"):
        assert container.run("sh", "-c", f"command -v {tool} || echo none") == "none"


def test_with_the_toolchain_a_job_has_the_linked_bytes(configuration: dict[str, Any], tmp_path: Path) -> None:
    """After the image without it, whose layers with the packages it shares."""
    buildah.build(ROOT, WITH_TOOLCHAIN, TOOLCHAIN="1")
    with_toolchain = buildah.configuration(WITH_TOOLCHAIN)
    assert with_toolchain["User"] == configuration["User"]
    with buildah.container(WITH_TOOLCHAIN) as container, served(container, with_toolchain, tmp_path) as url:
        service = Service(url)
        network = service.upload("/v1/networks", DIGITS)
        request = {"network_id": network["id"], "dataset": "digits", "device": "stm32f411re", "training": {"epochs": 1}}
        job = watch(service, service.post("/v1/jobs", request))
        fetch_artifacts(service, job, tmp_path / "out")
    linked = json.loads((tmp_path / "out" / "linked.json").read_bytes())
    memory = json.loads((tmp_path / "out" / "memory.json").read_bytes())
    assert (linked["device"], linked["core"]) == ("stm32f411re", "cortex-m4")
    assert linked["has_locked_toolchain"]
    assert linked["is_good"]
    assert (linked["flash_bytes"], linked["ram_bytes"]) == (memory["flash_bytes"], memory["ram_bytes"])
