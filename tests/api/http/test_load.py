"""Requests that once stopped the service: it answers or refuses each, its health answers throughout, and it ends."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from network.budget import MAX_BUDGET_BYTES
from tests.api.http.test_uploads import assert_problem, resident_bytes
from tests.api.http.test_weight_files import readers_of
from tests.api.live_service import LiveService, is_alive
from tests.api.small_files import tiny_json
from tests.onnx_files import to_onnx

MIB: Final = 2**20
MAX_SERVICE_BYTES: Final = 400_000_000


def convolutions(layers: int, channels: int = 4) -> bytes:
    """Return a JSON description of a residual network with many convolutions, some of whose tensors stay alive."""
    entries: list[dict[str, Any]] = []
    for index in range(layers):
        entries.append(
            {"name": f"c{index}", "kind": "convolution", "output_channels": channels, "kernel": 3, "padding": "same"}
        )
        if index % 3 == 2:
            entries.append({"name": f"a{index}", "kind": "add", "inputs": [f"c{index}", f"c{index - 2}"]})
    return json.dumps({"input": {"shape": [channels, 8, 8]}, "layers": entries}).encode()


HARD: Final = {"flash": "2MB", "ram": "400", "time_limit_seconds": 5.0}
"""A question about many convolutions that takes seconds: nothing fits."""


@dataclass
class Health:
    """Times in seconds in which /healthz answered."""

    seconds: list[float] = field(default_factory=list)

    def slowest_of(self, share: float) -> float:
        """Return the time within which a share of all requests was answered."""
        return float(np.quantile(self.seconds, share))


@contextmanager
def watched_health(service: LiveService) -> Iterator[Health]:
    """Ask for the health of a service again and again, over one connection; every answer must be 200."""
    health, has_ended = Health(), threading.Event()
    statuses: set[int] = set()

    def watch() -> None:
        with httpx.Client(base_url=service.url, timeout=30) as client:
            while not has_ended.is_set():
                began = time.perf_counter()
                statuses.add(client.get("/healthz").status_code)
                health.seconds.append(time.perf_counter() - began)
                has_ended.wait(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield health
    finally:
        has_ended.set()
        watcher.join()
    assert statuses == {200}


@contextmanager
def asserted_health(service: LiveService) -> Iterator[Health]:
    """Watch the health of a service, and check that 99 % of the answers come within half a second, or little more than
    they take on this machine while the service does nothing: other programs may have the processors.
    """
    with watched_health(service) as without:
        wait_until(lambda: len(without.seconds) >= 100)
    with watched_health(service) as health:
        yield health
    print(f"healthz: p50 {health.slowest_of(0.5):.4f} s, p99 {health.slowest_of(0.99):.4f} s")
    print(f"without: p50 {without.slowest_of(0.5):.4f} s, p99 {without.slowest_of(0.99):.4f} s")
    assert health.slowest_of(0.99) < 0.5 + 3 * without.slowest_of(0.99), "0.1 s on a machine that does nothing else"


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition() and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert condition()


def load_of(service: LiveService) -> tuple[int, int]:
    """Return the number of questions that run and the number of those that wait."""
    state = service.http.get("/readyz").raise_for_status().json()
    return state["running"], state["waiting"]


def left_request(service: LiveService, path: str, body: dict[str, Any]) -> socket.socket:
    """Send a request and return its connection, without waiting for the answer."""
    address = urlsplit(service.url)
    connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=30)
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    connection.sendall(head.encode() + content)
    return connection


def tasks_of(service: LiveService) -> list[int]:
    """Return the process ids of the tasks that the service has started."""
    (server,) = readers_of(service.process.pid)
    return [int(each) for each in Path(f"/proc/{server}/task/{server}/children").read_text().split()]


@pytest.fixture(scope="module")
def one_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    data = tmp_path_factory.mktemp("load") / "data"
    with LiveService(data, "--max-solves=1", "--queue-length=2") as running:
        yield running


@pytest.fixture(scope="module")
def hard_network(one_place: LiveService) -> str:
    return one_place.upload_network(convolutions(1500))


def test_who_leaves_kills_the_work(one_place: LiveService, hard_network: str) -> None:
    connection = left_request(one_place, f"/v1/networks/{hard_network}/fit", HARD)
    wait_until(lambda: load_of(one_place) == (1, 0) and len(tasks_of(one_place)) == 1)
    (task,) = tasks_of(one_place)
    connection.close()
    wait_until(lambda: not is_alive(task))
    wait_until(lambda: load_of(one_place) == (0, 0))


def test_a_full_queue_refuses_with_the_time_to_come_again(one_place: LiveService, hard_network: str) -> None:
    path = f"/v1/networks/{hard_network}/fit"
    connections = [left_request(one_place, path, HARD | {"ram": str(400 + number)}) for number in range(3)]
    wait_until(lambda: load_of(one_place) == (1, 2))
    for what in ("fit", "devices", "pareto"):
        began = time.monotonic()
        refused = one_place.http.post(f"/v1/networks/{hard_network}/{what}", json={} if what == "devices" else HARD)
        assert time.monotonic() - began < 5
        assert "send the request again after" in assert_problem(refused, 429, "busy")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    for each in connections:
        each.close()
    wait_until(lambda: load_of(one_place) == (0, 0))
    small = one_place.upload_network(tiny_json())
    assert one_place.http.post(f"/v1/networks/{small}/fit", json={"flash": "60kB", "ram": "9kB"}).json()["fits"]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """Return a service that answers within two seconds, and is ready."""
    with LiveService(tmp_path_factory.mktemp("hasty") / "data", "--request-seconds=2") as running:
        wait_until(lambda: running.http.get("/readyz").is_success)
        yield running


def test_a_time_limit_beyond_the_deadline_says_what_to_do(hasty: LiveService) -> None:
    small = hasty.upload_network(tiny_json())
    path, budget = f"/v1/networks/{small}/fit", {"flash": "60kB", "ram": "9kB"}
    refused = hasty.http.post(path, json=budget | {"time_limit_seconds": 1.7})
    assert assert_problem(refused, 422, "solving-limit") == (
        "time_limit_seconds is 1.7; expected at most 1.5, because the service answers each request within 2 s: give a "
        "smaller time limit, or let the operator of the service raise BITBUDGET_REQUEST_SECONDS; or ask it as a job, "
        f'which may take a day: POST /v1/jobs with the same body and "kind": "fit", "network_id": "{small}"'
    )
    for accepted in ({"time_limit_seconds": 1.5}, {}, {"method": "mixpc", "time_limit_seconds": 600.0}):
        assert hasty.http.post(path, json=budget | accepted).json()["fits"], accepted


def test_a_question_that_exceeds_its_deadline_is_ended(hasty: LiveService) -> None:
    hard = hasty.upload_network(convolutions(2500))
    began = time.monotonic()
    response = hasty.http.post(f"/v1/networks/{hard}/fit", json={"flash": "2MB", "ram": "400"})
    assert time.monotonic() - began < 10
    detail = assert_problem(response, 422, "solving-limit")
    assert detail.startswith("answering the question took longer than ")
    assert detail.endswith(
        "expected a network for a microcontroller: give a smaller time_limit_seconds, fewer points or devices, or a "
        "smaller network; or send a fit or a Pareto front to POST /v1/jobs, or let the operator of the service raise "
        "BITBUDGET_REQUEST_SECONDS"
    )
    wait_until(lambda: load_of(hasty) == (0, 0))


def test_sigterm_ends_the_service_with_requests_in_flight(tmp_path: Path) -> None:
    service = LiveService(tmp_path / "data", "--max-solves=1")
    hard = service.upload_network(convolutions(1500))
    connections = [left_request(service, f"/v1/networks/{hard}/fit", HARD | {"ram": str(400 + n)}) for n in range(4)]
    wait_until(lambda: load_of(service) == (1, 3))
    (server,), (task,) = readers_of(service.process.pid), tasks_of(service)
    began = time.monotonic()
    assert service.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10
    assert not is_alive(server)
    wait_until(lambda: not is_alive(task))
    for each in connections:
        each.close()


@pytest.mark.long
def test_nothing_fits_400_convolutions_within_a_time_limit_of_two_seconds(service: LiveService) -> None:
    network = service.upload_network(convolutions(400))
    question = {"flash": "80kB", "ram": "800", "time_limit_seconds": 2.0}
    began = time.monotonic()
    answer = service.http.post(f"/v1/networks/{network}/fit", json=question).raise_for_status().json()
    assert time.monotonic() - began < 10, "3 s on a machine that does nothing else"
    assert (answer["fits"], answer["certificate"]["budget"]) == (False, "ram")


@pytest.mark.long
def test_45_abandoned_fits_of_2000_convolutions(tmp_path: Path) -> None:
    with LiveService(tmp_path / "data") as service:
        network = service.upload_network(convolutions(2000))
        path = f"/v1/networks/{network}/fit"
        with asserted_health(service) as health:
            connections = [
                left_request(service, path, {"flash": "2MB", "ram": f"{3000 + n}", "time_limit_seconds": 1.0})
                for n in range(45)
            ]
            wait_until(lambda: sum(load_of(service)) >= 40)
            before = len(health.seconds)
            wait_until(lambda: len(health.seconds) > before + 200, 60)
            assert resident_bytes(service.process.pid) < MAX_SERVICE_BYTES
            for each in connections:
                each.close()
            wait_until(lambda: load_of(service) == (0, 0))
            small = service.upload_network(tiny_json())
            assert service.http.post(f"/v1/networks/{small}/fit", json={"flash": "60kB", "ram": "9kB"}).is_success
        assert service.end(signal.SIGTERM) == 0


@pytest.mark.long
def test_16_fits_of_a_network_of_51_megabytes_at_once(tmp_path: Path) -> None:
    from benchmarks.networks import mobilenet_v2

    content = to_onnx(mobilenet_v2(2.0, 96, seed=0))
    assert len(content) > 40_000_000
    with LiveService(tmp_path / "data") as service:
        network = service.upload_network(content, "large.onnx")
        with asserted_health(service), ThreadPoolExecutor(16) as executor:

            def fit(number: int) -> int:
                question = {"flash": "20MB", "ram": f"{400 + number}kB", "time_limit_seconds": 20.0}
                response = httpx.post(f"{service.url}/v1/networks/{network}/fit", json=question, timeout=300)
                return response.status_code

            statuses = list(executor.map(fit, range(16)))
        assert statuses == [200] * 16
        assert resident_bytes(service.process.pid) < MAX_SERVICE_BYTES


@pytest.mark.long
def test_45_job_requests_on_a_large_dataset(tmp_path: Path) -> None:
    """The dataset is read at its upload, and by no request for a job."""
    from tests.api.small_files import npz

    rng = np.random.default_rng(0)
    samples = rng.integers(0, 256, (40_000, 8, 8, 1), dtype=np.uint8)
    content = npz(train_x=samples, train_y=rng.integers(0, 10, 40_000), test_x=samples[:100], test_y=np.zeros(100, int))
    digits = Path(__file__).parents[3] / "examples" / "digits" / "digits.onnx"
    with LiveService(tmp_path / "data") as service:
        network = service.upload_network(digits.read_bytes(), "digits.onnx")
        dataset = service.upload_dataset(content)
        for file in (tmp_path / "data" / "datasets").iterdir():
            file.write_bytes(b"")  # who reads it fails
        request = {"network_id": network, "dataset": dataset, "flash": f"{MAX_BUDGET_BYTES}", "ram": "1MB"}
        # One client for all: 45 of their own would keep this process, and its watch over the health, busy.
        limits = httpx.Limits(max_connections=45)
        with (
            httpx.Client(base_url=service.url, timeout=120, limits=limits) as client,
            asserted_health(service),
            ThreadPoolExecutor(45) as executor,
        ):

            def create(number: int) -> int:
                return client.post("/v1/jobs", json=request | {"training": {"seed": number}}).status_code

            statuses = set(executor.map(create, range(45)))
        assert statuses <= {202, 429}
        assert 202 in statuses
        assert resident_bytes(service.process.pid) < MAX_SERVICE_BYTES
