"""The image, really built and started: as its own user, with its own command, and with the main job played inside."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from examples.pipeline import DIGITS, Service, fetch_artifacts, watch
from examples.pipeline import main as play_pipeline
from tests.api.http.test_load import HARD, convolutions, left_request
from tests.docker import buildah, engine
from tests.docker.buildah import Container
from tests.docker.engine import Engine
from tests.docker.serving import ROOT, free_port, served

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(buildah.why_not()), reason=f"the image is not built: {buildah.why_not()}"),
]
as_in_an_engine = pytest.mark.skipif(bool(engine.why_not()), reason=f"no container runs: {engine.why_not()}")

WITH_TOOLCHAIN = "localhost/bitbudget-with-toolchain"
LARGEST_IMAGE_BYTES = 1_100_000_000
SBOM = "/opt/bitbudget/app/sbom.cdx.json"


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    buildah.build(ROOT)
    return buildah.configuration()


@pytest.fixture
def container(configuration: dict[str, Any]) -> Iterator[Container]:
    with buildah.container() as container:
        yield container


@contextmanager
def started(
    configuration: dict[str, Any], folder: Path, mounts: dict[Path, str] | None = None, **variables: str
) -> Iterator[tuple[Engine, str]]:
    """Start the service as an engine does, on a free port of the loopback interface, and wait until it answers."""
    port = free_port()
    here = {"BITBUDGET_HOST": "127.0.0.1", "BITBUDGET_PORT": f"{port}"} | variables
    with engine.running(buildah.IMAGE, configuration, folder, mounts, **here) as running:
        give_up_at = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/readyz").raise_for_status()
                break
            except httpx.HTTPError:
                assert running.process.poll() is None, running.log.read_text()
                assert time.monotonic() < give_up_at, running.log.read_text()
                time.sleep(0.1)
        yield running, f"http://127.0.0.1:{port}"


@as_in_an_engine
def test_the_main_job_with_a_read_only_root(
    configuration: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `docker run --read-only --tmpfs /tmp`: everything that is kept is in /data."""
    with started(configuration, tmp_path) as (running, url):
        assert "Read-only file system" in running.run("touch /opt/x /var/x 2>&1; true")
        arguments = ["--url", url, "--epochs", "1", "--out", str(tmp_path / "out")]
        assert play_pipeline(arguments) == 0, capsys.readouterr().err + running.log.read_text()
    assert "Traceback" not in running.log.read_text()
    assert json.loads((tmp_path / "out" / "report.json").read_bytes())["accuracy"]["integer_only"] > 90
    assert (tmp_path / "data" / "bitbudget.sqlite").stat().st_uid == engine.USER


@as_in_an_engine
def test_process_1_reaps_orphans(configuration: dict[str, Any], tmp_path: Path) -> None:
    """A process whose parent has ended belongs to process 1, which has to take its exit code."""
    with started(configuration, tmp_path) as (running, _):
        before = running.processes()
        assert before[1][1] == "tini"
        orphan = int(running.run("sleep 0.5 >/dev/null 2>&1 & echo $!"))
        assert running.processes()[orphan] == ("S", "sleep")
        time.sleep(1)
        after = running.processes()
        assert orphan not in after
        assert "Z" not in {state for state, _ in after.values()}


@as_in_an_engine
def test_sigterm_ends_it_within_ten_seconds_with_a_request_in_flight(
    configuration: dict[str, Any], tmp_path: Path
) -> None:
    """`docker stop` waits ten seconds, then it kills: a fit of 1,500 convolutions takes longer."""
    with started(configuration, tmp_path) as (running, url):
        upload = httpx.post(f"{url}/v1/networks", files={"file": ("hard.json", convolutions(1500))}, timeout=60)
        connection = left_request(SimpleNamespace(url=url), f"/v1/networks/{upload.json()['id']}/fit", HARD)  # type: ignore[arg-type]  # it needs the address alone
        give_up_at = time.monotonic() + 20
        while httpx.get(f"{url}/readyz").json()["running"] != 1:
            assert time.monotonic() < give_up_at
        began = time.monotonic()
        assert running.terminate(within_seconds=10) == 0
        print(f"ended {time.monotonic() - began:.1f} s after SIGTERM")
        connection.close()


@as_in_an_engine
def test_keys_are_made_in_it(configuration: dict[str, Any], tmp_path: Path) -> None:
    """As soon as there is a key, requests without one are refused, and the service listens on every address."""
    with started(configuration, tmp_path) as (running, url):
        key = running.run("bitbudget keys create pipeline --json | grep -o 'bb_[A-Za-z0-9_-]*'")
        give_up_at = time.monotonic() + 10
        while httpx.get(f"{url}/v1/networks").status_code != 401:
            assert time.monotonic() < give_up_at
            time.sleep(0.1)
        assert httpx.get(f"{url}/v1/networks", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    with started(configuration, tmp_path, BITBUDGET_HOST="0.0.0.0") as (_, url):  # noqa: S104  # as in an engine
        assert httpx.get(f"{url}/v1/networks").status_code == 401


def test_it_does_not_listen_for_everybody_without_keys(configuration: dict[str, Any], container: Container) -> None:
    with pytest.raises(RuntimeError, match="the service has no keys"):
        container.run(*configuration["Entrypoint"], *configuration["Cmd"])


def test_a_health_check_of_the_image(configuration: dict[str, Any], container: Container, tmp_path: Path) -> None:
    with served(container, configuration, tmp_path) as url:
        assert httpx.get(f"{url}/healthz").json()["version"] == buildah.VERSION


def test_it_runs_as_a_user_without_rights(configuration: dict[str, Any], container: Container) -> None:
    assert configuration["User"] == "10001:10001"  # a number: Kubernetes cannot check that a name is not root
    assert list(configuration["Volumes"]) == ["/data"]
    assert list(configuration["ExposedPorts"]) == ["8000/tcp"]
    assert container.run("id", "-u", "-n") == "bitbudget"
    assert container.run("stat", "-c", "%U %a", "/data") == "bitbudget 750"
    search = (
        r"find / -xdev \( -path /proc -o -path /sys -o -path /dev \) -prune -o -type d -writable -print 2>/dev/null"
    )
    folders = container.run("sh", "-c", f"{search} || true")
    assert set(folders.split()) <= {"/data", "/tmp", "/var/tmp", "/run/lock"}  # noqa: S108  # what Debian opens to all


def test_nothing_is_in_it_that_builds(container: Container) -> None:
    tools = "gcc arm-none-eabi-gcc riscv64-unknown-elf-gcc pip make git strip"
    assert container.run("sh", "-c", f"for tool in {tools}; do command -v $tool; done; echo end") == "end"


def test_its_labels_say_what_it_is(configuration: dict[str, Any]) -> None:
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.title"] == "bitbudget"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] == buildah.VERSION


def test_its_size(configuration: dict[str, Any], container: Container) -> None:
    """The sum of all files, as engines count; docs/containers.md says what it is made of."""
    script = "find / -xdev -type f -printf '%n %s %p\\n' 2>/dev/null || true"
    sizes: dict[str, int] = {}
    for line in container.run("sh", "-c", script).splitlines():
        links, file_bytes, path = line.split(" ", 2)
        package = re.match("/opt/bitbudget/env/lib/python[^/]*/site-packages/([A-Za-z0-9_]*)", path)
        part = package[1] if package else "/".join(path.split("/")[:3])
        sizes[part] = sizes.get(part, 0) + int(file_bytes) // int(links)
    for part, size in sorted(sizes.items(), key=lambda each: -each[1])[:24]:
        print(f"{size / 1e6:8.1f} MB  {part}")
    print(f"{sum(sizes.values()) / 1e6:8.1f} MB  in all")
    assert sum(sizes.values()) < LARGEST_IMAGE_BYTES


def test_the_list_of_its_packages_is_complete(container: Container) -> None:
    """The SBOM has each package that is installed, and the libraries of the extras are among them."""
    components = json.loads(container.run("cat", SBOM))["components"]
    listed = {each["name"].lower().replace("_", "-"): each["version"] for each in components}
    script = "from importlib.metadata import distributions as d; print(*(f'{e.name}=={e.version}' for e in d()))"
    found = container.run("python", "-c", script).lower().replace("_", "-").split()
    installed = dict(each.split("==") for each in found)
    assert {name: listed.get(name) for name in installed} == installed
    assert {"bitbudget", "torch", "fastapi", "psycopg", "s3fs", "pyjwt", "opentelemetry-sdk"} <= set(installed)
    assert "nvidia" not in " ".join(installed)


@as_in_an_engine
def test_a_training_finds_the_bytecode_of_its_modules(configuration: dict[str, Any], tmp_path: Path) -> None:
    """What has no bytecode is compiled anew in each process, since the user cannot write it."""
    with started(configuration, tmp_path, {DIGITS: "/mnt/digits.onnx"}) as (running, _):
        script = (
            "import os, sys; from api.cli.main import run; "
            "run('train /mnt/digits.onnx --data digits --flash 18kB --ram 2800 --epochs 1 --out /tmp/out'.split()); "
            "found = [getattr(module, '__cached__', None) for module in sys.modules.values()]; "
            "missing = sorted(each for each in found if isinstance(each, str) and not os.path.exists(each)); "
            "print('compiled anew', *missing, sep='\\n')"
        )
        missing = running.run(f'python -c "{script}"').partition("compiled anew\n")[2].splitlines()
    print(len(missing), "modules without bytecode:", *missing, sep="\n")
    assert len(missing) < 30


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
