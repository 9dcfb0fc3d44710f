"""A full disk: jobs wait, and deleting and cancelling still work."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from api.execution.waiting import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, is_due, waiting_for_disk
from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.database import Store
from api.storage.disk_space import PIECE_BYTES, PIECES, DiskReserve, is_full_disk
from deploy.atomic_write import write_atomically
from network.errors import RequestError
from tests.api.execution.test_fault_rounds import wait_until_final
from tests.api.http.test_jobs import BUDGET
from tests.api.live_service import LiveService, is_training
from tests.api.small_disk import SmallDisk, small_disk
from tests.api.small_files import tiny_dataset, tiny_json

MIB = 2**20
EPOCHS = 400
"""Long enough that the disk is full before the training ends."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=40) as mounted:
        yield mounted


def _wrapped(path: Path) -> None:
    try:
        path.write_bytes(bytes(MIB))
    except OSError as error:
        raise RequestError("cannot write; choose another path") from error


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("large", bytes(MIB))


WRITERS: dict[str, Callable[[Path], None]] = {
    "a file": lambda path: write_atomically(path, bytes(MIB)),
    "numpy": lambda path: np.savez(path, large=np.zeros(MIB)),
    "safetensors": lambda path: save_file({"large": torch.zeros(MIB)}, path),
    "zip": _zip,
    "an error that we wrapped": _wrapped,
}


def test_a_full_disk_is_recognised_whoever_finds_it(disk: SmallDisk) -> None:
    store = Store(disk.root / "db.sqlite")
    disk.fill()

    def add_jobs(_: Path) -> None:
        for number in range(100):
            store.add_job(f"job-{number}", {"text": "x" * 100_000}, None)

    for name, write in [*WRITERS.items(), ("SQLite", add_jobs)]:
        with pytest.raises(Exception) as raised:  # noqa: PT011  # each library has its own error
            write(disk.root / name)
        assert is_full_disk(raised.value), (name, raised.value)
    store.close()
    assert not is_full_disk(RequestError("the network does not fit"))
    assert not is_full_disk(PermissionError(13, "Permission denied"))


def test_the_reserve_lets_a_job_be_cancelled_and_deleted(disk: SmallDisk) -> None:
    """The records are large, so that the changes do not fit into what SQLite has already allocated."""
    settings = Settings(data_directory=disk.root)
    store = Store(settings.database)
    reserve = DiskReserve(settings)
    reserve.fill()
    assert reserved_bytes(disk) == PIECES * PIECE_BYTES
    for number in range(40):
        store.add_job(f"job-{number}", {"text": "x" * 30_000}, None)
    disk.fill()
    with pytest.raises(Exception, match="full"):
        _cancel_all(store)
    reserve.with_room(lambda: _cancel_all(store))
    assert 0 < reserved_bytes(disk) < PIECES * PIECE_BYTES, "it gives up what the change needs"
    assert {job.state for job in store.jobs()} == {JobState.CANCELLED}
    assert all(reserve.with_room(partial(store.delete_job, f"job-{number}")) for number in range(40))
    left = reserved_bytes(disk)
    reserve.fill()
    assert reserved_bytes(disk) == left, "there is no room for it yet"
    disk.make_room()
    reserve.fill()
    assert reserved_bytes(disk) == PIECES * PIECE_BYTES
    store.close()


def reserved_bytes(disk: SmallDisk) -> int:
    return sum(path.stat().st_size for path in (disk.root / "reserve").iterdir())


def _cancel_all(store: Store) -> None:
    large = {"text": "y" * 30_000}
    for job in store.jobs([JobState.QUEUED]):
        store.change_job(job.id, [JobState.QUEUED], state=JobState.CANCELLED, progress=large)


def test_other_errors_give_no_reserve_up(tmp_path: Path) -> None:
    reserve = DiskReserve(Settings(data_directory=tmp_path))
    reserve.fill()

    def fails() -> None:
        raise RequestError("a reason")

    with pytest.raises(RequestError, match="a reason"):
        reserve.with_room(fails)
    assert len(list((tmp_path / "reserve").iterdir())) == PIECES


def test_the_pauses_grow_and_begin_anew_when_work_was_saved(tmp_path: Path) -> None:
    store = Store(tmp_path / "db.sqlite")
    store.add_job("a", {}, None)
    job = store.job("a")
    assert job is not None
    pauses = []
    for _ in range(9):
        job = replace(job, error=waiting_for_disk(job, now=0.0))
        assert job.error is not None
        pauses.append(job.error["retry_at"])
        assert is_due(job), "1970 is over"
    assert pauses[:3] == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    saved = waiting_for_disk(replace(job, progress_at=1.0), now=0.0)
    assert saved["retry_at"] == FIRST_PAUSE_SECONDS
    assert not is_due(replace(job, error=waiting_for_disk(job, now=time.time())))
    store.close()


@pytest.mark.long
def test_a_job_waits_for_the_disk_and_does_not_fail(disk: SmallDisk) -> None:
    with LiveService(disk.root / "data", "--max-jobs=1") as service:
        request = {
            "network_id": service.upload_network(tiny_json()),
            "dataset": service.upload_dataset(tiny_dataset()),
            **BUDGET,
        }
        options = {"batch_size": 32, "threads": 1}
        done = service.start_job(**request, training={**options, "epochs": 0})
        assert service.finished(done)["state"] == "succeeded"
        job_id = service.start_job(**request, training={**options, "epochs": EPOCHS})
        cancelled = service.start_job(**request, training={**options, "epochs": 1})
        service.wait_for(job_id, is_training(epoch=2))

        def waits(job: dict[str, object]) -> bool:
            disk.fill()
            return job["state"] == "queued" and job["waiting"] is not None

        waiting = service.wait_for(job_id, waits)
        assert "the disk of the service is full" in waiting["waiting"]["reason"]
        assert waiting["error"] is None
        assert service.http.post(f"/v1/jobs/{cancelled}/cancel").status_code == 202
        assert service.finished(cancelled)["state"] == "cancelled"
        assert service.http.delete(f"/v1/jobs/{done}").status_code == 204
        assert service.http.get("/healthz").is_success
        disk.make_room()
        wait_until_final(service, [job_id])
        job = service.job(job_id)
        assert job["state"] == "succeeded", job
        assert job["waiting"] is None
        assert [epoch["epoch"] for epoch in job["result"]["epochs"]] == list(range(EPOCHS + 1))
