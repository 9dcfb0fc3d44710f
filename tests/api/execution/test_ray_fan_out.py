"""Sweeps on a Ray cluster: their parts are tasks, the results are those of one process, and a lost task is repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.execution.test_fault_rounds import contents
from tests.api.live_service import Answer, LiveService
from tests.api.operations.test_shrink_job import without_times
from tests.api.ray_cluster import ROOT, RayCluster
from tests.api.small_files import tiny_dataset, tiny_json

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(processors=3) as running:
        yield running


@pytest.fixture(scope="module")
def on_ray(cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    where = ["--executor=ray", f"--ray-address={cluster.url}", f"--ray-python={sys.executable}"]
    with LiveService(tmp_path_factory.mktemp("on-ray") / "data", *where, "--job-processors=1") as service:
        yield service


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("local") / "data", "--job-processors=1") as service:
        yield service


PATIENCE_SECONDS = 240.0
"""Each task loads torch, which takes long on a busy machine."""


def finished(service: LiveService, job_id: str) -> Answer:
    wait_for(lambda: service.job(job_id)["state"] in {"succeeded", "failed", "cancelled"})
    return service.job(job_id)


def shrink(service: LiveService, epochs: int = 0) -> str:
    return service.start_job(
        kind="shrink", network_id=service.upload_network(tiny_json()), dataset=service.upload_dataset(tiny_dataset()),
        accounting="paper", sensitivity="measured", max_loss=20.0, points=6,
        training={"epochs": epochs, "batch_size": 32, "threads": 1, "post_training": {"rounding_steps": 4}},
    )  # fmt: skip


def same_results(first: LiveService, one: Answer, second: LiveService, other: Answer) -> None:
    assert one["state"] == other["state"] == "succeeded", (one["error"], other["error"])
    assert without_times(one["result"]) == without_times(other["result"])
    own = {name: digest for name, digest in contents(one).items() if not name.endswith("report.json")}
    assert own == {name: digest for name, digest in contents(other).items() if not name.endswith("report.json")}


def test_a_shrink_has_the_files_of_one_that_trains_point_by_point(on_ray: LiveService, local: LiveService) -> None:
    same_results(on_ray, finished(on_ray, shrink(on_ray)), local, finished(local, shrink(local)))


def test_measured_sensitivities_are_those_of_one_process(on_ray: LiveService, local: LiveService) -> None:
    tables = []
    for service in (on_ray, local):
        network_id = service.upload_network(tiny_json())
        asked = {"dataset": service.upload_dataset(tiny_dataset()), "measure": "measured"}
        started = service.http.post(f"/v1/networks/{network_id}/sensitivity", json=asked)
        assert started.status_code == 202, started.text
        tables.append(finished(service, started.json()["id"]))
    same_results(on_ray, tables[0], local, tables[1])


def tasks_of(cluster: RayCluster) -> list[int]:
    """Return the processes of the cluster that compute a part of a job."""
    return [process_id for process_id, name in cluster.names() if name.startswith("ray::_compute")]


def wait_for(condition: Any) -> Any:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    return found


def test_a_lost_task_is_repeated_and_a_cancelled_job_leaves_none(on_ray: LiveService, cluster: RayCluster) -> None:
    job_id = shrink(on_ray, epochs=2000)
    wait_for(lambda: (on_ray.job(job_id)["progress"] or {}).get("phase") == "training")
    before = wait_for(lambda: tasks_of(cluster))
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: set(tasks_of(cluster)) - set(before))
    assert on_ray.job(job_id)["state"] == "running"
    assert on_ray.http.post(f"/v1/jobs/{job_id}/cancel").is_success
    assert finished(on_ray, job_id)["state"] == "cancelled"
    wait_for(lambda: not tasks_of(cluster))


FULL_CLUSTER = """
import ray
from api.execution.job_share import JobShare
from api.execution.ray_fan_out import RayFanOut
from qat.progress import Progress

def doubled(shared, given, report):
    report(Progress(phase=f"doubling {given}"))
    return shared + 2 * given

ray.init(address="auto", log_to_driver=False)
told = []
share = JobShare(processors=3, gpus=0, memory_bytes=None, is_chosen=True)
blocker = ray.remote(num_cpus=3)(lambda: __import__("time").sleep(3600))
kept = blocker.remote()
while ray.available_resources().get("CPU"):
    pass
found = dict(RayFanOut(share, 2, patience_seconds=0).map(doubled, 1, [1, 2], lambda *each: told.append(each)))
assert found == {0: 3, 1: 5}, found
assert [(number, progress.phase) for number, progress in told] == [(0, "doubling 1"), (1, "doubling 2")], told
ray.cancel(kept, force=True)
found = dict(RayFanOut(share, 2).map(doubled, 1, [1, 2], lambda *each: None))
assert found == {0: 3, 1: 5}, found
"""


def test_where_no_task_can_begin_the_worker_computes_the_parts(cluster: RayCluster) -> None:
    """Several sweeps may hold all processors of a cluster, and wait for tasks of their own."""
    run = subprocess.run(
        [sys.executable, "-c", FULL_CLUSTER],
        env=os.environ | {"RAY_ADDRESS": cluster.address, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)},
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
