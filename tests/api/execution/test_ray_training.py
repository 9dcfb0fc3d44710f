"""Training in several processes on a Ray cluster: the network of torchrun, and no work is lost after a fault."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.api.execution.test_crashes import assert_whole, job_request
from tests.api.execution.test_fault_rounds import contents, workers_of
from tests.api.execution.test_ray_jobs import attempts_of, finished, wait_for_epoch, wait_until
from tests.api.live_service import ROOT, Answer, LiveService, is_alive
from tests.api.ray_cluster import RayCluster, free_ports
from tests.api.small_files import tiny_dataset, tiny_json

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("pandas") is None,
        reason="Ray Train needs packages that are not installed (pip install 'bitbudget[ray]')",
    ),
]

EPOCHS = 150
"""Long enough that the job is in the middle of its training when a process is killed."""
ENDLESS = 10_000
TOGETHER = {"processors": 1, "training_processes": 2}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(processors=3) as running:  # two for the processes; the worker takes a hundredth of one
        yield running


@pytest.fixture(scope="module")
def service(cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    where = ["--executor=ray", f"--ray-address={cluster.url}", f"--ray-python={sys.executable}"]
    with LiveService(tmp_path_factory.mktemp("on-ray") / "data", *where) as running:
        yield running


def start(service: LiveService, epochs: int, **training: Any) -> str:
    request = job_request(service, epochs=epochs)
    request["training"] |= training
    return service.start_job(**request, resources=TOGETHER)


def processes_of(cluster: RayCluster) -> list[int]:
    """Return the training processes of the cluster, which Ray names after their class."""
    return sorted(process_id for process_id, name in cluster.names() if "RayTrainWorker" in name)


def by_torchrun(folder: Path, request: dict[str, Any]) -> dict[str, str]:
    """Train with the command in two processes as torchrun starts them; return the hash of each file of the result."""
    (folder / "tiny.json").write_bytes(tiny_json())
    (folder / "data.npz").write_bytes(tiny_dataset())
    (folder / "training.json").write_text(json.dumps(request["training"]))
    command = [
        *(sys.executable, "-m", "api.cli.main", "train", "tiny.json", "--data", "data.npz", "--out", "result"),
        *("--training-file", "training.json", "--flash", str(request["flash"]), "--ram", str(request["ram"])),
        *("--method", request["method"], "--accounting", request["accounting"]),
    ]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_ports(1)[0])}
    shared |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(command, cwd=folder, env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    assert [process.wait(120) for process in started] == [0, 0]
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in (folder / "result").iterdir()}


def test_the_files_are_those_of_two_processes_of_torchrun(service: LiveService, tmp_path: Path) -> None:
    request = job_request(service, epochs=3)
    job = finished(service, service.start_job(**request, resources=TOGETHER))
    assert_whole(service, job, epochs=3)
    expected = by_torchrun(tmp_path, request)
    del expected["report.json"]
    assert contents(job) == expected
    alone = finished(service, service.start_job(**request))
    assert contents(alone)["weights.safetensors"] != expected["weights.safetensors"], "parts have own statistics"


def test_a_lost_process_ends_the_attempt_and_the_next_one_continues(service: LiveService, cluster: RayCluster) -> None:
    unbroken = finished(service, start(service, EPOCHS))
    job_id = start(service, EPOCHS, checkpoint_minutes=0.0)
    wait_for_epoch(service, job_id, 5)
    first, second = processes_of(cluster)
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: attempts_of(service.data, job_id) == 2)
    wait_until(lambda: (service.job(job_id)["progress"] or {}).get("epoch"))
    reached = service.job(job_id)["progress"]["epoch"]
    job = finished(service, job_id)
    assert reached > 1
    assert_whole(service, job, epochs=EPOCHS)
    assert attempts_of(service.data, job_id) == 2
    assert not is_alive(first)
    assert contents(job) == contents(unbroken)


def test_a_cancel_ends_all_processes(service: LiveService, cluster: RayCluster) -> None:
    job_id = start(service, ENDLESS)
    wait_for_epoch(service, job_id, 1)
    assert len(processes_of(cluster)) == 2
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").is_success
    assert finished(service, job_id)["state"] == "cancelled"
    wait_until(lambda: not processes_of(cluster))


def test_a_killed_worker_takes_its_processes_along(service: LiveService, cluster: RayCluster) -> None:
    job_id = start(service, ENDLESS)
    wait_for_epoch(service, job_id, 1)
    before = processes_of(cluster)
    [(worker, _)] = workers_of(service.data)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, before)))
    wait_until(lambda: attempts_of(service.data, job_id) == 2)
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").is_success
    assert finished(service, job_id)["state"] == "cancelled"


def test_an_error_of_the_processes_is_that_of_the_job(service: LiveService) -> None:
    job = finished(service, start(service, 1, batch_size=2))
    assert (job["state"], job["error"]["type"]) == ("failed", "/problems/training-failed")
    assert "samples for 2 training processes" in job["error"]["detail"]


def test_a_job_without_room_waits(service: LiveService, cluster: RayCluster) -> None:
    request: Answer = job_request(service, epochs=1)
    job_id = service.start_job(**request, resources={"processors": 2, "training_processes": 2})
    wait_until(lambda: (service.job(job_id)["progress"] or {}).get("phase") == "waiting for the training processes")
    assert processes_of(cluster) == []
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").is_success
    assert finished(service, job_id)["state"] == "cancelled"
