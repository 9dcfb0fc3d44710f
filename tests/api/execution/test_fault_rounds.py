"""Random faults while jobs train: services, workers and the database are killed and started again; jobs are cancelled.

Nothing is lost, nothing runs twice, no job is stuck, and the final network has the same bytes as after an unbroken run.
Each round draws its faults from its number; BITBUDGET_FAULT_ROUNDS sets how many rounds are run, 3 by default.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.execution.watched_workers import watched
from tests.api.live_service import Answer, LiveService, is_alive
from tests.api.postgres_server import PostgresServer
from tests.api.small_files import DIGITS_ONNX

pytestmark = pytest.mark.long

ROUNDS = int(os.environ.get("BITBUDGET_FAULT_ROUNDS", "3"))
FAULTS = 5
"""Number of faults in a round."""
LONGEST_PAUSE_SECONDS = 6.0
"""Longest time in seconds between two faults; a worker needs some of it to start."""
PATIENCE_SECONDS = 900.0
TRAINING = {"epochs": 6, "threads": 1, "checkpoint_minutes": 0.01}
BUDGET = {"flash": "6kB", "ram": 1500, "method": "mixpc", "accounting": "paper"}
OPTIONS = ("--max-crashes=1000", "--lease-seconds=2", "--grace-seconds=2", "--max-jobs=2")
FINAL = {"succeeded", "failed", "cancelled"}


class Services:
    """One or two services on one data directory, some of which may be dead for a moment.

    Args:
        data: The data directory.
        number: Number of services.
        server: Server of their common database; None for the SQLite file of one service.
    """

    def __init__(self, data: Path, number: int, server: PostgresServer | None) -> None:
        self.server = server
        self._data = data
        self._options = OPTIONS if server is None else (*OPTIONS, f"--database={server.new_database()}")
        self.running = [self._start() for _ in range(number)]

    def _start(self) -> LiveService:
        return LiveService(self._data, *self._options)

    @property
    def first(self) -> LiveService:
        return self.running[0]

    def restart(self, index: int, number: signal.Signals) -> None:
        self.running[index].end(number)
        self.running[index] = self._start()

    def end(self) -> None:
        for service in self.running:
            if service.process.poll() is None:
                service.end(signal.SIGTERM)


def workers_of(data: Path) -> list[tuple[int, str]]:
    """Return process id and job of each living worker of a data directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().decode().split("\0")
            environment = (process / "environ").read_bytes().decode().split("\0")
        except OSError:
            continue
        if f"BITBUDGET_DATA={data}" in environment and "api.execution.worker" in arguments:
            process_id = int(process.name)
            if is_alive(process_id):
                found.append((process_id, arguments[arguments.index("api.execution.worker") + 1]))
    return found


def job_request(service: LiveService) -> dict[str, Any]:
    network_id = service.upload_network(DIGITS_ONNX.read_bytes(), DIGITS_ONNX.name)
    return {"network_id": network_id, "dataset": "digits", "training": TRAINING, **BUDGET}


def contents(job: Answer) -> dict[str, str]:
    """Return the hash of each artifact that does not depend on how long the training took."""
    return {each["name"]: each["sha256"] for each in job["artifacts"] if each["name"] != "report.json"}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the hashes of the artifacts of a job that nothing disturbs."""
    with LiveService(tmp_path_factory.mktemp("unbroken") / "data", *OPTIONS) as service:
        job_id = service.start_job(**job_request(service))
        wait_until_final(service, [job_id])
        return contents(service.job(job_id))


def wait_until_final(service: LiveService, job_ids: list[str]) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while any((job := service.job(job_id))["state"] not in FINAL for job_id in job_ids):
        assert time.monotonic() < give_up_at, f"the job is stuck: {job}"
        time.sleep(0.2)


def disturb(services: Services, data: Path, job_ids: list[str], draw: random.Random) -> set[str]:
    """Do the faults of a round, and return the jobs that were cancelled."""
    cancelled: set[str] = set()
    for _ in range(FAULTS):
        time.sleep(draw.uniform(0, LONGEST_PAUSE_SECONDS))
        fault = draw.choice(["worker", "worker", "service", "both", "stop", "cancel", "database"])
        index = draw.randrange(len(services.running))
        victims = [process_id for process_id, _ in workers_of(data)]
        if fault in {"worker", "both"}:
            for process_id in victims if fault == "both" else victims[:1]:
                kill_if_alive(process_id)
        if fault in {"service", "both"}:
            services.restart(index, signal.SIGKILL)
        elif fault == "stop":
            services.restart(index, signal.SIGTERM)
        elif fault == "database" and services.server is not None:
            services.server.stop()  # without a checkpoint of the database, as a crash
            time.sleep(draw.uniform(0, 2))
            services.server.start()
        elif fault == "cancel" and not cancelled:
            job_id = draw.choice(job_ids)
            answer = services.running[index].http.post(f"/v1/jobs/{job_id}/cancel")
            if answer.status_code == 202:
                cancelled.add(job_id)
            else:
                assert answer.json()["type"] == "/problems/job-finished", answer.text
    return cancelled


def kill_if_alive(process_id: int) -> None:
    try:
        os.kill(process_id, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_one_service_loses_and_doubles_nothing(tmp_path: Path, unbroken: dict[str, str], round_number: int) -> None:
    play(tmp_path / "data", unbroken, random.Random(round_number))  # noqa: S311  # a repeatable draw


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_two_services_on_one_database_lose_and_double_nothing(
    tmp_path: Path, unbroken: dict[str, str], round_number: int
) -> None:
    with PostgresServer() as server:
        play(tmp_path / "data", unbroken, random.Random(1000 + round_number), server)  # noqa: S311  # as above


def play(data: Path, unbroken: dict[str, str], draw: random.Random, server: PostgresServer | None = None) -> None:
    """Play one round of faults, on one service or, with a server of a database, on two."""
    services = Services(data, 1 if server is None else 2, server)
    try:
        request = job_request(services.first)
        job_ids = [services.first.start_job(**request) for _ in range(3)]
        with watched(lambda: workers_of(data)) as doubled:
            cancelled = disturb(services, data, job_ids, draw)
            wait_until_final(services.first, job_ids)
        assert doubled == []
        for job_id in job_ids:
            job = services.first.job(job_id)
            files = {file.split("/", 2)[2] for file in services.first.files() if job_id in file}
            if job_id in cancelled:
                assert job["state"] == "cancelled", job
                assert files <= {"lock", "log.txt"}
                continue
            assert job["state"] == "succeeded", job
            assert contents(job) == unbroken
            assert not any("checkpoint" in file or ".bitbudget-" in file for file in files)
        give_up_at = time.monotonic() + 20
        while workers_of(data):
            assert time.monotonic() < give_up_at, "a worker lives on"
            time.sleep(0.1)
    finally:
        services.end()
