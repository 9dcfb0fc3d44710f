"""Jobs that answer a question: what the request itself answers, with more time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import run
from api.client.client import Client
from tests.api.http.test_load import HARD, convolutions
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService, is_alive
from tests.api.small_files import DIGITS_ONNX, tiny_json

BUDGET = {"flash": "18kB", "ram": "2800"}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """Return a service that answers within twelve seconds, so that questions have a time limit of nine."""
    with LiveService(tmp_path_factory.mktemp("hasty") / "data", "--request-seconds=12") as running:
        yield running


@pytest.fixture(scope="module")
def digits(hasty: LiveService) -> str:
    return hasty.upload_network(DIGITS_ONNX.read_bytes(), DIGITS_ONNX.name)


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("fit", BUDGET | {"shadow_prices": True}),
        ("fit", {"flash": 100, "ram": 100}),
        ("pareto", {"ram": "2800", "axis": "flash", "points": 4}),
    ],
)
def test_a_job_answers_what_the_request_answers(
    hasty: LiveService, digits: str, kind: str, question: dict[str, Any]
) -> None:
    answer = hasty.http.post(f"/v1/networks/{digits}/{kind}", json=question).raise_for_status().json()
    job = hasty.finished(hasty.start_job(kind=kind, network_id=digits, time_limit_seconds=3600.0, **question))
    assert job["state"] == "succeeded", job
    assert job["kind"] == job["request"]["kind"] == kind
    assert job["result"] == answer | {"kind": kind}
    assert [each["name"] for each in job["artifacts"]] == ["report.json"]
    assert hasty.http.get(f"/v1/jobs/{job['id']}/artifacts/report.json").json() == job["result"]


def test_a_long_question_shows_the_time_that_is_left_and_can_be_cancelled(hasty: LiveService) -> None:
    hard = hasty.upload_network(convolutions(800))
    job_id = hasty.start_job(kind="fit", network_id=hard, **HARD | {"time_limit_seconds": 7200.0})
    job = hasty.wait_for(job_id, lambda job: bool(job["progress"]) and job["progress"]["phase"] == "solving")
    assert 7000 < job["progress"]["seconds_left"] <= 7200
    worker = hasty.worker(job_id)
    assert assert_problem(hasty.http.delete(f"/v1/networks/{hard}"), 409, "in-use")
    assert hasty.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    assert hasty.finished(job_id)["state"] == "cancelled"
    assert not is_alive(worker)


@pytest.mark.parametrize(
    ("changes", "status", "slug", "expected"),
    [
        ({"network_id": "0" * 64}, 404, "not-found", "does not exist"),
        ({"sensitivity": "fisher"}, 422, "invalid-request", "measured on samples"),
        ({"allowed_weight_bits": {"none": [8]}}, 422, "invalid-request", "none"),
        ({"max_cycles": 1000}, 422, "invalid-request", "needs the speed of the core"),
        ({"kind": "pareto", "axis": "flash", "method": "mixpc"}, 422, "invalid-request", "exact"),
        ({"kind": "pareto", "axis": "both", "points": 32}, 422, "invalid-request", "expected 2 to 31"),
        ({"dataset": "digits"}, 422, "invalid-request", "there is no such field"),
        ({"time_limit_seconds": 90_000.0}, 422, "invalid-request", "86,400"),
    ],
)
def test_a_bad_question_is_refused_before_a_job_exists(
    hasty: LiveService, digits: str, changes: dict[str, Any], status: int, slug: str, expected: str
) -> None:
    before = [job["id"] for job in hasty.listed("/v1/jobs")]
    body = {"kind": "fit", "network_id": digits, **BUDGET} | changes
    assert expected in assert_problem(hasty.http.post("/v1/jobs", json=body), status, slug)
    assert [job["id"] for job in hasty.listed("/v1/jobs")] == before


def test_the_client_asks_in_a_job_if_the_time_limit_is_too_long(hasty: LiveService, digits: str) -> None:
    before = [job["id"] for job in hasty.listed("/v1/jobs")]
    with Client(hasty.url) as client:
        assert client.fit(digits, flash="18kB", ram=2800, time_limit_seconds=3600.0) == client.fit(
            digits, flash="18kB", ram=2800
        )
        front = client.pareto(digits, ram=2800, points=4, time_limit_seconds=3600.0)
        assert front == client.pareto(digits, ram=2800, points=4)
    assert [job["id"] for job in hasty.listed("/v1/jobs")] == before, "the jobs were deleted"


def test_the_command_asks_in_a_job_too(hasty: LiveService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = tmp_path / "tiny.json"
    network.write_bytes(tiny_json())
    arguments = ["fit", str(network), "--flash=60kB", "--ram=9kB", "--time-limit=3600"]
    outputs = []
    for server in ([], ["--server", hasty.url]):
        assert run([*server, *arguments]) == 0
        outputs.append(capsys.readouterr())
    local, remote = outputs
    assert remote.out == local.out
    assert local.err == ""
    assert remote.err.startswith("bitbudget: job ")
