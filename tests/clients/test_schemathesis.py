"""Schemathesis sends requests by the OpenAPI document to a running service, and finds no failure.

All of its checks are enabled by default; tests/clients/schemathesis.toml has what is relaxed, with the reasons.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.live_service import LiveService
from tests.clients.conftest import DOCUMENT, HERE, ROOT, Command, run

pytestmark = pytest.mark.long

SETTINGS = ("--request-seconds=8", "--parse-seconds=8")
"""Settings of the service, so that a hard question ends soon; the document says them."""
OPEN = {"/healthz", "/readyz"}


def schemathesis(url: str, document: str | Path, folder: Path, *options: str) -> str:
    """Run Schemathesis, which must find nothing; the folder receives its report of failures."""
    command: Command = [Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml"]
    where: Command = [document, "--url", url, "--report", "ndjson", "--report-dir", folder]
    hooks = {"SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_hooks.py")}
    return run([*command, "--no-color", "run", *where, *options], folder, **hooks)


def uploaded(service: LiveService) -> None:
    """Upload the network whose identifier the document has as its example."""
    service.upload_network((ROOT / "examples/digits/digits.onnx").read_bytes(), "digits.onnx")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[LiveService]:
    with LiveService(tmp_path / "data", *SETTINGS) as service:
        uploaded(service)
        yield service


def test_without_keys(opened: LiveService, tmp_path: Path) -> None:
    schemathesis(opened.url, f"{opened.url}/openapi.json", tmp_path, "--max-examples=8", "--max-time=110")
    assert opened.http.get("/healthz").json()["status"] == "ok"


def key(data: Path, name: str, *options: str) -> str:
    """Make a key, and return it."""
    command = [sys.executable, "-m", "api.cli.main", "keys", "create", name, "--json", f"--data={data}", *options]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return str(json.loads(printed)["key"])


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[tuple[LiveService, str]]:
    """A service that needs keys, with a key that may do all."""
    data = tmp_path / "data"
    data.mkdir()
    scopes = [f"--scope={scope}" for scope in ("read", "solve", "train", "admin")]
    of_all = key(data, "all", *scopes)
    with LiveService(data, *SETTINGS) as service:
        service.http.headers["Authorization"] = f"Bearer {of_all}"
        uploaded(service)
        yield service, of_all


def document_with_keys(folder: Path) -> Path:
    """Return the document in which a key is not optional, as for this service, so that Schemathesis leaves it out."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    document["security"] = [{"bearer": []}]
    path = folder / "openapi.json"
    path.write_text(json.dumps(document))
    return path


def test_with_a_key(keyed: tuple[LiveService, str], tmp_path: Path) -> None:
    service, of_all = keyed
    options = ["--header", f"Authorization: Bearer {of_all}", "--phases=examples,fuzzing,stateful", "--max-time=60"]
    schemathesis(service.url, document_with_keys(tmp_path), tmp_path, *options)


@pytest.mark.parametrize("case", ["missing", "foreign", "expired"])
def test_without_a_valid_key(keyed: tuple[LiveService, str], tmp_path: Path, case: str) -> None:
    """Each operation but the open ones is refused; a key of another project sees nothing of this one."""
    service, _ = keyed
    header: list[str] = []
    if case == "foreign":
        scopes = [f"--scope={scope}" for scope in ("read", "solve", "train", "admin")]
        header = ["--header", f"Authorization: Bearer {key(service.data, case, '--project=other', *scopes)}"]
    elif case == "expired":
        old = key(service.data, case, "--days=0.00001")  # less than a second
        time.sleep(1.0)
        header = ["--header", f"Authorization: Bearer {old}"]
    time.sleep(2.5)  # after which the service has read its keys again
    schemathesis(service.url, document_with_keys(tmp_path), tmp_path, *header, "--phases=examples", "--max-examples=1")
    sent = dict([header[1].split(": ")]) if header else {}
    with httpx.Client(base_url=service.url, headers=sent) as client:
        network = client.get("/v1/networks/f719d86eaf3c0f1812ae862ec2f05d94612f68961cdd98a5a643ea0710174b55")
        listed = client.get("/v1/networks")
        assert all(client.get(path).status_code == 200 for path in OPEN)
    if case == "foreign":
        assert network.status_code == 404
        assert listed.json()["items"] == []
    else:
        assert (network.status_code, listed.status_code) == (401, 401)
        assert listed.headers["WWW-Authenticate"].startswith("Bearer")
