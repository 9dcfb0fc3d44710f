"""Request identifiers, the log of the requests, and the metrics, at a real service."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.settings import DEFAULT_PROJECT
from tests.api.live_service import LiveService
from tests.api.local_service import local_service
from tests.api.small_files import tiny_json

FIT = {"flash": 400, "ram": 60, "method": "mixpc", "accounting": "paper"}


def metrics_of(client: httpx.Client) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the value of each sample by its name and the values of its labels, in the order of their names."""
    return {
        (sample.name, tuple(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with local_service(tmp_path_factory.mktemp("observed") / "data") as (_, opened):
        yield opened


@pytest.mark.parametrize("given", ["a", "build 7/step-3", "x" * 128, "\x7e"])
def test_the_identifier_of_the_caller_comes_back(service: LiveService, given: str) -> None:
    response = service.http.get("/v1/jobs/missing", headers={"x-request-id": given})
    assert response.headers["x-request-id"] == given
    instance = response.json()["instance"]
    assert instance.startswith("urn:bitbudget:request:")
    assert httpx.URL(f"http://x/{instance.removeprefix('urn:bitbudget:request:')}").path == f"/{given}"


@pytest.mark.parametrize("given", ["", "x" * 129, "line\tbreak", "ü"])
def test_another_identifier_is_replaced(service: LiveService, given: str) -> None:
    response = service.http.get("/healthz", headers={b"x-request-id": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


def test_every_answer_has_an_identifier_of_its_own(service: LiveService) -> None:
    answers = [
        service.http.get("/"),
        service.http.get("/nothing"),
        service.http.head("/healthz"),
        service.http.post("/v1/jobs", content=bytes(2**21)),
        service.http.post("/v1/jobs", content=b"{"),
        service.http.put("/v1/jobs"),
    ]
    found = {each.headers["x-request-id"] for each in answers}
    assert len(found) == len(answers)


def test_an_internal_error_has_an_identifier_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_service(tmp_path / "data") as (service, client):

        def fail(_: str) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(service.of_project(DEFAULT_PROJECT).jobs, "job", fail)
        response = client.get("/v1/jobs/any", headers={"x-request-id": "the fault"})
        with httpx.Client(base_url=client.base_url) as another:  # the server closes the connection after a fault
            counted = metrics_of(another)
    assert response.status_code == 500
    assert response.json()["instance"] == "urn:bitbudget:request:the%20fault"
    assert counted["bitbudget_requests_total", ("getJob", "500")] == 1


def test_the_log_has_one_object_for_each_request(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with LiveService(data, "--log-format", "json") as service:
        service.http.get("/v1/jobs/one-of-many?wait_seconds=0", headers={"x-request-id": "first"})
        service.http.get("/no/such%0Apath", headers={"x-request-id": "second"})
        service.http.get("/healthz", headers={"x-request-id": "probe"})
    lines = [json.loads(line) for line in data.with_suffix(".log").read_text().splitlines()]
    requests = [each for each in lines if each["logger"] == "bitbudget.requests"]
    assert [each["request_id"] for each in requests] == ["first", "second"]
    first, second = requests
    assert (first["method"], first["path"], first["operation"]) == ("GET", "/v1/jobs/{job_id}", "getJob")
    assert first["status"] == 404
    assert 0 < first["seconds"] < 60
    assert second["operation"] == "none"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"]) for each in lines)


def test_a_line_of_text_cannot_be_forged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    service = LiveService(data)
    service.http.get("/x%0A2026-01-01T00:00:00.000Z%20INFO%20forged", headers={"x-request-id": "who"})
    service.end(signal.SIGTERM)
    (line,) = (line for line in data.with_suffix(".log").read_text().splitlines() if "forged" in line)
    assert re.fullmatch(r"\S+Z INFO bitbudget\.requests: GET /x\S+ INFO forged 404 in \d\.\d{3} s \[who\]", line)


def test_requests_are_counted_by_operation_and_status(client: httpx.Client) -> None:
    before = metrics_of(client)
    for _ in range(3):
        client.get("/v1/devices/nrf52840")
    client.get("/v1/devices/unknown")
    for path in ("/a", "/b", "/c/d"):
        client.get(path)
    after = metrics_of(client)

    def grown(name: str, *labels: str) -> float:
        return after[name, labels] - before.get((name, labels), 0)

    assert grown("bitbudget_requests_total", "getDevice", "200") == 3
    assert grown("bitbudget_requests_total", "getDevice", "404") == 1
    assert grown("bitbudget_requests_total", "none", "404") == 3
    assert grown("bitbudget_request_seconds_count", "getDevice") == 4
    assert after["bitbudget_request_seconds_bucket", ("+Inf", "getDevice")] == 4


def test_labels_have_few_values_whatever_is_requested(client: httpx.Client) -> None:
    client.get("/v1/jobs")
    before = metrics_of(client)
    for number in range(50):
        client.get(f"/v1/jobs/{number}")
        client.get(f"/{number}", headers={"x-request-id": str(number)})
    added = metrics_of(client).keys() - before.keys()
    labels = {labels for name, labels in added if name == "bitbudget_requests_total"}
    assert labels <= {("getJob", "404"), ("none", "404"), ("metrics", "200")}


def test_kept_answers_and_tasks_are_counted(client: httpx.Client) -> None:
    network_id = client.post("/v1/networks", content=tiny_json()).json()["id"]
    for _ in range(3):
        client.post(f"/v1/networks/{network_id}/fit", json=FIT).raise_for_status()
    client.post("/v1/networks", content=b"no network")
    counted = metrics_of(client)
    assert counted["bitbudget_answers_total", ("false",)] == 1
    assert counted["bitbudget_answers_total", ("true",)] == 2
    assert counted["bitbudget_tasks_total", ("answered", "questions")] == 1
    assert counted["bitbudget_tasks_total", ("refused", "networks")] == 1
    assert counted["bitbudget_places_in_use", ("questions",)] == 0
    assert counted["bitbudget_jobs", ("queued",)] == 0
    assert counted["process_resident_memory_bytes", ()] > 10e6


def test_a_killed_task_is_counted_with_its_reason(tmp_path: Path) -> None:
    with local_service(tmp_path / "data", parse_seconds=0.001) as (_, client):
        refused = client.post("/v1/networks", content=tiny_json())
        counted = metrics_of(client)
    assert refused.status_code == 422, refused.text
    assert counted["bitbudget_tasks_total", ("too long", "networks")] == 1


def test_a_request_that_finds_the_queue_full_is_counted(tmp_path: Path) -> None:
    with local_service(tmp_path / "data", queue_length=0) as (service, client):
        pool = service.workers.pools["networks"]
        pool._free = 0
        refused = client.post("/v1/networks", content=tiny_json())
        counted = metrics_of(client)
        pool._free = pool.places
    assert refused.status_code == 429
    assert counted["bitbudget_refused_total", ("networks",)] == 1
