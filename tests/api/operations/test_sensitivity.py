"""Sensitivities over HTTP and by the command: measured in a job, cancelled, and used by a fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import run
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import Answer, LiveService
from tests.api.small_files import DIGITS_ONNX, tiny_dataset, tiny_json

BUDGET = {"flash": 5600, "ram": 2000}


@pytest.fixture(scope="module")
def network_id(service: LiveService) -> str:
    return service.upload_network(tiny_json())


@pytest.fixture(scope="module")
def dataset(service: LiveService) -> str:
    return service.upload_dataset(tiny_dataset())


@pytest.fixture(scope="module")
def measured(service: LiveService, network_id: str, dataset: str) -> Answer:
    response = service.http.post(f"/v1/networks/{network_id}/sensitivity", json={"dataset": dataset, "samples": 32})
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/v1/jobs/{response.json()['id']}"
    job = service.finished(response.json()["id"])
    assert job["state"] == "succeeded", job
    return job


def test_a_job_measures(service: LiveService, measured: Answer, network_id: str, tmp_path: Path) -> None:
    result = measured["result"]
    assert measured["kind"] == measured["request"]["kind"] == "sensitivity"
    assert (result["sensitivity"], result["samples"], result["network"]["id"]) == ("fisher", 32, network_id)
    assert set(result["weights"]) == {"first", "last"}
    assert set(result["activations"]) == {"input", "first", "scores"}
    for row in (*result["weights"].values(), *result["activations"].values()):
        assert row["8"] <= row["4"] <= row["2"]
    assert result["weights"]["first"]["2"] > 0
    assert [each["name"] for each in measured["artifacts"]] == ["report.json", "sensitivity.json"]
    table = service.http.get(f"/v1/jobs/{measured['id']}/artifacts/sensitivity.json").json()
    assert table["weights"] == result["weights"]
    listed = service.listed("/v1/jobs")
    assert [job["kind"] for job in listed if job["id"] == measured["id"]] == ["sensitivity"]
    (tmp_path / "table.json").write_text(json.dumps(table))


def test_a_fit_takes_the_jobs_table(service: LiveService, measured: Answer, network_id: str, dataset: str) -> None:
    request: dict[str, Any] = {**BUDGET, "sensitivity": {"job_id": measured["id"]}}
    answer = service.http.post(f"/v1/networks/{network_id}/fit", json=request).json()
    assert (answer["sensitivity"], answer["gap"]) == ("fisher", 0)
    table = service.http.get(f"/v1/jobs/{measured['id']}/artifacts/sensitivity.json").json()
    inline = service.http.post(f"/v1/networks/{network_id}/fit", json={**BUDGET, "sensitivity": table}).json()
    assert inline == answer
    for operation in ("devices", "pareto"):
        body = {"sensitivity": {"job_id": measured["id"]}} | ({"ram": 2000} if operation == "pareto" else {})
        assert service.http.post(f"/v1/networks/{network_id}/{operation}", json=body).json()["sensitivity"] == "fisher"
    job = service.start_job(network_id=network_id, dataset=dataset, training={"epochs": 0}, **request)
    assert service.finished(job)["result"]["weight_bits"] == answer["weight_bits"]


def test_a_training_job_measures_by_itself(service: LiveService, network_id: str, dataset: str) -> None:
    """A training job measures on its training set, with the same result as a sensitivity job."""
    job = service.finished(
        service.start_job(network_id=network_id, dataset=dataset, training={"epochs": 0}, flash=5600, ram=2000)
    )
    assert (job["result"]["method"], job["result"]["sensitivity"]) == ("exact", "fisher")
    assert job["result"]["gap"] == 0
    response = service.http.post(f"/v1/networks/{network_id}/sensitivity", json={"dataset": dataset})
    alone = service.finished(response.json()["id"])
    request = {**BUDGET, "sensitivity": {"job_id": alone["id"]}}
    answer = service.http.post(f"/v1/networks/{network_id}/fit", json=request).json()
    assert answer["objective"] == job["result"]["objective"]


def test_measuring_can_be_cancelled_and_leaves_nothing(service: LiveService) -> None:
    network_id = service.upload_network(DIGITS_ONNX.read_bytes(), DIGITS_ONNX.name)
    request = {"dataset": "digits", "measure": "hessian", "samples": 1437, "probes": 100}
    job_id = service.http.post(f"/v1/networks/{network_id}/sensitivity", json=request).json()["id"]
    running = service.wait_for(
        job_id, lambda job: bool(job["progress"]) and "hessian" in job["progress"]["phase"] and job["progress"]["steps"]
    )
    assert running["progress"]["steps"] > 1
    named = service.http.post(
        f"/v1/networks/{network_id}/fit", json={"flash": "20kB", "ram": "4kB", "sensitivity": {"job_id": job_id}}
    )
    assert_problem(named, 409, "job-not-finished")
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    job = service.http.get(f"/v1/jobs/{job_id}?wait_seconds=20").json()
    assert (job["state"], job["artifacts"], job["result"]) == ("cancelled", [], None)
    gone = service.http.post(
        f"/v1/networks/{network_id}/fit", json={"flash": "20kB", "ram": "4kB", "sensitivity": {"job_id": job_id}}
    )
    assert_problem(gone, 404, "not-found")


def test_tables_that_cannot_be_taken(service: LiveService, measured: Answer, network_id: str, dataset: str) -> None:
    def fit(network: str, named: object) -> Any:
        return service.http.post(f"/v1/networks/{network}/fit", json={**BUDGET, "sensitivity": named})

    assert_problem(fit(network_id, {"job_id": "nothing"}), 404, "not-found")
    other = service.upload_network(tiny_json(with_weights=False))
    assert "another network" in assert_problem(fit(other, {"job_id": measured["id"]}), 422, "invalid-request")
    assert "single key" in assert_problem(fit(network_id, {"job_id": 5}), 422, "invalid-request")
    assert "measured on samples" in assert_problem(fit(network_id, "measured"), 422, "invalid-request")
    training = service.start_job(network_id=network_id, dataset=dataset, training={"epochs": 0}, **BUDGET)
    service.finished(training)
    assert "does not measure sensitivities" in assert_problem(
        fit(network_id, {"job_id": training}), 422, "invalid-request"
    )
    no_weights = service.http.post(f"/v1/networks/{other}/sensitivity", json={"dataset": dataset})
    assert_problem(no_weights, 422, "invalid-network")


@pytest.mark.parametrize(
    ("changes", "status", "slug", "expected"),
    [
        (
            {"measure": "guess"},
            422,
            "invalid-request",
            "measure: expected one of: 'fisher', 'hessian' or 'measured'",
        ),
        ({"scheme": "mine"}, 422, "invalid-request", "body.scheme: expected one of: "),
        ({"samples": 0}, 422, "invalid-request", "body.samples: expected a whole number from 1 to 100,000; it is 0"),
        ({"dataset": "digits"}, 422, "invalid-dataset", "train_x"),
        ({"dataset": "nothing"}, 404, "not-found", "the dataset 'nothing' does not exist"),
        ({"epochs": 3}, 422, "invalid-request", "body.epochs"),
    ],
)
def test_bad_requests(
    service: LiveService, network_id: str, dataset: str, changes: dict[str, Any], status: int, slug: str, expected: str
) -> None:
    response = service.http.post(f"/v1/networks/{network_id}/sensitivity", json={"dataset": dataset} | changes)
    assert expected in assert_problem(response, status, slug)


def test_the_command_writes_a_table_that_a_fit_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.json").write_bytes(tiny_json())
    (tmp_path / "data.npz").write_bytes(tiny_dataset())
    network, data, table = (str(tmp_path / name) for name in ("tiny.json", "data.npz", "table.json"))
    assert run(["sensitivity", network, "--data", data, "--out", table, "--samples", "20"]) == 0
    output = capsys.readouterr()
    assert f"table written to {table}" in output.out
    assert "measuring sensitivity (fisher)" in output.err
    assert run(["fit", network, "--flash=5600", "--ram=2000", "--sensitivity", table, "--json"]) == 0
    from_table = json.loads(capsys.readouterr().out)
    assert from_table["sensitivity"] == "fisher"
    for measure in ("fisher", "hessian", "measured"):
        arguments = ["fit", network, "--flash=5600", "--ram=2000", "--data", data, "--sensitivity", measure, "--json"]
        assert run(arguments) == 0
        output = capsys.readouterr()
        assert json.loads(output.out)["sensitivity"] == measure
        assert output.err == ""
    assert run(["sensitivity", network, "--data", data, "--out", str(tmp_path / "no" / "where")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("bitbudget: cannot write")
    assert not list(tmp_path.glob(".bitbudget-*"))


def test_sensitivities_of_zero_prove_nothing_and_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.json").write_bytes(tiny_json())
    (tmp_path / "data.npz").write_bytes(tiny_dataset())
    network, data, table = (str(tmp_path / name) for name in ("tiny.json", "data.npz", "table.json"))
    assert run(["sensitivity", network, "--data", data, "--out", table, "--samples", "20"]) == 0
    capsys.readouterr()
    measured = json.loads(Path(table).read_text())
    zeros = {
        part: {name: dict.fromkeys(row, 0) for name, row in measured[part].items()}
        for part in ("weights", "activations")
    }
    Path(table).write_text(json.dumps(measured | zeros | {"weights_by_scheme": {}}))
    arguments = ["fit", network, "--flash=5600", "--ram=2000", "--sensitivity", table]
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert "every sensitivity (fisher) is 0: the measure does not distinguish any bits" in text
    assert "proven minimal" not in text
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sensitivity_is_zero"] is True
