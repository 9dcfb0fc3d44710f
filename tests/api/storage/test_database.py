"""The database of jobs: changes by attempt, and databases of earlier versions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from api.storage.database import Store
from api.storage.records import JobState


def test_a_lost_worker_cannot_change_the_job_of_a_later_attempt(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    store.add_job("a", {}, None)
    store.change_job("a", [JobState.QUEUED], state=JobState.RUNNING, attempt=2)
    for number, expected in ((1, False), (2, True)):
        assert store.change_job("a", [JobState.RUNNING], of_attempt=number, progress={}) is expected
    store.close()


def test_a_database_of_the_version_before_attempts_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE jobs DROP COLUMN attempt")
        connection.execute("INSERT INTO jobs VALUES (1, 'a', 'running', 3, 1.0, 1.0, NULL, '{}', NULL, 0, NULL, NULL, "
                           "NULL, '[]')")  # fmt: skip
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    store = Store(path)
    job = store.job("a")
    assert job is not None
    assert (job.state, job.attempt, job.revision) == (JobState.RUNNING, 0, 3)
    assert store.add_job("b", {}, None)
    store.close()
    Store(path).close()
