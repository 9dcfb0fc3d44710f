"""A writer or the database is killed at any moment: what was confirmed is there, and a change has its event."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from threading import Semaphore, Thread

import pytest
from sqlalchemy.exc import OperationalError

from api.schemas.job_state import JobState
from api.storage.database import Store
from tests.api.postgres_server import PostgresServer

ROUNDS = pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.long)])
WRITER = """
import sys
from itertools import count
from api.schemas.job_state import JobState
from api.storage.database import Store
store = Store(sys.argv[1])
for number in count():
    job_id = f"{sys.argv[2]}-{number}"
    store.add_job(job_id, {}, job_id)
    store.change_job(job_id, [JobState.QUEUED], state=JobState.RUNNING, attempt=1)
    print(job_id, flush=True)
"""


def drawn(rounds: int) -> list[int]:
    """After how many confirmed jobs each round ends."""
    return [random.Random(number).randrange(1, 40) for number in range(rounds)]  # noqa: S311  # the same in each run


def check(store: Store, confirmed: list[str]) -> None:
    """Check that confirmed jobs run, and that each job has exactly the events of its changes."""
    jobs = {job.id: job for job in store.jobs()}
    assert set(confirmed) <= jobs.keys()
    for job_id in confirmed:
        assert jobs[job_id].state is JobState.RUNNING
    for job in jobs.values():
        states = [event.data["state"] for event in store.events(job.id)]
        assert states == (["queued"] if job.state is JobState.QUEUED else ["queued", "running"])
        with_key = store.job_with_key(job.id)
        assert with_key is not None
        assert with_key.id == job.id


@ROUNDS
def test_a_writer_of_sqlite_is_killed(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "bitbudget.sqlite"
    confirmed: list[str] = []
    for number, jobs in enumerate(drawn(rounds)):
        command = [sys.executable, "-c", WRITER, f"sqlite:///{path}", str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            confirmed += [writer.stdout.readline().strip() for _ in range(jobs)]
            writer.kill()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    store = Store(path)
    check(store, confirmed)
    store.close()


@ROUNDS
def test_postgresql_is_killed(postgres: PostgresServer, rounds: int) -> None:
    store = Store(postgres.new_database())
    confirmed: list[str] = []
    has_confirmed = Semaphore(0)

    def write(name: str) -> None:
        """Write until the database is gone."""
        number = 0
        try:
            while True:
                job_id = f"{name}-{number}"
                store.add_job(job_id, {}, job_id)
                store.change_job(job_id, [JobState.QUEUED], state=JobState.RUNNING, attempt=1)
                confirmed.append(job_id)
                has_confirmed.release()
                number += 1
        except OperationalError:
            return

    for number, jobs in enumerate(drawn(rounds)):
        writers = [Thread(target=write, args=[f"{number}-{writer}"]) for writer in range(2)]
        for writer in writers:
            writer.start()
        for _ in range(jobs):
            assert has_confirmed.acquire(timeout=60)
        postgres.stop()  # immediate: no process of the server ends its work
        for writer in writers:
            writer.join(60)
            assert not writer.is_alive()
        postgres.start()
    check(store, confirmed)
    store.close()
