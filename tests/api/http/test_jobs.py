"""Jobs over HTTP: creation, progress, cancelling, and download of artifacts."""

from __future__ import annotations

import hashlib
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitbudget
from deploy.files import load
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import Answer, LiveService, is_alive, is_training
from tests.api.small_files import DIGITS_ONNX, tiny_dataset, tiny_json, wide_json
from tests.deploy.building.small_firmware import core_or_skip

BUDGET = {"flash": 400, "ram": 60, "method": "mixpc", "accounting": "paper"}
ENDLESS = {"epochs": 10_000, "threads": 1}


@pytest.fixture(scope="module")
def request_body(service: LiveService) -> dict[str, Any]:
    """Return the request for a job that finishes as soon as its process has started."""
    return {
        "network_id": service.upload_network(tiny_json()),
        "dataset": service.upload_dataset(tiny_dataset()),
        "training": {"epochs": 2, "batch_size": 32, "threads": 1},
        **BUDGET,
    }


@pytest.fixture(scope="module")
def finished(service: LiveService, request_body: dict[str, Any]) -> Answer:
    job = service.finished(service.start_job(**request_body))
    assert job["state"] == "succeeded", job
    return job


def test_a_network_that_exceeds_its_budget_after_the_training_is_an_answer(service: LiveService) -> None:
    """Conversion needs wide constants for a layer, and the budget is what the solver counts, to the last byte."""
    network_id = service.upload_network(wide_json(), "wide.json")
    asked = {
        "ram": "20kB", "optimization": "O2", "sensitivity": "weights",
        "allowed_weight_bits": {"*": [8]}, "allowed_activation_bits": {"*": [8]},
    }  # fmt: skip
    fitted = service.http.post(f"/v1/networks/{network_id}/fit", json={**asked, "flash": "100kB"}).json()
    flash_bytes = int(fitted["memory"]["flash_bytes"])
    body = {
        "network_id": network_id,
        "dataset": service.upload_dataset(tiny_dataset()),
        "training": {"epochs": 0, "threads": 1},
        **asked,
    }
    job = service.finished(service.start_job(**body, flash=flash_bytes))
    assert job["state"] == "succeeded", job
    result = job["result"]
    excess = result["memory"]["flash_bytes"] - flash_bytes
    assert result["fits"] is False
    assert [region["excess_bytes"] for region in result["regions"]] == [excess, 0]
    assert f"needs {excess:.0f} bytes of flash more than the budget" in result["overflow"]
    assert result["overflow"] in result["warnings"]
    names = {each["name"] for each in job["artifacts"]}
    assert {"report.json", "network.json", "weights.safetensors", "tiny-c.zip"} <= names
    for flash, fits in ((flash_bytes + excess, True), (flash_bytes + excess - 1, False)):
        asked_again = {**asked, "flash": int(flash), "wide_layers": ["first"]}
        assert service.http.post(f"/v1/networks/{network_id}/fit", json=asked_again).json()["fits"] is fits


def test_a_job_plays_the_main_job_on_real_digits(service: LiveService, tmp_path: Path) -> None:
    """A network and a budget are sent; the job returns bits, accuracy and a readable integer-only network."""
    network_id = service.upload_network(DIGITS_ONNX.read_bytes(), DIGITS_ONNX.name)
    budget = {"flash": "6kB", "ram": 1500, "method": "mixpc", "accounting": "paper"}
    fitted = service.http.post(f"/v1/networks/{network_id}/fit", json=budget).json()
    response = service.http.post(
        "/v1/jobs", json={"network_id": network_id, "dataset": "digits", "training": {"epochs": 1}, **budget}
    )
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    phases, epochs, revision = set(), set(), 0
    while job["state"] not in {"succeeded", "failed"}:
        watch = {"wait_seconds": 50, "after": job["revision"]}
        job = service.http.get(f"/v1/jobs/{job['id']}", params=watch).json()
        assert job["revision"] > revision, "the long poll answers with news"
        revision = job["revision"]
        if job["progress"]:
            phases.add(job["progress"]["phase"])
            epochs.add(job["progress"]["epochs"])
    assert job["state"] == "succeeded", job
    assert "training" in phases
    assert 1 in epochs
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    result = job["result"]
    assert {key: result[key] for key in fitted} == fitted
    assert len(set(result["weight_bits"].values())) > 1
    assert result["accuracy"]["float"] > 98
    assert result["accuracy"]["integer_only"] > 95
    assert result["warnings"] == job["progress"]["warnings"] == []
    assert "batch_size" in {each["option"] for each in result["recipe"]}
    for artifact in service.listed(f"/v1/jobs/{job['id']}/artifacts"):
        content = service.http.get(f"/v1/jobs/{job['id']}/artifacts/{artifact['name']}").content
        assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
        assert len(content) == artifact["size_bytes"]
        (tmp_path / artifact["name"]).write_bytes(content)
    integer_network = load(tmp_path)
    assert {layer.name for layer in integer_network.layers} >= set(result["weight_bits"])


def test_a_finished_job_keeps_its_result(service: LiveService, finished: Answer, request_body: dict[str, Any]) -> None:
    assert finished["request"]["flash"] == request_body["flash"]
    assert finished["request"]["training"]["range_learning_rate"] > 0, "defaults are filled in"
    assert finished["request"]["training"]["learning_rate"] is None, "chosen by the recipe"
    assert finished["error"] is None
    assert [epoch["epoch"] for epoch in finished["result"]["epochs"]] == [0, 1, 2]
    names = [artifact["name"] for artifact in finished["artifacts"]]
    assert names == [
        "deployment.json", "host.py", "memory.json", "network.json", "network.onnx", "report.json", "tiny-c.zip",
        "vectors.npz", "weights.safetensors",
    ]  # fmt: skip
    report = service.http.get(f"/v1/jobs/{finished['id']}/artifacts/report.json").json()
    assert report == finished["result"]
    listed = service.listed("/v1/jobs", state="succeeded")
    assert finished["id"] in [job["id"] for job in listed]
    left = {file for file in service.files() if file.startswith(f"jobs/{finished['id']}/")}
    artifacts = {f"attempt-1/artifacts/{name}" for name in names}
    assert {file.split("/", 2)[2] for file in left} == {"lock", "log.txt"} | artifacts


def test_artifacts_are_cached_by_their_hash(service: LiveService, finished: Answer) -> None:
    path = f"/v1/jobs/{finished['id']}/artifacts/weights.safetensors"
    etag = service.http.get(path).headers["etag"]
    assert etag.strip('"') == next(
        each["sha256"] for each in finished["artifacts"] if each["name"] == "weights.safetensors"
    )
    again = service.http.get(path, headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_the_c_files_are_those_that_the_command_writes(service: LiveService, finished: Answer, tmp_path: Path) -> None:
    fetched, emitted = tmp_path / "fetched", tmp_path / "emitted"
    fetched.mkdir()
    for artifact in finished["artifacts"]:
        path = f"/v1/jobs/{finished['id']}/artifacts/{artifact['name']}"
        (fetched / artifact["name"]).write_bytes(service.http.get(path).content)
    assert service.http.get(f"/v1/jobs/{finished['id']}/artifacts/tiny-c.zip").headers["content-type"] == (
        "application/zip"
    )
    bitbudget.emit(fetched, emitted)
    with zipfile.ZipFile(fetched / "tiny-c.zip") as archive:
        kept = {each.removeprefix("tiny/"): archive.read(each) for each in archive.namelist()}
    assert kept == {path: (emitted / path).read_bytes() for path in kept}
    assert {"src/tiny.c", "src/tiny_selftest.c", "CMakeLists.txt", "zephyr/module.yml"} <= kept.keys()


def test_the_deployment_has_a_schema(service: LiveService, finished: Answer) -> None:
    """The written file has the properties of the schema and no others, and the answer is its content."""
    job = f"/v1/jobs/{finished['id']}"
    written = service.http.get(f"{job}/artifacts/deployment.json").json()
    answer = service.http.get(f"{job}/deployment").json()
    assert answer == {"host_graph": None, **written}
    assert_problem(service.http.get(f"{job}/linked"), 404, "not-found")


def test_a_job_for_a_device_has_the_linked_bytes(service: LiveService, request_body: dict[str, Any]) -> None:
    core_or_skip("cortex-m4")
    body = {key: value for key, value in request_body.items() if key not in BUDGET}
    job = service.finished(service.start_job(**body, device="nrf52840", optimization="Os"))
    assert job["state"] == "succeeded", job
    artifacts = f"/v1/jobs/{job['id']}/artifacts"
    linked = service.http.get(f"{artifacts}/linked.json").json()
    assert service.http.get(f"/v1/jobs/{job['id']}/linked").json() == linked
    memory = service.http.get(f"{artifacts}/memory.json").json()
    assert (linked["device"], linked["core"], linked["optimization"]) == ("nrf52840", "cortex-m4", "Os")
    if linked["has_locked_toolchain"]:
        assert linked["is_good"]
        assert (linked["flash_bytes"], linked["ram_bytes"]) == (memory["flash_bytes"], memory["ram_bytes"])
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    names = [each["name"].replace("tiny-c.zip", "NAME-c.zip") for each in job["artifacts"]]
    assert [name for name in names if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", ["other.json", "../log.txt", "..%2flog.txt", "%2fetc%2fpasswd", "lock", "."])
def test_only_registered_artifacts_are_served(service: LiveService, finished: Answer, name: str) -> None:
    response = service.http.get(f"/v1/jobs/{finished['id']}/artifacts/{name}", follow_redirects=True)
    if name == ".":  # the client itself makes the path of the list out of it
        assert response.json()["items"] == finished["artifacts"]
        return
    assert_problem(response, 404, "not-found")


def test_a_repeated_request_makes_one_job(service: LiveService, request_body: dict[str, Any]) -> None:
    headers = {"idempotency-key": "pipeline 7, step 3"}
    jobs = service.listed("/v1/jobs")
    first = service.http.post("/v1/jobs", json=request_body, headers=headers)
    second = service.http.post("/v1/jobs", json=request_body, headers=headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert first.headers["location"] == second.headers["location"]
    assert len(service.listed("/v1/jobs")) == len(jobs) + 1
    other = service.http.post("/v1/jobs", json=request_body | {"flash": 500}, headers=headers)
    assert_problem(other, 409, "idempotency-key-reused")
    for key in ("", "x" * 256):
        bad = service.http.post("/v1/jobs", json=request_body, headers={"idempotency-key": key})
        assert_problem(bad, 422, "invalid-request")
    service.finished(first.json()["id"])
    assert service.http.post("/v1/jobs", json=request_body, headers=headers).json()["id"] == first.json()["id"]


def test_what_does_not_fit_is_refused_with_the_certificate(service: LiveService, request_body: dict[str, Any]) -> None:
    response = service.http.post("/v1/jobs", json=request_body | {"flash": 200})
    assert_problem(response, 422, "does-not-fit")
    certificate = response.json()["certificate"]
    assert certificate["budget"] == "flash"
    assert certificate["missing_bytes"] == certificate["least_bytes"] - 200 > 0


BAD_JOBS: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "unknown network": ({"network_id": "0" * 64}, 404, "not-found", "the network '000"),
    "unknown dataset": ({"dataset": "../../etc"}, 404, "not-found", "the dataset '../../etc' does not exist"),
    "a dataset of other shapes": ({"dataset": "digits"}, 422, "invalid-dataset", "train_x"),
    "negative budget": ({"ram": "-1"}, 422, "invalid-request", "ram is '-1'"),
    "unknown method": ({"method": "best"}, 422, "invalid-request", "body.method: expected one of: 'exact'"),
    "unknown field": ({"epochs": 3}, 422, "invalid-request", "body.epochs"),
    "unknown option": ({"training": {"epoch": 3}}, 422, "invalid-request", "body.training.epoch"),
    "negative epochs": (
        {"training": {"epochs": -1}},
        422,
        "invalid-request",
        "training.epochs: expected a whole number from 0 to 10,000; it is -1",
    ),
    "text for a number": ({"training": {"epochs": "3"}}, 422, "invalid-request", "body.training.epochs"),
    "no finite learning rate": ({"training": {"learning_rate": 1e99}}, 422, "invalid-request", "learning_rate"),
    "unknown regime": (
        {"training": {"regime": "wild"}},
        422,
        "invalid-request",
        "training.regime: expected one of",
    ),
}


@pytest.mark.parametrize("what", BAD_JOBS)
def test_a_bad_job_is_refused_and_leaves_nothing(service: LiveService, request_body: dict[str, Any], what: str) -> None:
    changes, status, slug, expected = BAD_JOBS[what]
    jobs = [job["id"] for job in service.listed("/v1/jobs")]
    response = service.http.post("/v1/jobs", json=request_body | changes)
    assert expected in assert_problem(response, status, slug)
    assert [job["id"] for job in service.listed("/v1/jobs")] == jobs


def test_labels_outside_the_classes_are_refused(service: LiveService, request_body: dict[str, Any]) -> None:
    dataset = service.upload_dataset(tiny_dataset(train_y=np.full(96, 3)))
    detail = assert_problem(
        service.http.post("/v1/jobs", json=request_body | {"dataset": dataset}), 422, "invalid-dataset"
    )
    assert "3" in detail


def test_a_network_without_weights_cannot_be_retrained(service: LiveService, request_body: dict[str, Any]) -> None:
    network_id = service.upload_network(tiny_json(with_weights=False))
    response = service.http.post("/v1/jobs", json=request_body | {"network_id": network_id})
    assert "has no weights" in assert_problem(response, 422, "invalid-network")


def test_jobs_that_are_not_there(service: LiveService) -> None:
    for response in (
        service.http.get("/v1/jobs/nothing"),
        service.http.post("/v1/jobs/nothing/cancel"),
        service.http.post("/v1/jobs/nothing/retry"),
        service.http.delete("/v1/jobs/nothing"),
        service.http.get("/v1/jobs/nothing/artifacts"),
        service.http.get("/v1/jobs/nothing/artifacts/report.json"),
    ):
        assert_problem(response, 404, "not-found")


def test_a_running_job_can_be_cancelled_and_leaves_nothing(service: LiveService, request_body: dict[str, Any]) -> None:
    job_id = service.start_job(**request_body | {"training": ENDLESS})
    waiting = service.start_job(**request_body | {"training": ENDLESS})
    service.wait_for(job_id, is_training(epoch=1))
    assert service.job(waiting)["state"] == "queued", "one job runs at a time"
    assert_problem(service.http.get(f"/v1/jobs/{job_id}/artifacts"), 409, "job-not-finished")
    assert_problem(service.http.delete(f"/v1/jobs/{job_id}"), 409, "job-not-finished")
    for kind, field in (("networks", "network_id"), ("datasets", "dataset")):
        assert_problem(service.http.delete(f"/v1/{kind}/{request_body[field]}"), 409, "in-use")
    assert service.http.post(f"/v1/jobs/{waiting}/cancel").json()["state"] == "cancelled"
    worker = service.worker(job_id)
    assert is_alive(worker)
    response = service.http.post(f"/v1/jobs/{job_id}/cancel")
    assert response.status_code == 202
    started = time.monotonic()
    job = service.http.get(f"/v1/jobs/{job_id}?wait_seconds=20").json()
    assert time.monotonic() - started < 10
    assert job["state"] == "cancelled"
    assert not is_alive(worker)
    assert (job["result"], job["error"], job["artifacts"]) == (None, None, [])
    left = {file for file in service.files() if job_id in file}
    assert left == {f"jobs/{job_id}/lock", f"jobs/{job_id}/log.txt"}
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelled", "cancelling twice is allowed"
    assert_problem(service.http.get(f"/v1/jobs/{job_id}/artifacts"), 404, "not-found")
    for _ in range(2):
        retried = service.http.post(f"/v1/jobs/{job_id}/retry")
        assert (retried.status_code, retried.json()["id"]) == (202, job_id), "retrying twice is allowed"
    service.wait_for(job_id, is_training(epoch=1))
    service.http.post(f"/v1/jobs/{job_id}/cancel")
    assert service.finished(job_id)["state"] == "cancelled"
    assert service.http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert_problem(service.http.get(f"/v1/jobs/{job_id}"), 404, "not-found")
    assert not any(job_id in file for file in service.files())


def test_a_finished_job_cannot_be_cancelled(service: LiveService, finished: Answer) -> None:
    for action in ("cancel", "retry"):
        assert_problem(service.http.post(f"/v1/jobs/{finished['id']}/{action}"), 409, "job-finished")
    assert service.job(finished["id"]) == finished


def test_the_service_never_loads_torch(service: LiveService, finished: Answer) -> None:
    """Only the workers of the service load torch, after all requests of the other tests too."""
    assert finished["result"]["accuracy"]
    mapped = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "libpython" in mapped or "python" in mapped
    assert "libtorch" not in mapped
