"""Jobs whose dataset is 'none': inputs are made from the network, and no training is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.cli.main import run
from qat.synthesis.dataset import NOT_MEASURED
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_json

BUDGET = {"flash": 400, "ram": 60, "method": "mixpc", "accounting": "paper"}


def test_a_job_without_samples_quantizes_the_network(service: LiveService) -> None:
    network_id = service.upload_network(tiny_json(), "tiny.json")
    response = service.http.post("/v1/jobs", json={"network_id": network_id, "dataset": "none:-4:4", **BUDGET})
    assert response.status_code == 202
    job = service.finished(response.json()["id"])
    assert job["state"] == "succeeded", job
    result = job["result"]
    assert (result["without_samples"], result["quality"], result["accuracy"]) == (True, None, None)
    assert result["warnings"] == job["progress"]["warnings"] == [NOT_MEASURED]
    assert result["fits"] is True


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training": {"epochs": 1}}, "epochs is 1, and the dataset is 'none'"),
        ({"kind": "shrink", "max_loss": 1}, "shrink judges networks by their quality on real samples"),
        ({"dataset": "none:2:1"}, "none:2:1 is not a dataset without samples"),
    ],
)
def test_a_job_that_needs_samples_is_refused(service: LiveService, changes: dict[str, Any], expected: str) -> None:
    network_id = service.upload_network(tiny_json(), "tiny.json")
    asked = {"network_id": network_id, "dataset": "none", **BUDGET, **changes}
    if changes.get("kind") == "shrink":
        del asked["method"]
    assert expected in assert_problem(service.http.post("/v1/jobs", json=asked), 422, "invalid-request")


def test_the_description_says_that_there_are_no_samples(service: LiveService) -> None:
    described = service.http.get("/v1/datasets/none:bytes").raise_for_status().json()
    assert (described["name"], described["origin"], described["sample_type"]) == ("none:bytes", "built-in", "uint8")
    assert (described["train_samples"], described["test_samples"], described["classes"]) == (0, 0, None)
    assert_problem(service.http.get("/v1/datasets/none:byte"), 422, "invalid-request")


def test_the_command_gives_the_work_to_the_service(
    service: LiveService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.json").write_bytes(tiny_json())
    options = ["--data=none:-4:4", f"--out={tmp_path / 'out'}", "--epochs=1"]
    rule = ["--flash=400", "--ram=60", "--method=mixpc", "--accounting=paper"]
    assert run([f"--server={service.url}", "train", str(tmp_path / "tiny.json"), *options, *rule]) == 2
    assert "epochs is 1, and the dataset is 'none'" in " ".join(capsys.readouterr().err.split())
