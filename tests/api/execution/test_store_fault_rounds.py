"""Random faults of two machines that share a database and a store: connections to the store break, services and workers
are killed and started again, jobs are cancelled.

Nothing is lost, nothing runs twice, no job is stuck, the final network has the same bytes as after an unbroken run, and
nothing is left in the store. The store itself is moto's server, whose objects do not survive its end: therefore its
connections are cut off at any byte, and refused for a while, as by a store that is killed and started again.
BITBUDGET_FAULT_ROUNDS sets how many rounds are run, 3 by default.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.api.execution.test_fault_rounds import (
    FAULTS,
    LONGEST_PAUSE_SECONDS,
    OPTIONS,
    ROUNDS,
    contents,
    job_request,
    kill_if_alive,
    wait_until_final,
    workers_of,
)
from tests.api.execution.watched_workers import watched
from tests.api.live_service import LiveService, kill
from tests.api.postgres_server import PostgresServer
from tests.api.s3_server import S3Server, reaching

pytestmark = pytest.mark.long

LONGEST_CUT_SECONDS = 8.0


class Machines:
    """Two machines, each with a data directory and a service; one of the services may be dead for a moment."""

    def __init__(self, folder: Path, server: PostgresServer, store: str) -> None:
        self._options = (*OPTIONS, f"--database={server.new_database()}", f"--store={store}")
        self.data = [folder / name / "data" for name in ("first", "second")]
        for each in self.data:
            each.parent.mkdir()
        self.services = [LiveService(each, *self._options) for each in self.data]

    def workers(self) -> list[tuple[int, str]]:
        return [worker for each in self.data for worker in workers_of(each)]

    def restart(self, index: int, number: signal.Signals) -> None:
        self.services[index].end(number)
        self.services[index] = LiveService(self.data[index], *self._options)

    def lose(self, index: int) -> None:
        """Kill all of a machine, and start its service again on an empty disk."""
        self.services[index].end(signal.SIGKILL)
        for process_id, _ in workers_of(self.data[index]):
            kill(process_id)
        shutil.rmtree(self.data[index])
        self.services[index] = LiveService(self.data[index], *self._options)

    def end(self) -> None:
        for service in self.services:
            if service.process.poll() is None:
                service.end(signal.SIGTERM)


def disturb(machines: Machines, s3: S3Server, job_ids: list[str], draw: random.Random) -> set[str]:
    """Do the faults of a round, and return the jobs that were cancelled."""
    cancelled: set[str] = set()
    for _ in range(FAULTS):
        time.sleep(draw.uniform(0, LONGEST_PAUSE_SECONDS))
        fault = draw.choice(["store", "store", "flicker", "worker", "service", "machine", "cancel"])
        index = draw.randrange(2)
        if fault == "store":
            s3.proxy.cut()
            time.sleep(draw.uniform(0, LONGEST_CUT_SECONDS))
            s3.proxy.restore()
        elif fault == "flicker":
            for _ in range(5):
                s3.proxy.cut()
                s3.proxy.restore()
                time.sleep(draw.uniform(0, 0.5))
        elif fault == "worker":
            for process_id, _ in machines.workers()[:1]:
                kill_if_alive(process_id)
        elif fault == "service":
            machines.restart(index, draw.choice([signal.SIGKILL, signal.SIGTERM]))
        elif fault == "machine":  # it comes back without what was on its disk
            machines.lose(index)
        elif not cancelled:
            job_id = draw.choice(job_ids)
            answer = machines.services[index].http.post(f"/v1/jobs/{job_id}/cancel")
            if answer.status_code == 202:
                cancelled.add(job_id)
            else:
                assert answer.json()["type"] == "/problems/job-finished", answer.text
    return cancelled


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the hashes of the artifacts of a job that nothing disturbs, of a service without a store."""
    with LiveService(tmp_path_factory.mktemp("unbroken") / "data", *OPTIONS) as service:
        job_id = service.start_job(**job_request(service))
        wait_until_final(service, [job_id])
        return contents(service.job(job_id))


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_two_machines_on_one_store_lose_and_double_nothing(
    tmp_path: Path, s3: S3Server, unbroken: dict[str, str], round_number: int
) -> None:
    draw = random.Random(2000 + round_number)  # noqa: S311  # a repeatable draw
    store = s3.new_store()
    with reaching(s3), PostgresServer() as server:
        machines = Machines(tmp_path, server, store)
        try:
            request = job_request(machines.services[0])
            job_ids = [machines.services[0].start_job(**request) for _ in range(3)]
            with watched(machines.workers) as doubled:
                cancelled = disturb(machines, s3, job_ids, draw)
                wait_until_final(machines.services[0], job_ids)
            assert doubled == []
            for job_id in job_ids:
                job = machines.services[0].job(job_id)
                assert job["state"] == ("cancelled" if job_id in cancelled else "succeeded"), job
                assert job_id in cancelled or contents(job) == unbroken
                for artifact in job["artifacts"]:
                    path = f"/v1/jobs/{job_id}/artifacts/{artifact['name']}"
                    answers = [service.http.get(path) for service in machines.services]
                    assert [each.status_code for each in answers] == [200, 200]
                    assert answers[0].content == answers[1].content
                assert machines.services[1].http.delete(f"/v1/jobs/{job_id}").status_code == 204
            network = request["network_id"]
            give_up_at = time.monotonic() + 30
            while left := [name for name in s3.objects(store) if not name.startswith(f"networks/{network}/")]:
                assert time.monotonic() < give_up_at, left
                time.sleep(0.5)
        finally:
            s3.proxy.restore()
            machines.end()
