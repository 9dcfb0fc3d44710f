"""Whole jobs on a Ray cluster: the same files as on one machine, and nothing is lost or run twice if Ray is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from api.execution.executor import Attempt, ExecutorUnavailable
from api.execution.ray_executor import RayExecutor
from api.settings import Settings
from api.storage.database import Store
from tests.api.execution.test_crashes import assert_whole, job_request
from tests.api.execution.test_fault_rounds import contents, workers_of
from tests.api.execution.watched_workers import watched
from tests.api.live_service import Answer, LiveService, is_alive, is_training
from tests.api.ray_cluster import RayCluster

pytestmark = pytest.mark.long

EPOCHS = 150
"""Long enough that the job is in the middle of its training when its cluster is killed."""

PATIENCE_SECONDS = 240.0
"""Each worker loads torch, which takes long on a busy machine."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster() as running:
        yield running


class Services:
    """Services on one data directory and one cluster, one after the other."""

    def __init__(self, data: Path, cluster: RayCluster) -> None:
        self.data = data
        where = ["--executor=ray", f"--ray-address={cluster.url}", f"--ray-python={sys.executable}"]
        self._options = [*where, "--job-processors=1"]
        self._stack = ExitStack()
        self.latest = self.next()

    def next(self) -> LiveService:
        self.latest = LiveService(self.data, *self._options)
        return self.latest

    def end(self) -> None:
        if self.latest.process.poll() is None:
            self.latest.end(signal.SIGTERM)


@pytest.fixture
def services(tmp_path: Path, cluster: RayCluster) -> Iterator[Services]:
    opened = Services(tmp_path / "data", cluster)
    yield opened
    opened.end()


def finished(service: LiveService, job_id: str) -> Answer:
    wait_until(lambda: service.job(job_id)["state"] in {"succeeded", "failed", "cancelled"})
    return service.job(job_id)


def wait_for_epoch(service: LiveService, job_id: str, epoch: int) -> None:
    wait_until(lambda: is_training(epoch)(service.job(job_id)))


def attempts_of(data: Path, job_id: str) -> int:
    store = Store(Settings(data_directory=data).database)
    job = store.job(job_id)
    store.close()
    assert job is not None
    return job.attempt


def test_a_job_runs_on_the_cluster_and_its_files_are_those_of_a_local_job(services: Services, tmp_path: Path) -> None:
    service = services.latest
    job = finished(service, service.start_job(**job_request(service, epochs=3)))
    assert_whole(service, job, epochs=3)
    assert attempts_of(services.data, job["id"]) == 1
    log = service.http.get(f"/v1/jobs/{job['id']}/log").text
    assert f"attempt 1 of job {job['id']} ends" in log
    with LiveService(tmp_path / "local") as local:
        same = finished(local, local.start_job(**job_request(local, epochs=3)))
        assert contents(job) == contents(same)


def test_a_cancelled_job_leaves_the_cluster(services: Services, cluster: RayCluster) -> None:
    service = services.latest
    job_id = service.start_job(**job_request(service, epochs=10_000))
    wait_for_epoch(service, job_id, 1)
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").is_success
    assert finished(service, job_id)["state"] == "cancelled"
    wait_until(lambda: not workers_of(services.data))
    wait_until(lambda: not [each for each in cluster.submissions() if job_id in each])


def test_a_killed_worker_is_replaced(services: Services) -> None:
    service = services.latest
    job_id = service.start_job(**job_request(service, epochs=EPOCHS))
    wait_for_epoch(service, job_id, 5)
    [(worker, _)] = workers_of(services.data)
    os.kill(worker, signal.SIGKILL)
    assert_whole(service, finished(service, job_id), epochs=EPOCHS)
    assert attempts_of(services.data, job_id) == 2


def test_a_worker_outlives_its_service(services: Services) -> None:
    service = services.latest
    job_id = service.start_job(**job_request(service, epochs=EPOCHS))
    wait_for_epoch(service, job_id, 1)
    [(worker, _)] = workers_of(services.data)
    service.end(signal.SIGKILL)
    assert is_alive(worker)
    service = services.next()
    assert_whole(service, finished(service, job_id), epochs=EPOCHS)
    assert attempts_of(services.data, job_id) == 1


def test_a_killed_head_loses_nothing_and_runs_nothing_twice(services: Services, cluster: RayCluster) -> None:
    service = services.latest
    request: dict[str, Any] = job_request(service, epochs=EPOCHS)
    unbroken = finished(service, service.start_job(**request))
    with watched(lambda: workers_of(services.data)) as seen:
        job_id = service.start_job(**request)
        wait_for_epoch(service, job_id, 5)
        cluster.kill()
        wait_until(lambda: not workers_of(services.data))
        assert service.http.get("/readyz").is_success, "the service itself is well"
        assert service.job(job_id)["state"] == "running", "it is not known yet that the worker is gone"
        cluster.start()
        job = finished(service, job_id)
    assert seen == []
    assert_whole(service, job, epochs=EPOCHS)
    assert attempts_of(services.data, job_id) == 2
    assert contents(job) == contents(unbroken)


def test_a_job_whose_node_is_lost_continues_on_another_one(tmp_path: Path) -> None:
    """The head runs no jobs; the node dies with everything on it, and Ray finds out by itself."""
    with RayCluster(processors=0) as cluster:
        node = cluster.add_node(processors=1)
        services = Services(tmp_path / "data", cluster)
        try:
            service = services.latest
            job_id = service.start_job(**job_request(service, epochs=EPOCHS))
            wait_for_epoch(service, job_id, 5)
            with watched(lambda: workers_of(services.data)) as seen:
                cluster.kill_node(node)
                cluster.add_node(processors=1)
                job = finished(service, job_id)
            assert seen == []
            assert_whole(service, job, epochs=EPOCHS)
            assert attempts_of(services.data, job_id) == 2
        finally:
            services.end()


def test_a_cluster_with_a_token_wants_it(tmp_path: Path) -> None:
    token = "f2b6e1a09c7d4c1c8a5e3d2b1a0f9e8d"  # noqa: S105  # of this cluster alone
    with RayCluster(processors=1, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token) as cluster:
        settings = Settings(data_directory=tmp_path, executor="ray", ray_address=cluster.url)
        attempt = Attempt("job", 1)
        for given, is_welcome in ((None, False), ("0" * 32, False), (token, True)):
            executor = RayExecutor(settings.model_copy(update={"ray_token": given}))
            with nullcontext() if is_welcome else pytest.raises(ExecutorUnavailable, match=r"answered 40[13]"):
                assert executor.find(attempt) is None
            executor.close()


def wait_until(condition: Callable[[], Any]) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
