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
from tests.api.execution.test_ray_jobs import (
    PATIENCE_SECONDS,
    attempts_of,
    finished,
    wait_for_epoch,
    wait_until,
)
from tests.api.live_service import ROOT, LiveService, is_alive
from tests.api.ray_cluster import RayCluster, free_ports
from tests.api.small_files import tiny_dataset, tiny_json

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("pandas") is None,
        reason="Ray Train needs packages that are not installed (pip install 'bitbudget[ray]')",
    ),
]

EPOCHS = 300
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


def processes_of(cluster: RayCluster) -> list[int]:
    """Return the training processes of the cluster, which Ray names after their class."""
    return sorted(process_id for process_id, name in cluster.names() if "RayTrainWorker" in name)


def by_command(folder: Path, request: dict[str, Any], count: int) -> dict[str, str]:
    """Train with the command in processes as torchrun starts them; return the hash of each file but the report."""
    folder.mkdir()
    (folder / "tiny.json").write_bytes(tiny_json())
    (folder / "data.npz").write_bytes(tiny_dataset())
    (folder / "training.json").write_text(json.dumps(request["training"]))
    command = [
        *(sys.executable, "-m", "api.cli.main", "train", "tiny.json", "--data", "data.npz", "--out", "result"),
        *("--training-file", "training.json", "--flash", str(request["flash"]), "--ram", str(request["ram"])),
        *("--method", request["method"], "--accounting", request["accounting"]),
    ]
    shared = {"WORLD_SIZE": f"{count}", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{free_ports(1)[0]}"}
    shared |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(command, cwd=folder, env={**os.environ, **shared, "RANK": f"{rank}", "LOCAL_RANK": f"{rank}"})
        for rank in range(count)
    ]
    assert {process.wait(PATIENCE_SECONDS) for process in started} == {0}
    files = (path for path in (folder / "result").iterdir() if path.name != "report.json")
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_files_are_those_of_two_processes_of_torchrun(service: LiveService, tmp_path: Path) -> None:
    request = job_request(service, epochs=3)
    request["training"] |= {"batch_norm": "train", "learning_rate": 0.02}
    job = finished(service, service.start_job(**request, resources=TOGETHER))
    assert_whole(service, job, epochs=3)
    assert contents(job) == by_command(tmp_path / "two", request, count=2)
    alone = by_command(tmp_path / "one", request, count=1)
    assert contents(job)["weights.safetensors"] != alone["weights.safetensors"], "each part has its own statistics"


def test_a_lost_process_ends_the_attempt_and_the_next_one_continues(
    service: LiveService, cluster: RayCluster, tmp_path: Path
) -> None:
    request = job_request(service, epochs=EPOCHS)
    job_id = service.start_job(**request, resources=TOGETHER)
    wait_for_epoch(service, job_id, 5)
    wait_until(lambda: any("checkpoint.safetensors" in file for file in service.files()))
    first, second = processes_of(cluster)
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: attempts_of(service.data, job_id) == 2)
    wait_until(lambda: (service.job(job_id)["progress"] or {}).get("phase") == "training")
    assert service.job(job_id)["progress"]["epoch"] > 1, "it continues"
    assert not is_alive(first)
    job = finished(service, job_id)
    assert_whole(service, job, epochs=EPOCHS)
    assert attempts_of(service.data, job_id) == 2
    assert contents(job) == by_command(tmp_path / "unbroken", request, count=2)


def test_the_end_of_the_worker_and_a_cancel_end_all_processes(service: LiveService, cluster: RayCluster) -> None:
    job_id = service.start_job(**job_request(service, epochs=ENDLESS), resources=TOGETHER)
    wait_for_epoch(service, job_id, 1)
    before = processes_of(cluster)
    assert len(before) == 2
    [(worker, _)] = workers_of(service.data)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, before)))
    wait_until(lambda: attempts_of(service.data, job_id) == 2 and len(processes_of(cluster)) == 2)
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").is_success
    assert finished(service, job_id)["state"] == "cancelled"
    wait_until(lambda: not processes_of(cluster))


def test_an_error_of_the_processes_is_that_of_the_job(service: LiveService) -> None:
    request = job_request(service, epochs=1)
    request["training"]["batch_size"] = 2
    job = finished(service, service.start_job(**request, resources=TOGETHER))
    assert (job["state"], job["error"]["type"]) == ("failed", "/problems/training-failed")
    assert "samples for 2 training processes" in job["error"]["detail"]


def test_a_job_without_room_waits_until_it_is_cancelled(service: LiveService, cluster: RayCluster) -> None:
    too_much = {"processors": 2, "training_processes": 2}
    job_id = service.start_job(**job_request(service, epochs=1), resources=too_much)
    wait_until(lambda: (service.job(job_id)["progress"] or {}).get("phase") == "waiting for the training processes")
    assert processes_of(cluster) == []
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").is_success
    assert finished(service, job_id)["state"] == "cancelled"
