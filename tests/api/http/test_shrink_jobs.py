"""Jobs of kind shrink over HTTP: the search, its progress, its artifacts, cancelling and continuing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import Answer, LiveService, is_alive, kill
from tests.api.small_files import npz, tiny_dataset, tiny_json

SEARCH = {"kind": "shrink", "max_loss": 5.0, "points": 8, "accounting": "paper", "sensitivity": "weights"}
QUICK = {"threads": 1, "post_training": {"rounding_steps": 4}}
LONG = {"threads": 1, "epochs": 10_000, "batch_size": 32}


@pytest.fixture(scope="module")
def request_body(service: LiveService) -> dict[str, Any]:
    """Return the request for a search that finishes as soon as its process has started."""
    return {
        "network_id": service.upload_network(tiny_json()),
        "dataset": service.upload_dataset(tiny_dataset()),
        "training": QUICK,
        **SEARCH,
    }


@pytest.fixture(scope="module")
def finished(service: LiveService, request_body: dict[str, Any]) -> Answer:
    job = service.finished(service.start_job(**request_body))
    assert job["state"] == "succeeded", job
    return job


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[LiveService]:
    with LiveService(tmp_path / "data") as service:
        yield service


def is_in_point(number: int, epoch: int = 0) -> Any:
    def holds(job: Answer) -> bool:
        progress = job["progress"] or {}
        return progress.get("point") == number and (progress["epoch"] or 0) >= epoch

    return holds


def test_a_search_returns_its_points_and_the_files_of_the_chosen_one(service: LiveService, finished: Answer) -> None:
    assert finished["kind"] == finished["request"]["kind"] == finished["result"]["kind"] == "shrink"
    assert finished["request"]["max_loss"] == 5.0
    assert finished["request"]["training"]["epochs"] == 0
    assert finished["request"]["training"]["post_training"]["rounding"] == "learned"
    result = finished["result"]
    assert result["chosen"] is not None
    chosen = result["points"][result["chosen"]]
    assert chosen["loss"] <= 5
    assert result["result"]["weight_bits"] == chosen["weight_bits"]
    assert finished["progress"]["point"] <= finished["progress"]["points"]
    names = {each["name"] for each in finished["artifacts"]}
    assert {"report.json", "curve.svg", "weights.safetensors", "network.json", "network.onnx"} <= names
    for each in finished["artifacts"]:
        response = service.http.get(f"/v1/jobs/{finished['id']}/artifacts/{each['name']}")
        assert len(response.content) == each["size_bytes"]
    picture = service.http.get(f"/v1/jobs/{finished['id']}/artifacts/curve.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    report = service.http.get(f"/v1/jobs/{finished['id']}/artifacts/report.json").json()
    assert report == result
    listed = service.listed("/v1/jobs")
    assert next(job for job in listed if job["id"] == finished["id"])["kind"] == "shrink"
    give_up_at = time.monotonic() + 10  # the worker deletes the checkpoints after it has written the result
    while left := {file for file in service.files() if "checkpoint" in file or ".bitbudget-" in file}:
        assert time.monotonic() < give_up_at, left
        time.sleep(0.05)


def test_a_search_in_which_nothing_keeps_the_limit_succeeds_and_says_so(
    service: LiveService, request_body: dict[str, Any]
) -> None:
    dataset = service.upload_dataset(npz(train_x=_samples(), test_x=_samples(30)))
    body = {key: value for key, value in request_body.items() if key != "max_loss"}
    training = {**QUICK, "task": "float_outputs"}
    job = service.finished(
        service.start_job(**body | {"dataset": dataset, "min_quality": 190.0, "training": training, "points": 2})
    )
    assert job["state"] == "succeeded", job
    assert (job["result"]["outcome"], job["result"]["result"]) == ("none_fits", None)
    assert {each["name"] for each in job["artifacts"]} == {"report.json", "curve.svg"}


def test_a_repeated_request_makes_one_search(service: LiveService, request_body: dict[str, Any]) -> None:
    headers = {"idempotency-key": "shrink once"}
    first = service.http.post("/v1/jobs", json=request_body, headers=headers)
    second = service.http.post("/v1/jobs", json=request_body, headers=headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    other = service.http.post("/v1/jobs", json=request_body | {"max_loss": 1}, headers=headers)
    assert_problem(other, 409, "idempotency-key-reused")
    service.finished(first.json()["id"])


@pytest.mark.parametrize(
    ("changes", "status", "slug", "expected"),
    [
        ({"max_loss": None}, 422, "invalid-request", "neither is given"),
        ({"min_quality": 30}, 422, "invalid-request", "both are given"),
        ({"max_loss": -1}, 422, "invalid-request", "body.max_loss: expected a number from 0 to 1,000; it is -1"),
        ({"max_loss": None, "min_quality": 30}, 422, "invalid-request", "min_quality is given, and the task is"),
        ({"training": {"task": "float_outputs"}}, 422, "invalid-request", "give min_quality"),
        ({"kind": "shrinking"}, 422, "invalid-request", "kind: expected one of: 'training', 'shrink'"),
        ({"kind": ["shrink"]}, 422, "invalid-request", "kind: expected one of"),
        ({"kind": "sensitivity"}, 422, "invalid-request", "/v1/networks/ID/sensitivity"),
        ({"points": 1}, 422, "invalid-request", "body.points: expected a whole number from 2 to 1,000"),
        ({"training": {"epochs": -1}}, 422, "invalid-request", "body.training.epochs"),
        ({"training": {"requantization": "thresholds"}}, 422, "invalid-request", "would change the bytes"),
        ({"method": "mixpl"}, 422, "invalid-request", "expected exact"),
        ({"flash": 100}, 422, "does-not-fit", "flash"),
        ({"dataset": "digits"}, 422, "invalid-dataset", "train_x"),
        ({"network_id": "0" * 64}, 404, "not-found", "the network '000"),
    ],
)
def test_a_bad_search_is_refused_and_leaves_nothing(
    service: LiveService, request_body: dict[str, Any], changes: dict[str, Any], status: int, slug: str, expected: str
) -> None:
    jobs = [job["id"] for job in service.listed("/v1/jobs")]
    response = service.http.post("/v1/jobs", json=request_body | changes)
    assert expected in assert_problem(response, status, slug)
    assert [job["id"] for job in service.listed("/v1/jobs")] == jobs


def test_a_training_must_not_have_the_fields_of_a_search(service: LiveService, request_body: dict[str, Any]) -> None:
    body = {key: value for key, value in request_body.items() if key != "kind"}
    response = service.http.post("/v1/jobs", json=body)
    assert "body.max_loss: there is no such field" in assert_problem(response, 422, "invalid-request")


def test_a_running_search_can_be_cancelled_and_leaves_nothing(
    service: LiveService, request_body: dict[str, Any]
) -> None:
    job_id = service.start_job(**request_body | {"training": LONG})
    service.wait_for(job_id, is_in_point(1, epoch=2))
    worker = service.worker(job_id)
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    job = service.http.get(f"/v1/jobs/{job_id}?wait_seconds=20").json()
    assert (job["state"], job["result"], job["artifacts"]) == ("cancelled", None, [])
    assert not is_alive(worker)
    assert {file for file in service.files() if job_id in file} == {f"jobs/{job_id}/lock", f"jobs/{job_id}/log.txt"}


def test_a_killed_worker_continues_in_the_middle_of_its_point(own_service: LiveService) -> None:
    service = own_service
    job_id = service.start_job(
        network_id=service.upload_network(tiny_json()),
        dataset=service.upload_dataset(tiny_dataset()),
        **SEARCH | {"max_loss": 100.0, "points": 3},
        training={**LONG, "epochs": 60},
    )
    in_second = is_in_point(2, epoch=10)
    service.wait_for(job_id, lambda job: in_second(job) and service.attempt_with_saved_work(job_id) == 1)
    first, progress = service.worker(job_id), service.job(job_id)["progress"]
    reached = (progress["point"], progress["epoch"])
    kill(first)
    seen = set()

    def collect(job: Answer) -> bool:
        now = job["progress"]
        if job["state"] == "running" and service.worker(job_id) != first and now["phase"] in {"training", "validating"}:
            seen.add((now["point"], now["epoch"]))
        return bool(job["state"] == "succeeded")

    job = service.wait_for(job_id, collect)
    assert min(seen) >= (reached[0], reached[1] - 1), "neither finished points nor finished epochs are repeated"
    points = job["result"]["points"]
    assert len(points) == len({point["folder"] for point in points}) >= 2
    (stored,) = (service.data / "jobs" / job_id).glob("attempt-*/artifacts")
    for point in points:
        epochs = json.loads((stored / point["folder"] / "report.json").read_text())["epochs"]
        assert [each["epoch"] for each in epochs] == list(range(61))


def _samples(count: int = 96) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(1).standard_normal((count, 1, 4, 4)).astype(np.float32)
