"""Tools that lint the OpenAPI document and generate clients, installed in temporary folders, and a service for them."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.api.live_service import LiveService

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DOCUMENT = ROOT / "docs/openapi.json"
PROGRAMS = HERE / "programs"
TIMEOUT_SECONDS = 600
BIN = "node_modules/.bin"


Command = Sequence[str | Path]
"""A program and its arguments."""


def run(command: Command, folder: Path, **environment: str) -> str:
    """Run a command, and return what it prints; a command that fails fails the test with what it printed."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "MYPYPATH"}}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=kept | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the locked packages of npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed; on Debian: apt-get install nodejs npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "tsconfig.json"):
        shutil.copy(HERE / name, folder)
    run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    return folder


@pytest.fixture(scope="session")
def generators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the generators that are Python packages, and mypy."""
    folder = tmp_path_factory.mktemp("generators")
    run([sys.executable, "-m", "venv", folder], ROOT)
    run([folder / "bin/pip", "install", "--quiet", "--requirement", HERE / "requirements.txt"], ROOT)
    return folder


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("service") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset for the network of the digits, as a file."""
    random = np.random.default_rng(0)
    content = io.BytesIO()
    parts = {"train": 80, "test": 20}
    images = {f"{part}_x": random.integers(0, 256, (n, 8, 8, 1), np.uint8) for part, n in parts.items()}
    labels = {f"{part}_y": random.integers(0, 10, n) for part, n in parts.items()}
    np.savez(content, **images, **labels)  # type: ignore[arg-type]  # arrays by name
    path = tmp_path_factory.mktemp("samples") / "samples.npz"
    path.write_bytes(content.getvalue())
    return path


class MainJob:
    """The main job by a client's program, and what must come of it.

    Args:
        service: The service.
        samples: File of the dataset.
        out: Folder for the artifacts.
    """

    def __init__(self, service: LiveService, samples: Path, out: Path) -> None:
        self._service = service
        self._samples = samples
        self._out = out

    def play(self, program: Command, folder: Path, **environment: str) -> None:
        """Run the program, and compare what it prints and writes with what the service says."""
        network = ROOT / "examples/digits/digits.onnx"
        printed = run([*program, self._service.url, network, self._samples, self._out], folder, **environment)
        job_id, fits, flash_bytes, task = printed.split()[-4:]
        job = self._service.job(job_id)
        assert job["state"] == "succeeded", job["error"]
        result = job["result"]
        assert (fits.lower(), task) == (f"{result['fits']}".lower(), "classes")
        assert float(flash_bytes) == result["regions"][0]["required_bytes"] <= 18_000
        written = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self._out.iterdir()}
        assert written == {each["name"]: each["sha256"] for each in job["artifacts"]}
        assert {"network.json", "network.onnx", "host.py", "digits-c.zip"} <= written.keys()


@pytest.fixture
def main_job(service: LiveService, samples: Path, tmp_path: Path) -> MainJob:
    out = tmp_path / "out"
    out.mkdir()
    return MainJob(service, samples, out)
