"""Uploads: stored once under their hash, rejected as a whole, and never larger on disk than the limit."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from api.http.uploads import display_name
from api.schemas.networks import NetworkAnswer
from tests.api.conftest import DATASET_LIMIT_BYTES, NETWORK_LIMIT_BYTES
from tests.api.live_service import LiveService
from tests.api.small_files import BAD_NETWORKS, npz, tiny_dataset, tiny_json, tiny_network
from tests.onnx_files import to_onnx

CHUNK = bytes(2**20)


def assert_problem(response: Any, status: int, slug: str) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    return str(problem["detail"])


def test_the_same_content_is_kept_once_whatever_it_is_called(service: LiveService) -> None:
    content = to_onnx(tiny_network(seed=10))
    first = service.http.post("/v1/networks", files={"file": ("first name.onnx", content)})
    assert first.status_code == 201
    network = first.json()
    assert network["id"] == hashlib.sha256(content).hexdigest()
    assert first.headers["location"] == f"/v1/networks/{network['id']}"
    assert network["name"] == "first name"
    again = service.http.post("/v1/networks", files={"file": ("second.onnx", content)})
    raw = service.http.post("/v1/networks?name=third", content=content)
    assert (again.status_code, raw.status_code) == (200, 200)
    assert again.json() == raw.json() == network == service.http.get(f"/v1/networks/{network['id']}").json()
    assert [each["id"] for each in service.listed("/v1/networks")].count(network["id"]) == 1
    assert f"networks/{network['id']}" in service.files()


def test_other_content_under_the_same_name_is_another_network(service: LiveService) -> None:
    ids = {service.upload_network(to_onnx(tiny_network(seed=seed)), "model.onnx") for seed in (11, 12)}
    assert len(ids) == 2


def test_a_network_says_what_is_in_it(service: LiveService) -> None:
    network = service.http.get(f"/v1/networks/{service.upload_network(tiny_json())}").json()
    assert network["parameters"] == 8 * 9 + 2 * 8 + 3 * 128 + 3
    assert network["has_weights"] is True
    assert network["sample_shape"] == [1, 4, 4]
    assert [layer["weight_shape"] for layer in network["layers"]] == [[8, 1, 3, 3], [3, 128]]
    assert [(tensor["name"], tensor["shape"]) for tensor in network["tensors"]] == [
        ("input", [1, 4, 4]),
        ("first", [8, 4, 4]),
        ("scores", [3, 1, 1]),
    ]
    assert network["host_steps"] == []


def test_shared_weights_are_counted_once(service: LiveService) -> None:
    convolution = {"kind": "convolution", "output_channels": 4, "kernel": 1}
    layers = [{**convolution, "name": name, "shared_weight": "w"} for name in ("one", "two")]
    content = json.dumps({"input": {"shape": [4, 2, 2]}, "layers": layers}).encode()
    network_id = service.upload_network(content)
    assert service.http.get(f"/v1/networks/{network_id}").json()["parameters"] == 4 * 4
    answer = service.http.post(f"/v1/networks/{network_id}/fit", json={"flash": "20kB", "ram": "20kB"}).json()
    assert [each["reuses_weights_of"] for each in answer["memory"]["layers"]] == [None, "one"]


def test_a_network_states_what_the_host_computes(service: LiveService) -> None:
    description = json.loads(tiny_json())
    steps = [{"output": "probabilities", "tensors": ["scores"], "operators": ["Sigmoid"]}]
    network_id = service.upload_network(json.dumps(description | {"host_steps": steps}).encode())
    assert service.http.get(f"/v1/networks/{network_id}").json()["host_steps"] == steps
    fitted = service.http.post(f"/v1/networks/{network_id}/fit", json={"flash": "9kB", "ram": "1kB"}).json()
    assert fitted["host_steps"] == steps


def test_a_network_that_was_stored_without_host_steps_is_read(service: LiveService) -> None:
    network = service.http.get(f"/v1/networks/{service.upload_network(tiny_json())}").json()
    del network["host_steps"]
    assert NetworkAnswer.model_validate(network).host_steps == []


@pytest.mark.parametrize("what", BAD_NETWORKS)
def test_a_bad_network_is_refused_and_leaves_nothing(service: LiveService, what: str) -> None:
    content, slug = BAD_NETWORKS[what]
    files, networks = service.files(), service.listed("/v1/networks")
    for response in (
        service.http.post("/v1/networks", files={"file": ("bad.onnx", content)}),
        service.http.post("/v1/networks", content=content),
    ):
        detail = assert_problem(response, 422, slug)
        assert len(detail) > 20
    assert service.files() == files
    assert service.listed("/v1/networks") == networks


def test_a_form_without_a_file_is_refused(service: LiveService) -> None:
    assert "'file'" in assert_problem(
        service.http.post("/v1/networks", files={"other": ("a.onnx", b"x")}), 422, "invalid-request"
    )
    broken = service.http.post(
        "/v1/networks", content=b"no form", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert_problem(broken, 400, "malformed-request")


BAD_DATASETS = {
    "no zip": b"nothing",
    "empty": b"",
    "truncated": tiny_dataset()[:-100],
    "an array missing": npz(test_x=np.zeros((4, 2), np.float32), test_y=np.zeros(4, np.int64)),
    "pickled objects": npz(**dict.fromkeys(("train_x", "train_y", "test_x", "test_y"), np.array([{}, []], object))),
    "another count of labels": tiny_dataset(train_y=np.zeros(5, np.int64)),
    "targets of two shapes": tiny_dataset(train_y=np.zeros((96, 2)), test_y=np.zeros((30, 3))),
    "targets that are text": tiny_dataset(train_y=np.array(["cat"] * 96)),
    "no samples": tiny_dataset(test_x=np.zeros((0, 1, 4, 4), np.float32), test_y=np.zeros(0, np.int64)),
    "negative label": tiny_dataset(test_y=np.full(30, -1)),
}


@pytest.mark.parametrize("what", BAD_DATASETS)
def test_a_bad_dataset_is_refused_and_leaves_nothing(service: LiveService, what: str) -> None:
    datasets = service.listed("/v1/datasets")  # the first list stores the sketch of the built-in dataset
    files = service.files()
    response = service.http.post("/v1/datasets", files={"file": ("bad.npz", BAD_DATASETS[what])})
    assert_problem(response, 422, "invalid-dataset")
    assert service.files() == files
    assert service.listed("/v1/datasets") == datasets


@pytest.mark.parametrize(
    ("targets", "described"),
    [
        (np.arange(96) % 3, ([], "int64", 3)),
        (np.zeros((96, 10)), ([10], "float32", None)),
        (np.zeros((96, 4, 4), np.uint8), ([4, 4], "uint8", None)),
    ],
)
def test_a_dataset_describes_its_targets(service: LiveService, targets: Any, described: tuple[Any, ...]) -> None:
    content = tiny_dataset(train_y=targets, test_y=targets[:30])
    answer = service.http.get(f"/v1/datasets/{service.upload_dataset(content)}").json()
    assert (answer["target_shape"], answer["target_type"], answer["classes"]) == described
    assert (answer["class_names"] is None) == (described[2] is None)


def test_a_dataset_says_what_is_in_it(service: LiveService) -> None:
    digits, *_ = service.listed("/v1/datasets")
    assert digits == service.http.get("/v1/datasets/digits").json()
    assert (digits["train_samples"], digits["test_samples"], digits["classes"]) == (1437, 360, 10)
    dataset = service.http.get(f"/v1/datasets/{service.upload_dataset(tiny_dataset())}").json()
    assert dataset["sample_shape"] == [1, 4, 4]
    assert (dataset["name"], dataset["train_samples"], dataset["classes"]) == ("data", 96, 3)


def test_deleting_forgets_a_file(service: LiveService) -> None:
    for kind, file_id in (
        ("networks", service.upload_network(to_onnx(tiny_network(seed=13)))),
        ("datasets", service.upload_dataset(tiny_dataset(samples=50))),
    ):
        path = f"/v1/{kind}/{file_id}"
        assert service.http.delete(path).status_code == 204
        assert_problem(service.http.get(path), 404, "not-found")
        assert_problem(service.http.delete(path), 404, "not-found")
        assert not any(file_id in file for file in service.files())
    assert_problem(service.http.delete("/v1/datasets/digits"), 409, "in-use")


def endless() -> Iterator[bytes]:
    for _ in range(1024):
        yield CHUNK


def resident_bytes(process_id: int) -> int:
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@pytest.mark.parametrize("kind", ["networks", "datasets"])
@pytest.mark.parametrize("form", ["chunked", "chunked form", "announced"])
def test_a_gibibyte_is_refused_before_it_fills_anything(service: LiveService, kind: str, form: str) -> None:
    service.http.get("/healthz")
    files, memory = service.files(), resident_bytes(service.process.pid)
    headers = {}
    if form == "chunked form":
        headers["content-type"] = "multipart/form-data; boundary=abc"

    def body() -> Iterator[bytes]:
        if form == "chunked form":
            yield b'--abc\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        yield from endless()

    if form == "announced":
        headers["content-length"] = str(2**30)
    started = time.monotonic()
    response = service.http.post(f"/v1/{kind}", content=body(), headers=headers)
    assert time.monotonic() - started < 20
    limit_bytes = {"networks": NETWORK_LIMIT_BYTES, "datasets": DATASET_LIMIT_BYTES}[kind]
    assert f"at most {limit_bytes} bytes" in assert_problem(response, 413, "too-large")
    assert service.files() == files
    assert resident_bytes(service.process.pid) - memory < 2 * NETWORK_LIMIT_BYTES


def test_a_file_just_above_the_limit_is_refused(service: LiveService) -> None:
    for response in (
        service.http.post("/v1/datasets", files={"file": ("x.npz", bytes(DATASET_LIMIT_BYTES + 1))}),
        service.http.post("/v1/datasets", content=bytes(DATASET_LIMIT_BYTES + 1)),
    ):
        assert_problem(response, 413, "too-large")
    at_the_limit = service.http.post("/v1/datasets", content=bytes(DATASET_LIMIT_BYTES))
    assert_problem(at_the_limit, 422, "invalid-dataset")


def test_whoever_waits_for_the_go_ahead_is_refused_without_it(service: LiveService) -> None:
    """`curl` sends Expect: 100-continue and waits for an answer before it sends a large file."""
    with connection(service) as client:
        client.sendall(
            b"POST /v1/networks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_connection_that_breaks_leaves_nothing(service: LiveService) -> None:
    files = service.files()
    with connection(service) as client:
        client.sendall(
            b"POST /v1/networks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + bytes(500_000)
        )
        give_up_at = time.monotonic() + 10
        while service.files() == files and time.monotonic() < give_up_at:
            time.sleep(0.01)
        assert service.files() != files, "the file should have begun to arrive"
    give_up_at = time.monotonic() + 10
    while service.files() != files and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert service.files() == files


def connection(service: LiveService) -> socket.socket:
    address = urlsplit(service.url)
    assert address.hostname is not None
    return socket.create_connection((address.hostname, address.port or 0), timeout=10)


@pytest.mark.parametrize(
    ("file_name", "shown"),
    [
        ("model.onnx", "model"),
        ("C:\\models\\keyword spotter.onnx", "keyword spotter"),
        ("../../etc/passwd", "passwd"),
        ("a.b.onnx", "a.b"),
        ("spotter v1.2", "spotter v1.2"),
        (".hidden", ".hidden"),
        ("zero\x00\nwidth.onnx", "zerowidth"),
        ("/", ""),
        ("x" * 500, "x" * 80),
    ],
)
def test_a_name_is_shown_and_nothing_else(file_name: str, shown: str) -> None:
    assert display_name(file_name) == shown
