"""Processors, GPUs and memory of a job: what its request asks for, else what the operator has set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from api.execution import machine
from api.execution.job_share import JobShare, check_resources, share_of
from api.execution.ray_jobs import Reserved, reserved_for
from api.job_settings import ExecutorName
from api.schemas.jobs import JobRequest, JobResources, SensitivityJobRequest
from api.settings import MIB, Settings
from api.storage.database import Store
from api.storage.records import Job
from network.errors import RequestError
from tests.api.execution.test_crashes import job_request
from tests.api.live_service import LiveService

ASKED = JobResources(processors=3, gpus=2, memory="100MiB")  # type: ignore[arg-type]  # a client sends text


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr("api.execution.job_share.cores", lambda: 8)
    monkeypatch.setattr(machine, "memory_bytes", lambda: 16_000 * MIB)


def job_with(folder: Path, resources: JobResources | None) -> Job:
    store = Store(folder / "database.sqlite")
    document = {"kind": "sensitivity", "network_id": "0" * 64, "dataset": "digits"}
    asked = {} if resources is None else {"resources": resources.model_dump(mode="json")}
    assert store.add_job("job", document | asked, None)
    job = store.job("job")
    store.close()
    assert job is not None
    return job


def test_a_job_gets_what_it_asks_for(tmp_path: Path) -> None:
    job = job_with(tmp_path, ASKED)
    expected: dict[ExecutorName, JobShare] = {
        "subprocess": JobShare(3, 0, 100 * MIB, True),
        "ray": JobShare(3, 2, 100 * MIB, True),
    }
    for executor, share in expected.items():
        settings = Settings(data_directory=tmp_path, executor=executor, job_processors=5, job_gpus=1)
        assert share_of(settings, job) == share


def test_a_job_that_asks_for_nothing_gets_what_the_operator_has_set(tmp_path: Path) -> None:
    for job in (None, job_with(tmp_path, None)):
        local, ray = Settings(data_directory=tmp_path), Settings(data_directory=tmp_path, executor="ray")
        assert share_of(local, job) == JobShare(2, 0, 3000 * MIB, False)
        assert share_of(ray, job) == JobShare(2, 0, None, False)
        chosen = {"job_processors": 5, "job_gpus": 1, "job_memory_bytes": 7}
        assert share_of(local.model_copy(update=chosen), job) == JobShare(5, 0, 7, True)
        assert share_of(ray.model_copy(update=chosen), job) == JobShare(5, 1, 7, True)


def test_each_training_process_gets_the_share_and_one_gpu_at_most(tmp_path: Path) -> None:
    ray = Settings(data_directory=tmp_path, executor="ray", job_processors=5, job_gpus=2)
    job = job_with(tmp_path, JobResources(training_processes=4, memory="100MiB"))  # type: ignore[arg-type]
    assert share_of(ray, job) == JobShare(5, 1, 100 * MIB, True, 4)
    assert reserved_for(share_of(ray, job)) == Reserved(processors=0.01), "the worker only waits for them"
    assert reserved_for(share_of(ray, None)) == Reserved(processors=5, gpus=2)


def training_with(resources: JobResources | None, **changes: Any) -> JobRequest:
    document = {"kind": "training", "network_id": "0" * 64, "dataset": "digits", "flash": 1000, "ram": 1000}
    return JobRequest.model_validate(document | changes | {"resources": resources})


def test_only_a_training_on_a_cluster_is_divided(tmp_path: Path) -> None:
    local, ray = Settings(data_directory=tmp_path), Settings(data_directory=tmp_path, executor="ray")
    several = JobResources(training_processes=2)
    check_resources(ray, training_with(several))
    check_resources(ray, training_with(JobResources(training_processes=64, gpus=1), training={"epochs": 1}))
    check_resources(local, training_with(JobResources(training_processes=1)))
    sensitivity = {"kind": "sensitivity", "network_id": "0" * 64, "dataset": "digits", "resources": several}
    for settings, refused, words in (
        (local, training_with(several), "one process trains; leave it out, or let the operator run jobs on a cluster"),
        (ray, SensitivityJobRequest.model_validate(sensitivity), "the kind of the job is sensitivity; expected a job"),
        (ray, training_with(several, training={"epochs": 0}), "training.epochs is 0, so that nothing is trained"),
        (ray, training_with(several, dataset="none:bytes"), "the dataset is 'none', so that nothing is trained"),
        (ray, training_with(JobResources(training_processes=2, gpus=2)), "resources.gpus is 2.*expected 0 or 1"),
    ):
        with pytest.raises(RequestError, match=words):
            check_resources(settings, refused)


def test_more_than_the_machine_has_is_refused_and_a_cluster_may_grow(tmp_path: Path) -> None:
    local, ray = Settings(data_directory=tmp_path), Settings(data_directory=tmp_path, executor="ray")
    check_resources(local, training_with(None))
    most = JobResources(processors=8, gpus=0, memory=str(3000 * MIB))  # type: ignore[arg-type]
    check_resources(local, training_with(most))
    for refused, words in (
        (JobResources(processors=9), "resources.processors is 9; this machine has 8"),
        (JobResources(gpus=1), "resources.gpus is 1; jobs run as processes of this machine"),
        (JobResources(memory="4000MiB"), "a job of this service may allocate 3145728000"),  # type: ignore[arg-type]
    ):
        with pytest.raises(RequestError, match=words):
            check_resources(local, training_with(refused))
        check_resources(ray, training_with(refused))


def test_a_worker_computes_with_the_threads_that_its_job_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of the worker says it, also if that of the service says another number."""
    most = len(os.sched_getaffinity(0))
    monkeypatch.setenv("OMP_NUM_THREADS", str(most + 1))
    with LiveService(tmp_path / "data") as service:
        request = job_request(service, epochs=10_000)
        refused = service.http.post("/v1/jobs", json={**request, "resources": {"gpus": 1}})
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid-request")
        assert "reserves none" in refused.json()["detail"]
        job_id = service.start_job(**request, resources={"processors": most, "memory": "900MiB"})
        service.wait_for(job_id, lambda job: job["state"] == "running")
        process = Path(f"/proc/{service.worker(job_id)}")
        assert f"OMP_NUM_THREADS={most}".encode() in (process / "environ").read_bytes().split(b"\0")
        assert f"--memory-bytes={900 * MIB}".encode() in (process / "cmdline").read_bytes().split(b"\0")
        expected = {"processors": most, "gpus": None, "memory": 900 * MIB, "training_processes": 1}
        assert service.job(job_id)["request"]["resources"] == expected
