"""Retention: what was not used for long is deleted, in small steps, and never what an unfinished job needs."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from api.execution.retention import STEP, Retention
from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.answer_cache import AnswerCache
from api.storage.database import Store
from api.storage.database.quotas import UNLIMITED
from api.storage.database.schema import FILES, JOBS
from api.storage.records import KeptFile
from tests.api.local_service import local_service

DAY_SECONDS = 86_400.0


class Kept:
    """A data directory with old and new things."""

    def __init__(self, data: Path, **settings: float) -> None:
        self.settings = Settings.model_validate({"data_directory": data, **settings})
        data.mkdir()
        self.store = Store(self.settings.database)
        self.answers = AnswerCache(self.settings.answers_directory, 1000)

    def add_file(self, name: str, days: float, kind: str = "dataset", project: str = "default") -> str:
        digest = hashlib.sha256(name.encode()).hexdigest()
        created_at = time.time() - days * DAY_SECONDS
        assert self.store.of_project(project).add_file(KeptFile(kind, digest, name, 4, created_at, {}))
        folder = self.settings.datasets_directory if kind == "dataset" else self.settings.networks_directory
        folder.mkdir(exist_ok=True)
        (folder / (f"{digest}.npz" if kind == "dataset" else digest)).write_bytes(b"data")
        return digest

    def add_job(self, name: str, days: float | None, project: str = "default", **request: str) -> str:
        """Add a job that succeeded some days ago; None: one that waits."""
        store = self.store.of_project(project)
        assert store.add_job(name, request, None)
        if days is not None:
            store.change_job(name, [JobState.QUEUED], state=JobState.RUNNING)
            store.change_job(name, [JobState.RUNNING], state=JobState.SUCCEEDED)
            with self.store._database.writing() as connection:
                finished_at = time.time() - days * DAY_SECONDS
                connection.execute(update(JOBS).where(JOBS.c.id == name).values(finished_at=finished_at))
            artifacts = self.settings.jobs_directory / name / "attempt-0" / "artifacts"
            artifacts.mkdir(parents=True)
            (artifacts / "report.json").write_text("{}")
        return name

    def forget_use(self) -> None:
        with self.store._database.writing() as connection:
            connection.execute(update(FILES).values(used_at=None))

    def files(self) -> set[str]:
        return {file.name for name in self.store.names_of_all_projects() for kind in ("network", "dataset")
                for file in self.store.of_project(name).files(kind)}  # fmt: skip

    def jobs(self) -> set[str]:
        return {job.id for job in self.store.jobs_of_all_projects()}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path / "data", retention_days=10)
    yield made
    made.store.close()


def swept(kept: Kept) -> int:
    """Sweep until nothing is left to delete; return the number of steps that deleted something."""
    retention = Retention(kept.store, kept.settings, kept.answers)
    steps = 0
    while True:
        retention.step()
        if retention._next_at:
            return steps
        steps += 1


def test_what_is_old_is_deleted_and_what_is_new_or_used_is_kept(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    old = kept.add_file("old", 11)
    kept.add_file("new", 9)
    used = kept.add_file("used", 11)
    kept.add_file("old network", 11, "network")
    assert kept.store.note_file_use("dataset", used)
    kept.add_job("old job", 11)
    kept.add_job("new job", 9)
    read = kept.add_job("read job", 11)
    job = kept.store.job(read)
    assert job is not None
    kept.store.note_job_use(job)
    with caplog.at_level(logging.INFO, "bitbudget.retention"):
        assert swept(kept) == 1
    assert kept.files() == {"new", "used"}
    assert kept.jobs() == {"new job", "read job"}
    assert not (kept.settings.datasets_directory / f"{old}.npz").exists()
    assert (kept.settings.datasets_directory / f"{used}.npz").exists()
    assert not (kept.settings.jobs_directory / "old job").exists()
    assert f"the dataset {old} of project default was deleted: not used for 10 days" in caplog.messages


def test_what_an_unfinished_job_needs_is_never_deleted(kept: Kept) -> None:
    dataset, network = kept.add_file("data", 11), kept.add_file("net", 11, "network")
    for number in range(2 * STEP):
        kept.add_file(f"other{number}", 10.5)
    kept.add_job("waits", None, network_id=network, dataset=dataset)
    kept.forget_use()
    kept.add_job("runs", None, network_id=network, dataset=dataset)
    kept.forget_use()
    assert kept.store.change_job("runs", [JobState.QUEUED], state=JobState.RUNNING)
    swept(kept)
    assert kept.files() == {"data", "net"}
    for job in ("waits", "runs"):
        state = JobState.QUEUED if job == "waits" else JobState.RUNNING
        assert kept.store.change_job(job, [state], state=JobState.CANCELLED)
    kept.forget_use()
    swept(kept)
    assert kept.files() == set()
    assert kept.jobs() == {"waits", "runs"}


def test_each_step_is_small(kept: Kept) -> None:
    for number in range(3 * STEP):
        kept.add_file(f"data{number}", 20)
    retention = Retention(kept.store, kept.settings, kept.answers)
    for left in (2 * STEP, STEP, 0):
        retention.step()
        assert len(kept.files()) == left
        assert retention._next_at == 0.0, "the next step comes at once"
    retention.step()
    kept.add_file("later", 20)
    retention.step()
    assert kept.files() == {"later"}, "after a step that found nothing, a minute passes"


def test_projects_have_their_own_days(kept: Kept) -> None:
    for project, days in (("short", 2.0), ("forever", UNLIMITED), ("other", None)):
        kept.store.of_project(project).set_limits(retention_days=days)
        for age in (1, 5, 20):
            kept.add_file(f"{project}{age}", age, project=project)
            kept.add_job(f"{project}-{age}", age, project=project)
    swept(kept)
    assert kept.files() == {"short1", "forever1", "forever5", "forever20", "other1", "other5"}
    assert kept.jobs() == {"short-1", "forever-1", "forever-5", "forever-20", "other-1", "other-5"}


def test_shared_content_stays_for_the_project_that_uses_it(kept: Kept) -> None:
    digest = kept.add_file("data", 11)
    other = kept.store.of_project("other")
    assert other.add_file(KeptFile("dataset", digest, "theirs", 4, time.time(), {}))
    kept.answers.write(digest, "0" * 64, b"answer")
    swept(kept)
    assert kept.files() == {"theirs"}
    assert (kept.settings.datasets_directory / f"{digest}.npz").exists()
    assert kept.answers.read(digest, "0" * 64) is None


def test_without_days_everything_is_kept(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "data")
    kept.add_file("old", 10_000)
    kept.add_job("old job", 10_000)
    assert swept(kept) == 0
    assert (kept.files(), kept.jobs()) == ({"old"}, {"old job"})
    kept.store.close()


def test_a_running_service_applies_it(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "data")
    kept.add_file("old", 2)
    kept.add_job("old job", 2)
    kept.add_file("new", 0)
    kept.store.set_limits(retention_days=1.5)
    with local_service(tmp_path / "data") as (service, client):
        give_up_at = time.monotonic() + 30
        while kept.files() != {"new"} or kept.jobs():
            assert time.monotonic() < give_up_at
            time.sleep(0.02)
        assert client.get("/v1/project").json()["retention_days"] == 1.5
        assert service.scheduler.is_alive
    kept.store.close()
