"""Workers while the store does not answer: a job that needs it waits, and what was saved is uploaded later."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.execution import attempt_uploads
from api.execution.attempt_uploads import AttemptUploads
from api.execution.waiting import is_due
from api.execution.worker import work
from api.schemas.job_state import JobState
from api.services.jobs import Jobs
from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from api.storage.job_files import JobFiles
from api.storage.objects.deletions import Deletions
from api.storage.objects.errors import StoreUnavailable
from api.storage.objects.object_store import ObjectStore
from api.storage.records import Job
from tests.api.http.test_jobs import BUDGET
from tests.api.s3_server import S3Server, reaching

JOB = "b" * 32
PATIENCE_SECONDS = 30


@pytest.fixture
def settings(tmp_path: Path, s3: S3Server) -> Iterator[Settings]:
    with reaching(s3):
        yield Settings(data_directory=tmp_path / "data", store_url=s3.new_store())
        s3.proxy.restore()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    settings.data_directory.mkdir()
    opened = Store(settings.database)
    opened.add_job(JOB, {"network_id": "0" * 64, "dataset": "digits", **BUDGET}, None)
    opened.change_job(JOB, [JobState.QUEUED], state=JobState.RUNNING, attempt=1)
    yield opened
    opened.close()


def running(store: Store) -> Job:
    job = store.job(JOB)
    assert job is not None
    return job


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def test_a_job_that_cannot_begin_waits_and_is_cancelled_and_deleted(
    settings: Settings, store: Store, s3: S3Server
) -> None:
    s3.proxy.cut()
    work(store, settings, running(store))
    job = running(store)
    assert (job.state, job.error is not None, is_due(job)) == (JobState.QUEUED, True, False)
    jobs = Jobs(store, settings, lambda: None)
    waiting = jobs.job(JOB).waiting
    assert waiting is not None
    assert waiting.reason == "the store of the service does not answer; the job waits and is tried again after 10 s"
    assert jobs.cancel(JOB).state is JobState.CANCELLED
    jobs.delete(JOB)
    assert store.job(JOB) is None
    s3.proxy.restore()
    ObjectStore(str(settings.store_url)).write(f"jobs/{JOB}/attempt-1/left", b"by a worker that was late")
    deletions = Deletions(settings, ObjectStore(str(settings.store_url)))
    deletions.work_off(store)
    assert s3.objects(str(settings.store_url)) == {}


def test_a_checkpoint_is_uploaded_when_the_store_answers_again(
    settings: Settings, store: Store, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK_SECONDS", "PAUSE_SECONDS", "PATIENCE_SECONDS"):
        monkeypatch.setattr(attempt_uploads, name, 0.05)
    objects = ObjectStore.of(settings)
    assert objects is not None
    directory = JobDirectory.of(JOB, settings).claim_attempt(1)
    uploads = AttemptUploads(settings, objects, running(store), directory)
    s3.proxy.cut()
    uploads.start()
    directory.checkpoint.mkdir()
    (directory.checkpoint / "epoch").write_text("4")
    time.sleep(1.0)
    assert not uploads.has_grown(), "work that is not in the store does not count as saved"
    s3.proxy.restore()
    wait_until(uploads.has_grown)
    assert not uploads.has_grown()
    uploads.stop()
    url = str(settings.store_url)
    manifest = json.loads(s3.objects(url)[f"jobs/{JOB}/attempt-1/manifest.json"])
    assert [entry["name"] for entry in manifest["entries"]] == ["checkpoint/epoch"]
    directory.artifacts.mkdir()
    (directory.artifacts / "report.json").write_text("{}")
    s3.proxy.cut()
    with pytest.raises(StoreUnavailable):
        uploads.store_artifacts()
    s3.proxy.restore()
    uploads.store_artifacts()
    manifest = json.loads(s3.objects(url)[f"jobs/{JOB}/attempt-1/manifest.json"])
    assert [entry["name"] for entry in manifest["entries"]] == ["artifacts/report.json"]
    assert len(s3.objects(url)) == 2


def test_a_cancelled_job_leaves_nothing_of_its_attempts_and_a_later_one_keeps_its_files(
    settings: Settings, store: Store, s3: S3Server
) -> None:
    objects, deletions = ObjectStore.of(settings), Deletions(settings, ObjectStore(str(settings.store_url)))
    assert objects is not None
    for number in (1, 2, 10):
        objects.write(f"jobs/{JOB}/attempt-{number}/{'0' * 64}", b"checkpoint")
    JobFiles(JOB, settings).clear_results(2)
    assert len(s3.objects(str(settings.store_url))) == 3, "the scheduler does not wait for the store"
    deletions.work_off(store)
    assert list(s3.objects(str(settings.store_url))) == [f"jobs/{JOB}/attempt-10/{'0' * 64}"]
