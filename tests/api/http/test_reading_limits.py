"""Uploads that need too much time or memory: refused with a clear answer, while everybody else is answered."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.api.http.test_uploads import assert_problem, resident_bytes
from tests.api.http.test_weight_files import readers_of
from tests.api.live_service import LiveService, is_alive
from tests.api.small_files import tiny_json

MIB: Final = 2**20
SECONDS: Final = 0.5
MEMORY_MIB: Final = 100


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """Return a service whose limits a real file exceeds."""
    data = tmp_path_factory.mktemp("strict") / "data"
    limits = [f"--parse-seconds={SECONDS}", f"--parse-memory={MEMORY_MIB}MiB"]
    with LiveService(data, *limits) as running:
        yield running


def long_chain(layers: int, width: int = 4) -> bytes:
    """Return a JSON description of many small layers: little memory, much time."""
    each = {"kind": "fully_connected", "output_channels": width}
    description = {"input": {"shape": [width]}, "layers": [each | {"name": f"l{index}"} for index in range(layers)]}
    return json.dumps(description).encode()


def matrix(megabytes: int) -> bytes:
    """Return an ONNX file with one layer and many weights: little time, much memory."""
    rows = megabytes * 1_000_000 // 4000
    weight = numpy_helper.from_array(np.ones((rows, 1000), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)],
        "matrix",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1000])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", rows])],
        [weight],
    )
    content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    return content


def refused(service: LiveService, content: bytes) -> str:
    files = service.files()
    detail = assert_problem(service.http.post("/v1/networks", content=content), 422, "reading-limit")
    assert service.files() == files
    assert service.http.post("/v1/networks", content=tiny_json()).is_success, "the next upload is read"
    return detail


def test_a_file_that_takes_too_long(strict: LiveService) -> None:
    began = time.monotonic()
    detail = refused(strict, long_chain(30_000))
    assert time.monotonic() - began < 30
    assert detail == (
        "reading the network took longer than 0.5 s; expected a network for a microcontroller, which is read within "
        "seconds: upload a smaller network, or let the operator of the service raise BITBUDGET_PARSE_SECONDS"
    )


def test_a_file_that_needs_too_much_memory(strict: LiveService) -> None:
    assert strict.http.post("/v1/networks", content=matrix(10)).is_success
    assert "BITBUDGET_PARSE_MEMORY" in refused(strict, matrix(45)), "numpy or Python finds no memory"
    detail = refused(strict, matrix(60))  # protobuf finds no memory
    assert detail.startswith(
        f"reading the network needs more than {MEMORY_MIB} MiB of memory; expected a network for a"
    )
    assert detail.endswith("raise BITBUDGET_PARSE_MEMORY")


def expanding() -> bytes:
    """Return an ONNX file of a few kilobytes whose constants double at every node."""
    nodes = [helper.make_node("Concat", [f"k{i}", f"k{i}"], [f"k{i + 1}"], axis=0) for i in range(60)]
    nodes.append(helper.make_node("Add", ["x", "k60"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "expanding",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones(64, np.float32), "k0")],
    )
    content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    return content


def nested_messages(depth: int) -> bytes:
    """Return an ONNX file whose branches contain branches."""
    model = onnx.ModelProto()
    graph = model.graph
    for _ in range(depth):
        graph = graph.node.add(op_type="If").attribute.add(name="then_branch", type=5).g
    content: bytes = model.SerializeToString()
    return content


HOSTILE: Final[dict[str, bytes]] = {
    "lists in lists": b'{"a":' + b"[" * 5_000_000,
    "empty lists": b'{"a":[' + b"[]," * 4_000_000 + b"[]]}",
    "objects in objects": b'{"a":' * 1_000_000,
    "layers without end": b'{"input":{"shape":[4]},"layers":[' + b'{"name":"a","kind":"pad"},' * 700_000 + b"{}]}",
    "huge numbers": b'{"input":{"shape":[' + b"9" * 5_000_000 + b"]}}",
    "huge shape": b'{"input":{"shape":[1000000000,1000000000,1000000000]},"layers":[{"name":"a","kind":"activation"}]}',
    "branches in branches": nested_messages(90),
    "constants that double": expanding(),
    "length of a field beyond the file": b"\x08\x08\x3a\xff\xff\xff\xff\x07" + bytes(100),
    "empty nodes": b"\x08\x08\x3a" + b"\x80\x89\x7a" + b"\x0a\x00" * 1_000_000,
    "TFLite offsets": b"\x1c\x00\x00\x00TFL3" + b"\xff" * 10_000,
    "zip": b"PK\x03\x04" + bytes(100_000),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_get_an_answer(service: LiveService, what: str) -> None:
    files, memory = service.files(), resident_bytes(service.process.pid)
    response = service.http.post("/v1/networks", content=HOSTILE[what])
    assert response.status_code == 422, response.text
    assert 20 < len(response.json()["detail"]) < 1000
    assert service.files() == files
    assert resident_bytes(service.process.pid) - memory < 64 * MIB


def test_health_answers_while_more_files_are_read_than_there_are_places(service: LiveService) -> None:
    slow = long_chain(10_000)
    answers: list[int] = []

    def upload(number: int) -> None:
        with httpx.Client(base_url=service.url, timeout=120) as client:
            # The last layer of every second network is not valid, which is found when everything else has been read.
            content = slow.replace(b'"l0"', f'"first{number}"'.encode())
            if number % 2:
                content = content.replace(b'"l9999"', b'"l9998"')
            answers.append(client.post("/v1/networks", content=content).status_code)

    uploads = [threading.Thread(target=upload, args=(number,)) for number in range(10)]
    for each in uploads:
        each.start()
    slowest, count = 0.0, 0
    while any(each.is_alive() for each in uploads):
        began = time.monotonic()
        assert service.http.get("/healthz").status_code == 200
        slowest, count = max(slowest, time.monotonic() - began), count + 1
        time.sleep(0.02)
    assert slowest < 3
    assert count > 10
    assert sorted(answers) == [201] * 5 + [422] * 5


def test_a_description_that_is_too_large_is_refused(service: LiveService) -> None:
    response = service.http.post("/v1/networks", content=long_chain(40_000))
    assert "the network has 40000 layers, whose description has" in assert_problem(response, 422, "invalid-network")


def test_the_service_does_not_grow_with_the_weights(service: LiveService) -> None:
    service.http.get("/healthz")
    memory = resident_bytes(service.process.pid)
    assert service.http.post("/v1/networks", content=matrix(19)).is_success
    assert resident_bytes(service.process.pid) - memory < 16 * MIB


def task_of(reader: int) -> int:
    """Wait until a process that reads uploads has forked, and return the process id of the fork."""
    children = Path(f"/proc/{reader}/task/{reader}/children")
    give_up_at = time.monotonic() + 60
    while not (forked := children.read_text()) and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return int(forked)


def test_a_crash_of_the_reader_is_an_answer_and_a_killed_parent_is_replaced(tmp_path: Path) -> None:
    with LiveService(tmp_path / "data") as service:
        service.upload_network(tiny_json())
        (reader,) = readers_of(service.process.pid)
        answers: list[httpx.Response] = []

        def upload() -> None:
            answers.append(httpx.post(f"{service.url}/v1/networks", content=long_chain(30_000), timeout=120))

        uploading = threading.Thread(target=upload)
        uploading.start()
        os.kill(task_of(reader), signal.SIGSEGV)
        uploading.join()
        detail = assert_problem(answers[0], 422, "unreadable-file")
        assert detail.startswith(
            "the process that read the network was ended by the signal SIGSEGV; expected a complete"
        )
        os.kill(reader, signal.SIGKILL)
        assert service.upload_network(tiny_json(with_weights=False))
        assert service.http.get("/healthz").status_code == 200


def test_the_service_ends_while_a_file_is_read(tmp_path: Path) -> None:
    service = LiveService(tmp_path / "data")
    service.upload_network(tiny_json())
    (reader,) = readers_of(service.process.pid)

    def upload() -> None:
        with contextlib.suppress(httpx.HTTPError), httpx.Client(base_url=service.url, timeout=120) as client:
            client.post("/v1/networks", content=long_chain(150_000))

    uploading = threading.Thread(target=upload)
    uploading.start()
    task = task_of(reader)
    began = time.monotonic()
    assert service.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10
    assert not is_alive(reader)
    assert not is_alive(task)
    uploading.join()
