"""Two projects on one service: neither sees, changes or learns anything of the other one, by any operation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from api.http.app import create_app
from api.http.security.scopes import OPEN_PATHS, REQUIRED_SCOPES
from api.http.service import Service
from api.services.access import Scope
from api.services.access_keys import create_key
from api.settings import Settings
from api.storage.database import Store
from tests.api.http.test_load import wait_until
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_dataset, tiny_network
from tests.onnx_files import to_onnx

NETWORK = to_onnx(tiny_network())
BUDGET = {"flash": "60kB", "ram": "9kB"}
UNKNOWN = {"network": "0" * 64, "dataset": "1" * 64, "job": "2" * 32, "table": "3" * 32, "upload": "4" * 32}
UNKNOWN |= {"webhook": f"wh_{'5' * 32}", "delivery": f"msg_{'6' * 32}"}
WEBHOOK = {"url": "https://192.0.2.1.invalid/secret", "events": ["job.failed"]}
TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("projects") / "data"
    directory.mkdir()
    return directory


@pytest.fixture(scope="module")
def keys(data: Path) -> dict[str, str]:
    """Return a key of each of two projects with all scopes, and a key with each scope alone, by name."""
    store = Store(data / "bitbudget.sqlite")
    wanted = {"phones": list(Scope), "watches": list(Scope)} | {scope.value: [scope] for scope in Scope}
    made = {name: create_key(store, name, name, scopes, None).text for name, scopes in wanted.items()}
    made["expired"] = create_key(store, "phones", "expired", list(Scope), 1e-3).text
    store.close()
    return made


@pytest.fixture(scope="module")
def service(data: Path, keys: dict[str, str]) -> Iterator[LiveService]:
    assert keys
    with LiveService(data) as running:
        yield running


def caller(service: LiveService, key: str | None) -> httpx.Client:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=service.url, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def phones(service: LiveService, keys: dict[str, str]) -> Iterator[httpx.Client]:
    with caller(service, keys["phones"]) as client:
        yield client


@pytest.fixture(scope="module")
def watches(service: LiveService, keys: dict[str, str]) -> Iterator[httpx.Client]:
    with caller(service, keys["watches"]) as client:
        yield client


def finished(client: httpx.Client, response: httpx.Response) -> str:
    assert response.status_code == 202, response.text
    job_id: str = response.json()["id"]
    job = client.get(f"/v1/jobs/{job_id}?wait_seconds=60").json()
    assert job["state"] == "succeeded", job
    return job_id


@pytest.fixture(scope="module")
def own(phones: httpx.Client) -> dict[str, str]:
    """Return the identifier of one thing of each kind that the project phones has."""
    network = phones.post("/v1/networks?name=secret", content=NETWORK).json()["id"]
    dataset = phones.post("/v1/datasets?name=secret", content=tiny_dataset()).json()["id"]
    measured = phones.post(
        f"/v1/networks/{network}/sensitivity", json={"dataset": dataset}, headers={"Idempotency-Key": "build-1"}
    )
    body = {"network_id": network, "dataset": dataset, "training": {"epochs": 0}, **BUDGET}
    trained = phones.post("/v1/jobs", json=body, headers={"Idempotency-Key": "build-2"})
    upload = phones.post("/v1/uploads", headers=TUS | {"Upload-Length": "1000"})
    assert upload.status_code == 201, upload.text
    webhook = phones.post("/v1/webhooks", json=WEBHOOK)
    assert webhook.status_code == 201, webhook.text
    webhook_id = webhook.json()["id"]
    return {
        "webhook": webhook_id,
        "delivery": phones.post(f"/v1/webhooks/{webhook_id}/ping").json()["id"],
        "network": network,
        "dataset": dataset,
        "table": finished(phones, measured),
        "job": finished(phones, trained),
        "upload": upload.json()["id"],
    }


class Asked(NamedTuple):
    """A request: method, path with the names of identifiers in braces, JSON body, headers, and other content."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}  # noqa: RUF012  # never changed
    content: bytes | None = None


PIPELINE = (
    b'--B\r\nContent-Disposition: form-data; name="request"\r\n\r\n'
    b'{"kind": "training", "dataset": "{dataset}", "flash": "60kB", "ram": "9kB"}\r\n'
    b'--B\r\nContent-Disposition: form-data; name="network"; filename="tiny.onnx"\r\n\r\n'
    + to_onnx(tiny_network(seed=1))
    + b"\r\n--B--\r\n"
)
REQUESTS = {
    "uploadNetwork": [Asked("POST", "/v1/networks", content=b"{}")],
    "listNetworks": [Asked("GET", "/v1/networks")],
    "getNetwork": [Asked("GET", "/v1/networks/{network}")],
    "deleteNetwork": [Asked("DELETE", "/v1/networks/{network}")],
    "fit": [
        Asked("POST", "/v1/networks/{network}/fit", BUDGET),
        Asked("POST", "/v1/networks/{network}/fit", BUDGET | {"sensitivity": {"job_id": "{table}"}}),
    ],
    "fitDevices": [Asked("POST", "/v1/networks/{network}/devices", {})],
    "pareto": [Asked("POST", "/v1/networks/{network}/pareto", BUDGET | {"points": 2})],
    "measureSensitivity": [Asked("POST", "/v1/networks/{network}/sensitivity", {"dataset": "{dataset}"})],
    "uploadDataset": [Asked("POST", "/v1/datasets", content=b"{}")],
    "listDatasets": [Asked("GET", "/v1/datasets")],
    "getDataset": [Asked("GET", "/v1/datasets/{dataset}")],
    "deleteDataset": [Asked("DELETE", "/v1/datasets/{dataset}")],
    "describeUploads": [Asked("OPTIONS", "/v1/uploads")],
    "createUpload": [Asked("POST", "/v1/uploads", headers=TUS)],
    "getUpload": [Asked("GET", "/v1/uploads/{upload}")],
    "appendUpload": [
        Asked(
            "PATCH",
            "/v1/uploads/{upload}",
            headers=TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
            content=b"x",
        )
    ],
    "deleteUpload": [Asked("DELETE", "/v1/uploads/{upload}", headers=TUS)],
    "listDevices": [Asked("GET", "/v1/devices")],
    "getDevice": [Asked("GET", "/v1/devices/nrf52840")],
    "createJob": [
        Asked("POST", "/v1/jobs", {"network_id": "{network}", "dataset": "digits", **BUDGET}),
        Asked("POST", "/v1/jobs", {"network_id": "{network}", "dataset": "{dataset}", **BUDGET}),
        Asked("POST", "/v1/jobs", {"kind": "shrink", "network_id": "{network}", "dataset": "{dataset}", "max_loss": 1}),
        Asked(
            "POST",
            "/v1/jobs",
            {"network_id": "{network}", "dataset": "digits", "sensitivity": {"job_id": "{table}"}, **BUDGET},
        ),
    ],
    "listJobs": [Asked("GET", "/v1/jobs"), Asked("GET", "/v1/jobs?state=succeeded")],
    "getJob": [Asked("GET", "/v1/jobs/{job}"), Asked("GET", "/v1/jobs/{table}?wait_seconds=1")],
    "watchJob": [Asked("GET", "/v1/jobs/{job}/events", headers={"Last-Event-ID": "0"})],
    "getJobLog": [
        Asked("GET", "/v1/jobs/{job}/log"),
        Asked("GET", "/v1/jobs/{job}/log", headers={"Range": "bytes=0-"}),
    ],
    "runPipeline": [
        Asked("POST", "/v1/pipeline", headers={"Content-Type": "multipart/form-data; boundary=B"}, content=PIPELINE)
    ],
    "deleteJob": [Asked("DELETE", "/v1/jobs/{job}")],
    "retryJob": [Asked("POST", "/v1/jobs/{job}/retry")],
    "cancelJob": [Asked("POST", "/v1/jobs/{job}/cancel")],
    "listArtifacts": [Asked("GET", "/v1/jobs/{job}/artifacts")],
    "getLinkedReport": [Asked("GET", "/v1/jobs/{job}/linked")],
    "getDeployment": [Asked("GET", "/v1/jobs/{job}/deployment")],
    "getArtifact": [
        Asked("GET", "/v1/jobs/{job}/artifacts/network.json"),
        Asked("HEAD", "/v1/jobs/{job}/artifacts/network.json"),
        Asked("GET", "/v1/jobs/{table}/artifacts/sensitivity.json", headers={"Range": "bytes=0-9"}),
        Asked("GET", "/v1/jobs/{job}/artifacts/network.json", headers={"If-None-Match": "*"}),
    ],
    "getProject": [Asked("GET", "/v1/project")],
    "createWebhook": [Asked("POST", "/v1/webhooks", {"url": "http://127.0.0.1/"})],
    "listWebhooks": [Asked("GET", "/v1/webhooks")],
    "getWebhook": [Asked("GET", "/v1/webhooks/{webhook}")],
    "deleteWebhook": [Asked("DELETE", "/v1/webhooks/{webhook}")],
    "pingWebhook": [Asked("POST", "/v1/webhooks/{webhook}/ping")],
    "enableWebhook": [Asked("POST", "/v1/webhooks/{webhook}/enable")],
    "listDeliveries": [Asked("GET", "/v1/webhooks/{webhook}/deliveries")],
    "getDelivery": [Asked("GET", "/v1/webhooks/{webhook}/deliveries/{delivery}")],
    "redeliver": [Asked("POST", "/v1/webhooks/{webhook}/deliveries/{delivery}/redeliver")],
    "index": [Asked("GET", "/")],
    "health": [Asked("GET", "/healthz")],
    "readiness": [Asked("GET", "/readyz")],
    "metrics": [Asked("GET", "/metrics")],
    "listProblems": [Asked("GET", "/problems")],
    "getProblem": [Asked("GET", "/problems/not-found")],
}
"""Requests of every operation; those with identifiers are sent with foreign and with unknown ones."""

NEW_EACH_TIME = {"date", "x-request-id", "content-length", "server"}


def send(client: httpx.Client, asked: Asked, ids: dict[str, str]) -> tuple[int, dict[str, str], str]:
    """Send a request; return status, headers and body of the answer, in which names stand for identifiers."""

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        return re.sub(r"\{(\w+)\}", lambda name: ids[name[1]], value) if isinstance(value, str) else value

    content = None if asked.content is None else asked.content.replace(b"{dataset}", ids["dataset"].encode())
    response = client.request(
        asked.method, filled(asked.path), json=filled(asked.body), headers=asked.headers, content=content
    )

    def hidden(text: str) -> str:
        for name, each in ids.items():
            text = text.replace(each, f"{{{name}}}")
        return re.sub(r"urn:bitbudget:request:[^\"]+", "", text)

    headers = {name: hidden(value) for name, value in response.headers.items() if name not in NEW_EACH_TIME}
    return response.status_code, headers, hidden(response.text)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the path of each operation of the OpenAPI document, by its operationId."""
    service = Service.open(Settings(data_directory=tmp_path_factory.mktemp("document")))
    try:
        document = create_app(service).openapi()
    finally:
        service.store.close()
    return {
        operation["operationId"]: path
        for path, item in document["paths"].items()
        for operation in item.values()
        if "operationId" in operation
    }


def test_every_operation_has_a_scope_and_a_request_here(listed: dict[str, str]) -> None:
    assert listed.keys() == REQUIRED_SCOPES.keys()
    assert REQUESTS.keys() == REQUIRED_SCOPES.keys()
    for operation, path in listed.items():
        requests = REQUESTS[operation]
        pattern = re.sub(r"\{\w+\}", "[^/]+", path)
        assert all(re.fullmatch(pattern, each.path.partition("?")[0]) for each in requests), operation
        assert (path in OPEN_PATHS) is (REQUIRED_SCOPES[operation] is None), operation


WITH_IDS = [
    (name, each)
    for name, requests in REQUESTS.items()
    for each in requests
    if re.search(r"\{\w+\}", f"{each.path}{each.body}") or b"{dataset}" in (each.content or b"")
]


@pytest.mark.parametrize(("operation", "asked"), WITH_IDS, ids=[f"{name}-{each.path}" for name, each in WITH_IDS])
def test_what_another_project_has_is_unknown(
    operation: str, asked: Asked, watches: httpx.Client, phones: httpx.Client, own: dict[str, str]
) -> None:
    foreign = send(watches, asked, own)
    assert foreign == send(watches, asked, UNKNOWN), operation
    assert foreign[0] == 404
    for path in ("/v1/networks/{network}", "/v1/datasets/{dataset}", "/v1/jobs/{job}", "/v1/uploads/{upload}",
                 "/v1/webhooks/{webhook}"):  # fmt: skip
        assert send(phones, Asked("GET", path), own)[0] == 200, f"{operation} has changed {path}"


def test_lists_have_only_the_own_things(watches: httpx.Client, own: dict[str, str]) -> None:
    for path in (
        "/v1/networks",
        "/v1/datasets",
        "/v1/jobs",
        "/v1/jobs?state=succeeded",
        "/v1/jobs?limit=1000",
        "/v1/webhooks",
    ):
        text = watches.get(path).raise_for_status().text
        assert "secret" not in text, path
        assert [each for each in own.values() if each in text] == [], path


def kept_answers(client: httpx.Client) -> float:
    """Return the number of questions of all projects whose answer was kept, from the metrics."""
    text = client.get("/metrics").raise_for_status().text
    return float(text.partition('bitbudget_answers_total{kept="true"} ')[2].split()[0])


def test_equal_content_of_two_projects(
    phones: httpx.Client, watches: httpx.Client, own: dict[str, str], data: Path
) -> None:
    """The same file is new to each project, has the names that the project gave, and stays until both delete it."""
    network = watches.post("/v1/networks?name=mine", content=NETWORK)
    dataset = watches.post("/v1/datasets?name=mine", content=tiny_dataset())
    assert (network.status_code, dataset.status_code) == (201, 201), "200 would tell that another project has it"
    assert (network.json()["id"], dataset.json()["id"]) == (own["network"], own["dataset"])
    assert (network.json()["name"], dataset.json()["name"]) == ("mine", "mine")
    assert watches.post("/v1/networks", content=NETWORK).status_code == 200

    fit = f"/v1/networks/{own['network']}/fit"
    question = BUDGET | {"ram": "8500"}
    before = kept_answers(phones)

    def asked(client: httpx.Client) -> str:
        answer: str = client.post(fit, json=question).json()["network"]["name"]
        return answer

    # An answer is kept after it was sent.
    wait_until(lambda: asked(phones) == "secret" and kept_answers(phones) > before)
    before = kept_answers(phones)
    assert asked(watches) == "mine"
    assert kept_answers(phones) == before, "the answer of the other project"
    wait_until(lambda: asked(watches) == "mine" and kept_answers(phones) > before)
    assert asked(phones) == "secret"

    body = {"network_id": own["network"], "dataset": own["dataset"], "training": {"epochs": 0}, **BUDGET}
    with_key = {"Idempotency-Key": "build-2"}
    job = finished(watches, watches.post("/v1/jobs", json=body, headers=with_key))
    assert job != own["job"]
    assert watches.get(f"/v1/jobs/{job}").json()["result"]["network"]["name"] == "mine"
    assert phones.post("/v1/jobs", json=body, headers=with_key).json()["id"] == own["job"]
    files = {
        client: client.get(f"/v1/jobs/{each}/artifacts/report.json")
        for client, each in ((phones, own["job"]), (watches, job))
    }
    assert [each.json()["network"]["name"] for each in files.values()] == ["secret", "mine"]

    assert watches.delete(f"/v1/jobs/{job}").status_code == 204
    assert watches.delete(f"/v1/networks/{own['network']}").status_code == 204
    assert watches.delete(f"/v1/datasets/{own['dataset']}").status_code == 204
    assert watches.get(f"/v1/networks/{own['network']}").status_code == 404
    assert phones.post(fit, json=BUDGET | {"ram": "8kB"}).json()["network"]["name"] == "secret"
    assert (data / "networks" / own["network"]).exists()
    again = phones.post("/v1/jobs", json=body | {"training": {"epochs": 0, "seed": 3}})
    finished(phones, again)


def test_an_operation_needs_its_scope(service: LiveService, keys: dict[str, str], listed: dict[str, str]) -> None:
    for name in (None, "unknown", "expired", *Scope):
        key = "bb_000000000000_" + "A" * 43 if name == "unknown" else keys.get(str(name))
        with caller(service, key) as client:
            for operation in listed:
                asked, *_ = REQUESTS[operation]
                scope = REQUIRED_SCOPES[operation]
                status, headers, text = send(client, asked, UNKNOWN)
                if scope is None:
                    assert status in {200, 503}, operation  # 503: the service has just started
                elif name in {None, "unknown", "expired"}:
                    assert (status, headers["www-authenticate"].split()[0]) == (401, "Bearer"), operation
                elif name in {scope, Scope.ADMIN}:
                    assert status not in {401, 403}, (operation, text)
                else:
                    assert status == 403, (operation, name, text)
                    assert f'scope="{scope}"' in headers["www-authenticate"], operation
