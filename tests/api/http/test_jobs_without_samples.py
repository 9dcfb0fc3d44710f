"""Jobs whose dataset is 'none': inputs are made from the network, and no training is accepted."""

from __future__ import annotations

from typing import Any

import pytest

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


def test_there_is_no_dataset_of_that_name_to_read(service: LiveService) -> None:
    assert_problem(service.http.get("/v1/datasets/none"), 404, "not-found")
