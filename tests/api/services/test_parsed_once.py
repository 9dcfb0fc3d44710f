"""A question is parsed once; what was computed for a kept network is not computed again, after a restart either."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import httpx
import pytest

from api.execution import tasks
from api.execution.task_requests import DERIVE, PARSE, SOLVE, SolveTask
from api.execution.workers import Workers
from api.operations import question
from api.schemas.fit import FitRequest
from network import reading
from network.devices.catalogue import device_named, device_of
from network.json_reading.description import read_json, write_json
from network.memory.books import accounting_for
from network.sensitivity.from_weights import weight_sensitivity
from network.sensitivity.table import sensitivity_to_json
from tests.api.local_service import local_service
from tests.api.small_files import DIGITS_ONNX, tiny_dataset, tiny_json

COUNTED: Final[dict[CodeType, str]] = {
    device_of.__code__: "device",
    device_named.__code__: "device",
    question._budget.__code__: "budget",
    accounting_for.__code__: "rule book",
    reading.read_network.__code__: "network file",
    weight_sensitivity.__code__: "table",
}
DEVICE: Final = {"name": "own", "core": "cortex-m4", "flash": "60kB", "ram": "20kB", "clock_hz": 1_000_000}
ONE_REQUEST: Final = {"device": 1, "budget": 1, "rule book": 2}
"""A rule book for each optimization that the solver may choose."""


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count calls by a profiler, so that it does not matter under which name a module has imported the function."""
    counts: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in COUNTED:
            counts[COUNTED[frame.f_code]] += 1

    sys.setprofile(count)
    try:
        yield counts
    finally:
        sys.setprofile(None)


def request_of(method: str) -> dict[str, object]:
    request: dict[str, object] = {"device": DEVICE, "ram": "9kB", "method": method}
    return request | ({"max_milliseconds": 1000, "shadow_prices": True} if method == "exact" else {})


@pytest.mark.parametrize("method", ["exact", "mixpc"])
def test_a_solve_parses_everything_once_and_reads_no_weights(method: str) -> None:
    network = read_json(tiny_json(), "tiny")
    request = FitRequest.model_validate(request_of(method))
    table = sensitivity_to_json(weight_sensitivity(network, request.only_scheme))
    task = SolveTask(
        kind="fit",
        network_id="0" * 64,
        structure=write_json(network, with_weights=False),
        table=table if method == "exact" else None,
        request=request.model_dump_json(),
    )
    with counted() as counts:
        answer = tasks.solve(task.model_dump_json().encode())
    assert answer.startswith(b'1{"fits":true')
    assert counts == ONE_REQUEST


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the name of each task that a service of this process starts."""
    names: list[str] = []

    def listed(run: Any) -> Any:
        async def listing(workers: Workers, task: str, *arguments: Any, **limits: Any) -> bytes:
            names.append(task)
            answer: bytes = await run(workers, task, *arguments, **limits)
            return answer

        return listing

    for each in ("read_network", "read_dataset", "solve"):
        monkeypatch.setattr(Workers, each, listed(getattr(Workers, each)))
    return names


def fitted(client: httpx.Client, request: dict[str, object]) -> Any:
    (network,) = client.get("/v1/networks").raise_for_status().json()["items"]
    response: httpx.Response = client.post(f"/v1/networks/{network['id']}/fit", json=request)
    return response.raise_for_status().json()


@contextmanager
def service(data: Path) -> Iterator[httpx.Client]:
    with local_service(data) as (_, client):
        yield client


@pytest.mark.parametrize("method", ["exact", "mixpc"])
def test_the_next_service_computes_nothing_again(tmp_path: Path, started: list[str], method: str) -> None:
    with service(tmp_path) as client:
        client.post("/v1/networks", content=tiny_json()).raise_for_status()
        first = fitted(client, request_of(method))
        assert started == [PARSE, *([DERIVE] if method == "exact" else []), SOLVE]
        assert fitted(client, request_of(method)) == first
    del started[:]
    with service(tmp_path) as client:
        assert fitted(client, request_of(method)) == first
        assert started == [], "the answer was kept"
        assert fitted(client, request_of(method) | {"ram": "8kB"})["budget"]["ram_bytes"] == 8000
        assert started == [SOLVE], "layers and sensitivities were kept"


def test_files_that_were_computed_may_be_deleted_or_damaged(tmp_path: Path, started: list[str]) -> None:
    with service(tmp_path) as client:
        client.post("/v1/networks", content=tiny_json()).raise_for_status()
        first = fitted(client, request_of("exact"))
        for damage in (Path.unlink, lambda path: path.write_text("{"), lambda path: path.write_bytes(b"\xff")):
            for pattern in ("answers/*.json", "derived/*/structure*", "derived/*/weights*"):
                (path,) = tmp_path.glob(pattern)
                path.unlink() if pattern.startswith("answers") else damage(path)
            assert fitted(client, request_of("exact")) == first
        del started[:]
        assert fitted(client, request_of("exact")) == first
        assert started == []


def test_a_network_that_is_uploaded_again_under_another_name_has_no_old_answers(tmp_path: Path) -> None:
    with service(tmp_path) as client:
        for name in ("first", "second"):
            content = DIGITS_ONNX.read_bytes()
            network_id = client.post(f"/v1/networks?name={name}", content=content).raise_for_status().json()["id"]
            assert fitted(client, {"flash": "60kB", "ram": "9kB"})["network"]["name"] == name
            assert list(tmp_path.glob("answers/*.json"))
            client.delete(f"/v1/networks/{network_id}").raise_for_status()
            assert not list(tmp_path.glob("answers/*.json"))


def test_a_job_is_checked_without_its_dataset(tmp_path: Path, started: list[str]) -> None:
    with service(tmp_path) as client:
        network_id = client.post("/v1/networks", content=tiny_json()).raise_for_status().json()["id"]
        dataset_id = client.post("/v1/datasets", content=tiny_dataset()).raise_for_status().json()["id"]
        (file,) = tmp_path.glob("datasets/*")
        file.write_bytes(b"")  # who reads it fails
        request = {"network_id": network_id, "dataset": dataset_id, "flash": "60kB", "ram": "9kB"}
        del started[:]
        assert client.post("/v1/jobs", json=request).status_code == 202
        assert started == [DERIVE, SOLVE, "check dataset"]
        again = request | {"training": {"epochs": 1}}
        assert client.post("/v1/jobs", json=again).status_code == 202
        assert started == [DERIVE, SOLVE, "check dataset", "check dataset"], "the fit does not depend on the training"
        other = client.post("/v1/networks", content=DIGITS_ONNX.read_bytes()).raise_for_status().json()["id"]
        refused = client.post("/v1/jobs", json=request | {"network_id": other})
        assert refused.status_code == 422
        assert refused.json()["type"] == "/problems/invalid-dataset"
