"""Random faults while a service reads and answers: its process server and the processes of tasks are killed.

Each request is answered, or refused in words; an answer has the same bytes as of an undisturbed service; in the end the
service answers as before, and no process is left over. Each round draws its faults from its number;
BITBUDGET_FAULT_ROUNDS sets how many rounds are run, 3 by default.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from api.errors import BUSY, INTERNAL_ERROR, INVALID_DATASET, UNAVAILABLE, UNREADABLE_FILE
from tests.api.execution.test_fault_rounds import ROUNDS
from tests.api.http.test_load import convolutions
from tests.api.http.test_reading_limits import long_chain
from tests.api.http.test_weight_files import readers_of
from tests.api.live_service import LiveService, is_alive
from tests.api.small_files import DIGITS_ONNX, tiny_dataset, tiny_json

pytestmark = pytest.mark.long

CLIENTS: Final = 4
REQUESTS: Final = 40
"""Number of requests in a round."""
LONGEST_PAUSE_SECONDS: Final = 0.4
"""Longest time in seconds between two kills."""
TIMEOUT_SECONDS: Final = 120.0
OF_SERVICE: Final = {kind.type for kind in (BUSY, INTERNAL_ERROR, UNAVAILABLE)}
"""Problems by which the service says that it could not finish a request."""
OF_CRASH: Final = {kind.type for kind in (INVALID_DATASET, UNREADABLE_FILE)}
"""Problems of a file that its reader did not survive."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """Return one service for all rounds, which has to stand them all."""
    with LiveService(tmp_path_factory.mktemp("pool") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def requests(service: LiveService) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the paths and the contents of the requests of a round; an answer to each is not kept already."""
    digits = service.upload_network(DIGITS_ONNX.read_bytes(), DIGITS_ONNX.name)
    wide = service.upload_network(convolutions(40))
    return {
        "read": ("/v1/networks", {"files": {"file": ("digits.onnx", DIGITS_ONNX.read_bytes())}}),
        "read long": ("/v1/networks", {"files": {"file": ("long.json", long_chain(1500))}}),
        "read dataset": ("/v1/datasets", {"files": {"file": ("data.npz", tiny_dataset())}}),
        "fit": (f"/v1/networks/{digits}/fit", {"json": {"ram": "2800"}}),
        "fit long": (f"/v1/networks/{wide}/fit", {"json": {"ram": "2kB", "time_limit_seconds": 2.0}}),
        "devices": (f"/v1/networks/{digits}/devices", {"json": {"devices": ["nrf52840"], "reserved_ram": 100}}),
    }


def descendants(process_id: int) -> list[int]:
    """Return the process ids of the living processes below one."""
    try:
        listed = [(thread / "children").read_text() for thread in Path(f"/proc/{process_id}/task").iterdir()]
    except OSError:
        return []
    children = [int(child) for text in listed for child in text.split()]
    return [*children, *(each for child in children for each in descendants(child))]


def kill_one(service: LiveService, draw: random.Random) -> str | None:
    """Kill the process server or one of the processes below it; return which, or None if there is none."""
    servers = readers_of(service.process.pid)
    tasks = [each for server in servers for each in descendants(server)]
    victims = servers if draw.random() < 0.3 else tasks
    if not victims:
        return None
    try:
        os.kill(draw.choice(victims), draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV]))
    except ProcessLookupError:
        return None
    return "server" if victims is servers else "task"


def asked(path: str, content: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the content of a request; a budget that no request has had, so that its answer is not kept."""
    if "json" not in content or "devices" in content["json"]:
        return content
    return {"json": content["json"] | {"flash": str(18_000 + number)}}


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_every_request_is_answered_or_refused_in_words(
    service: LiveService, requests: dict[str, tuple[str, dict[str, Any]]], round_number: int
) -> None:
    draw = random.Random(2000 + round_number)  # noqa: S311  # a repeatable draw
    chosen = [draw.choice(list(requests)) for _ in range(REQUESTS)]
    numbers = [REQUESTS * round_number + number for number in range(REQUESTS)]

    def send(name: str, number: int) -> httpx.Response:
        path, content = requests[name]
        return httpx.post(f"{service.url}{path}", **asked(path, content, number), timeout=TIMEOUT_SECONDS)

    killed = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        futures: list[Future[httpx.Response]] = [
            pool.submit(send, name, number) for name, number in zip(chosen, numbers, strict=True)
        ]
        while not all(future.done() for future in futures):
            time.sleep(draw.uniform(0, LONGEST_PAUSE_SECONDS))
            killed.append(kill_one(service, draw))
    answers = [future.result() for future in futures]
    refused = [answer for answer in answers if not answer.is_success]
    for answer in refused:
        problem = answer.json()
        assert problem["detail"], problem
        if problem["type"] not in OF_SERVICE:
            assert problem["type"] in OF_CRASH, problem
            assert "was ended by" in problem["detail"], problem
    for name, number, answer in zip(chosen, numbers, answers, strict=True):
        again = send(name, number)
        assert again.is_success, f"the service has not recovered: {again.text}"
        if answer.is_success:
            assert without_times(again.json()) == without_times(answer.json())
    kills = len([each for each in killed if each])
    print(f"round {round_number}: {kills} kills, {len(refused)} of {REQUESTS} refused")
    assert len(readers_of(service.process.pid)) == 1
    give_up_at = time.monotonic() + TIMEOUT_SECONDS
    while service.http.get("/readyz").json()["running"]:  # a place is free when the process of its task has ended
        assert time.monotonic() < give_up_at, "a place of the pool is lost"
        time.sleep(0.05)


def without_times(answer: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in answer.items() if name != "created_at"})


def test_no_process_outlives_the_service(tmp_path: Path) -> None:
    """A process of a task notices that the process server is gone, and ends."""
    with LiveService(tmp_path / "data") as service:
        network = service.upload_network(convolutions(40))
        service.http.post(
            f"/v1/networks/{network}/fit", json={"flash": "18kB", "ram": "2kB", "time_limit_seconds": 1.0}
        )
        (server,) = readers_of(service.process.pid)
        tasks = descendants(server)
        os.kill(server, signal.SIGKILL)
        give_up_at = time.monotonic() + 20
        while any(is_alive(each) for each in tasks):
            assert time.monotonic() < give_up_at, "a process of a task lives on"
            time.sleep(0.05)
        assert service.upload_network(tiny_json())
