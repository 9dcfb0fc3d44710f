"""The service or a worker may be killed at any moment: finished work is kept, unfinished work is continued."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import run
from tests.api.http.test_jobs import BUDGET, ENDLESS
from tests.api.live_service import Answer, LiveService, is_alive, is_training, kill
from tests.api.small_files import tiny_dataset, tiny_json

EPOCHS = 200
"""Long enough to be caught in the middle, though progress is written a few times a second; a few seconds in all."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def started(data: Path) -> Iterator[list[LiveService]]:
    """Start services on one data directory, one after the other; end those that still run at the end."""
    services = [LiveService(data)]
    yield services
    if services[-1].process.poll() is None:
        services[-1].end(signal.SIGTERM)


def job_request(service: LiveService, epochs: int = EPOCHS) -> dict[str, Any]:
    return {
        "network_id": service.upload_network(tiny_json()),
        "dataset": service.upload_dataset(tiny_dataset()),
        "training": {"epochs": epochs, "batch_size": 32, "threads": 1},
        **BUDGET,
    }


def assert_whole(service: LiveService, job: dict[str, Any], epochs: int = EPOCHS) -> None:
    assert job["state"] == "succeeded", job
    assert [epoch["epoch"] for epoch in job["result"]["epochs"]] == list(range(epochs + 1))
    for artifact in job["artifacts"]:
        assert service.http.get(f"/v1/jobs/{job['id']}/artifacts/{artifact['name']}").is_success
    assert not any("checkpoint" in file or ".bitbudget-" in file for file in service.files())


def test_a_worker_outlives_its_services(data: Path, started: list[LiveService]) -> None:
    job_id = started[-1].start_job(**job_request(started[-1]))
    started[-1].wait_for(job_id, is_training(epoch=1))
    worker = started[-1].worker(job_id)
    started[-1].end(signal.SIGKILL)
    assert is_alive(worker)
    started.append(LiveService(data))
    assert started[-1].job(job_id)["state"] in {"running", "succeeded"}
    assert started[-1].worker(job_id) == worker, "it was not started again"
    started[-1].end(signal.SIGKILL)
    while is_alive(worker):
        time.sleep(0.05)
    started.append(LiveService(data))
    assert_whole(started[-1], started[-1].job(job_id))
    assert started[-1].worker(job_id) == worker


def test_a_killed_worker_is_replaced_unless_it_has_saved_nothing(data: Path, started: list[LiveService]) -> None:
    started[-1].end(signal.SIGTERM)
    started.append(LiveService(data, "--max-crashes=0"))
    service = started[-1]
    job_id = service.start_job(**job_request(service, epochs=ENDLESS["epochs"]))
    attempt = 0
    epochs: set[int] = set()

    def saves_more(job: Answer) -> bool:
        """Collect the epochs of a job until an attempt after the last one has saved work."""
        if job["progress"] and job["progress"]["phase"] in {"training", "validating"}:
            epochs.add(job["progress"]["epoch"])
        return service.attempt_with_saved_work(job_id) > attempt

    service.wait_for(job_id, is_training(epoch=5))
    service.wait_for(job_id, saves_more)
    reached = service.job(job_id)["progress"]["epoch"]
    for _ in range(2):
        attempt = service.attempt_with_saved_work(job_id)
        kill(service.worker(job_id))
        epochs.clear()
        service.wait_for(job_id, saves_more)
        assert min(epochs) >= reached - 1, "the epochs before the checkpoint are not repeated"
    kill_until_failed(service, job_id)
    job = service.job(job_id)
    assert job["state"] == "failed"
    assert job["error"]["type"] == "/problems/worker-lost"
    assert "ended unexpectedly once" in job["error"]["detail"]
    assert "signal 9" in job["error"]["detail"]
    assert f"/v1/jobs/{job_id}/retry" in job["error"]["detail"]
    assert job["artifacts"] == []
    assert not any("artifacts" in file or ".bitbudget-" in file for file in service.files())
    epochs.clear()
    assert service.http.post(f"/v1/jobs/{job_id}/retry").json()["state"] == "queued"
    service.wait_for(job_id, saves_more)
    assert min(epochs) >= reached - 1, "a retried job goes on from its checkpoint too"


def kill_until_failed(service: LiveService, job_id: str) -> None:
    """Kill each worker of a job as soon as it has started, until one of them had no time to save anything."""
    killed = {service.worker(job_id)}
    kill(service.worker(job_id))

    def has_failed(job: Answer) -> bool:
        if job["state"] == "running" and (worker := service.worker(job_id)) not in killed:
            killed.add(worker)
            kill(worker)
        return bool(job["state"] == "failed")

    service.wait_for(job_id, has_failed)


def test_when_both_die_the_job_is_taken_up_again(data: Path, started: list[LiveService]) -> None:
    service = started[-1]
    running = service.start_job(**job_request(service))
    queued = service.start_job(**job_request(service, epochs=1))
    service.wait_for(running, is_training(epoch=3))
    worker = service.worker(running)
    service.end(signal.SIGKILL)
    kill(worker)
    started.append(LiveService(data))
    assert_whole(started[-1], started[-1].finished(running))
    assert_whole(started[-1], started[-1].finished(queued), epochs=1)


def test_a_service_that_is_asked_to_end_takes_its_workers_along(data: Path, started: list[LiveService]) -> None:
    job_id = started[-1].start_job(**job_request(started[-1]))
    attempt = 0

    def saves_more(_: Answer) -> bool:
        return started[-1].attempt_with_saved_work(job_id) > attempt

    for _ in range(2):  # more often than a worker may crash, because this does not count as a crash
        started[-1].wait_for(job_id, saves_more)
        attempt = started[-1].attempt_with_saved_work(job_id)
        worker = started[-1].worker(job_id)
        assert started[-1].end(signal.SIGTERM) == 0
        assert not is_alive(worker)
        started.append(LiveService(data))
    assert_whole(started[-1], started[-1].finished(job_id))


def test_a_stubborn_worker_is_ended_when_the_grace_is_over(started: list[LiveService]) -> None:
    service = started[-1]
    job_id = service.start_job(**job_request(service, epochs=ENDLESS["epochs"]))
    service.wait_for(job_id, is_training(epoch=1))
    worker = service.worker(job_id)
    os.kill(worker, signal.SIGSTOP)  # a stopped process does not react to SIGTERM
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    assert service.finished(job_id)["state"] == "cancelled"
    assert not is_alive(worker)


def test_one_directory_has_one_service(
    data: Path, started: list[LiveService], capsys: pytest.CaptureFixture[str]
) -> None:
    assert started[-1].http.get("/healthz").is_success
    assert run(["serve", "--port", "0", "--data", str(data)]) == 2
    assert "another service uses" in capsys.readouterr().err


def test_what_cannot_be_served_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options, expected in (
            (["--port", port], f"cannot listen on 127.0.0.1 port {port}"),
            (["--port", "0", "--data", str(tmp_path / "file")], "as the data directory"),
            (["--port", "0", "--max-network-size", "big"], "--max-network-size is 'big'"),
            (["--port", "-1"], "-1 is not in the range"),
        ):
            assert run(["serve", *options]) == 2
            output = capsys.readouterr()
            assert (output.out, output.err.count("\n")) == ("", 1)
            assert expected in output.err
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]
