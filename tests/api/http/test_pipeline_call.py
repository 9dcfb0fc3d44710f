"""POST /v1/pipeline: one call from a network and a budget to files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.api.http.test_uploads import assert_problem
from tests.api.local_service import local_service
from tests.api.small_files import tiny_dataset, tiny_json

BUDGET: Final = {"flash": 400, "ram": 60, "method": "mixpc", "accounting": "paper"}
TRAINING: Final = BUDGET | {"kind": "training", "training": {"epochs": 1, "batch_size": 32, "threads": 1}}
FIT: Final = BUDGET | {"kind": "fit"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with local_service(tmp_path_factory.mktemp("pipeline") / "data") as (_, opened):
        yield opened


def call(
    client: httpx.Client,
    request: dict[str, Any] | str,
    dataset: bytes | None = None,
    network: bytes | None = None,
    key: str | None = None,
    **query: Any,
) -> httpx.Response:
    text = request if isinstance(request, str) else json.dumps(request)
    files: list[tuple[str, Any]] = [("request", (None, text.encode(), "application/json"))]
    files.append(("network", ("my network.json", tiny_json() if network is None else network)))
    if dataset is not None:
        files.append(("dataset", ("my data.npz", dataset)))
    headers = {} if key is None else {"idempotency-key": key}
    return client.post("/v1/pipeline", files=files, params=query, headers=headers)


def test_one_call_returns_a_finished_job_with_its_files(client: httpx.Client) -> None:
    response = call(client, TRAINING, tiny_dataset(), wait_seconds=120)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["kind"] == "training"
    assert answer["job"]["state"] == "succeeded"
    assert answer["job"]["result"]["fits"] is True
    assert response.headers["location"] == answer["links"]["job"] == f"/v1/jobs/{answer['job']['id']}"
    assert (answer["network"]["name"], answer["fit"]) == ("tiny", None), "the name in the JSON"
    hashes = {each["name"]: each["sha256"] for each in answer["job"]["artifacts"]}
    assert answer["links"]["artifacts"].keys() == hashes.keys()
    for name, path in answer["links"]["artifacts"].items():
        assert hashlib.sha256(client.get(path).content).hexdigest() == hashes[name]
    assert client.get(answer["links"]["network"]).json()["id"] == answer["network"]["id"]
    assert client.get(answer["links"]["dataset"]).json()["name"] == "my data"
    assert client.get(answer["links"]["job"]).json() == answer["job"]


def test_the_same_call_with_a_key_is_the_same_job(client: httpx.Client) -> None:
    first = call(client, TRAINING, tiny_dataset(90), key="build 1")
    assert first.status_code == 202, first.text
    assert first.json()["links"]["artifacts"] == {}
    again = call(client, TRAINING, tiny_dataset(90), key="build 1", wait_seconds=120)
    assert (again.status_code, again.json()["job"]["id"]) == (200, first.json()["job"]["id"])
    for changed in ({"request": TRAINING | {"flash": 500}}, {"dataset": tiny_dataset(91)}):
        given: dict[str, Any] = {"request": TRAINING, "dataset": tiny_dataset(90)} | changed
        assert_problem(call(client, key="build 1", **given), 409, "idempotency-key-reused")
    other = call(client, TRAINING, tiny_dataset(90), key="build 2")
    assert other.json()["job"]["id"] != first.json()["job"]["id"]
    client.post(f"{other.json()['links']['job']}/cancel")


def test_without_training_the_answer_is_that_of_a_fit(client: httpx.Client) -> None:
    answer = call(client, FIT).json()
    assert (answer["kind"], answer["job"], answer["links"]["dataset"]) == ("fit", None, None)
    assert answer["fit"] == client.post(f"{answer['links']['network']}/fit", json=BUDGET).json()
    nothing = call(client, FIT | {"flash": 100}).json()
    assert nothing["fit"]["fits"] is False
    assert nothing["fit"]["certificate"]["conflicting"]


def test_a_job_that_cannot_fit_is_refused_with_the_certificate(client: httpx.Client) -> None:
    response = call(client, TRAINING | {"flash": 100}, tiny_dataset())
    assert_problem(response, 422, "does-not-fit")
    assert response.json()["certificate"]["conflicting"]


def test_a_named_dataset_is_used(client: httpx.Client) -> None:
    uploaded = client.post("/v1/datasets", content=tiny_dataset(92)).json()["id"]
    response = call(client, TRAINING | {"dataset": uploaded})
    assert response.status_code == 202
    assert response.json()["job"]["request"]["dataset"] == uploaded
    client.post(f"{response.json()['links']['job']}/cancel")


def test_the_least_bytes_in_one_call(client: httpx.Client) -> None:
    request = {"kind": "shrink", "max_loss": 100, "points": 2, "training": {"threads": 1}}
    response = call(client, request, tiny_dataset(), wait_seconds=120)
    assert response.status_code == 200, response.text
    assert (response.json()["kind"], response.json()["job"]["kind"]) == ("shrink", "shrink")


@pytest.mark.parametrize(
    ("request_part", "dataset", "words"),
    [
        ("{", None, "not valid"),
        ("[]", None, "request"),
        ({}, None, "kind"),
        (BUDGET | {"kind": "other"}, None, "kind"),
        (FIT | {"unknown": 1}, None, "unknown"),
        (FIT | {"flash": "much"}, None, "flash"),
        (FIT, b"data", "expected none"),
        (TRAINING, None, "no dataset"),
        (TRAINING | {"dataset": "digits"}, b"data", "one of the two"),
        (TRAINING | {"training": {"epochs": -1}}, b"data", "epochs"),
    ],
)
def test_a_wrong_request_is_refused(
    client: httpx.Client, request_part: dict[str, Any] | str, dataset: bytes | None, words: str
) -> None:
    before = client.get("/v1/networks").json()
    response = call(client, request_part, dataset, network=b"never read")
    assert words in assert_problem(response, 422, "invalid-request")
    assert client.get("/v1/networks").json() == before


def test_wrong_parts_are_refused(client: httpx.Client) -> None:
    assert_problem(client.post("/v1/pipeline", files={"request": (None, json.dumps(FIT))}), 422, "invalid-request")
    assert_problem(client.post("/v1/pipeline", json=FIT), 422, "invalid-request")
    assert_problem(call(client, FIT, network=b"no network"), 422, "unreadable-file")
    assert_problem(call(client, TRAINING, b"no dataset"), 422, "invalid-dataset")
    assert_problem(call(client, FIT, wait_seconds=601), 422, "invalid-request")
