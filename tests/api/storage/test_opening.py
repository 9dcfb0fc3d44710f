"""Opening a database: new, current, of each earlier version, later, damaged, or of another program."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text, update
from sqlalchemy.exc import OperationalError

from api.schemas.job_state import JobState
from api.storage.backup.rows import set_counters
from api.storage.database import Store, StoreError
from api.storage.database.connections import Database
from api.storage.database.migrating import FOLDER, migrate
from api.storage.database.schema import METADATA, SCHEMA_VERSION, VERSION
from api.storage.records import request_hash
from tests.api.postgres_server import PostgresServer

OLD = Path(__file__).with_name("databases")
"""Databases that the code of earlier versions made: a network, a job that succeeded, and one that was interrupted.

version1-first is of the first service of the project, version1 of the last one before version 2; version3 has a key of
the project phones, too."""
NETWORK = "f719d86eaf3c0f1812ae862ec2f05d94612f68961cdd98a5a643ea0710174b55"


@pytest.mark.parametrize("name", ["version1-first", "version1", "version2", "version3"])
def test_a_database_of_an_earlier_version_is_migrated_with_all_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bitbudget.sqlite"
    shutil.copy(OLD / f"{name}.sqlite", path)
    version = int(name.removeprefix("version")[0])
    with sqlite3.connect(path) as old:
        (was_version,) = old.execute("PRAGMA user_version").fetchone()
        jobs = old.execute("SELECT number, id, state, revision, created_at, crashes, request FROM jobs").fetchall()
        (summary,) = old.execute("SELECT summary FROM files").fetchone()
    old.close()
    assert was_version == version

    for _ in range(2):  # the second time, there is nothing to migrate
        store = Store(path)
        found = [
            (job.number, job.id, job.state.value, job.revision, job.created_at, job.crashes, job.request)
            for job in reversed(store.jobs())
        ]
        assert found == [(*columns, json.loads(request)) for *columns, request in jobs]
        done, waiting = reversed(store.jobs())
        assert (done.state, waiting.state) == (JobState.SUCCEEDED, JobState.QUEUED)
        assert done.result is not None
        assert done.attempt == waiting.attempt == min(version - 1, 1)
        assert done.stored_bytes == sum(each["size_bytes"] for each in done.artifacts) > 0
        assert waiting.stored_bytes == 0
        assert {job.project for job in store.jobs_of_all_projects()} == {"default"}
        assert store.job_with_key("pipeline 7") == done
        key = store.idempotency("pipeline 7")
        assert key is not None
        assert (key.job_id, key.request_hash) == (done.id, request_hash(done.request))
        network = store.file("network", NETWORK)
        assert network is not None
        assert network.summary == json.loads(summary)
        assert [key.project for key in store.api_keys_of_all_projects()] == ["phones"] * (version == 3)
        store.close()


def test_a_database_of_version_3_is_migrated_on_both_kinds_of_database(database_url: str) -> None:
    engine = create_engine(database_url)
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with sqlite3.connect(OLD / "version3.sqlite") as old, engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for name in ("files", "jobs", "events", "api_keys", "idempotency"):
            columns = [row[1] for row in old.execute(f"PRAGMA table_info({name})")]
            values = ", ".join(f":{column}" for column in columns)
            found = old.execute(f"SELECT * FROM {name}")  # noqa: S608  # a name of this test
            insertion = text(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({values})")  # noqa: S608  # the same
            connection.execute(insertion, [dict(zip(columns, row, strict=True)) for row in found])
        set_counters(Database(database_url), connection)
    old.close()
    engine.dispose()
    store = Store(database_url)
    waiting, done = store.jobs()
    assert (waiting.state, done.state) == (JobState.QUEUED, JobState.SUCCEEDED)
    assert done.stored_bytes == sum(each["size_bytes"] for each in done.artifacts) > 0
    assert [event.data["state"] for event in store.events(done.id)] == ["queued", "running", "succeeded"]
    assert store.change_job(waiting.id, [JobState.QUEUED], state=JobState.CANCELLED)
    store.close()


def test_what_was_migrated_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "bitbudget.sqlite"
    shutil.copy(OLD / "version2.sqlite", path)
    store = Store(path)
    waiting = store.jobs([JobState.QUEUED])[0]
    assert not store.delete_file("network", NETWORK)  # the waiting job needs it
    assert store.change_job(waiting.id, [JobState.QUEUED], state=JobState.CANCELLED)
    assert store.delete_file("network", NETWORK)
    assert not store.add_job("new", {}, "pipeline 7")
    assert store.add_job("new", {}, "pipeline 8")
    new = store.job("new")
    assert new is not None
    assert new.number == 3
    store.close()


def test_migrations_make_the_same_tables_as_a_new_database(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        migrate(connection, 0)
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
    store = Store(database_url)
    assert store.add_job("a", {}, "key")
    store.close()


def test_the_last_migration_has_the_number_of_the_version() -> None:
    numbers = sorted(int(path.name[1:5]) for path in (FOLDER / "versions").glob("v*.py"))
    assert numbers == list(range(1, SCHEMA_VERSION + 1))


def test_a_failed_migration_leaves_the_old_database(tmp_path: Path) -> None:
    path = tmp_path / "bitbudget.sqlite"
    shutil.copy(OLD / "version1.sqlite", path)
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE deliveries (number INTEGER)")  # so that the last migration fails half-way
        before = list(old.iterdump())
    with pytest.raises(StoreError, match="already exists"):
        Store(path)
    assert list(old.iterdump()) == before
    old.close()


def test_a_database_of_a_later_version_is_said_to_be_later(database_url: str) -> None:
    Store(database_url).close()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":  # what a program of version 2 compares
            assert connection.exec_driver_sql("PRAGMA user_version").scalar() == SCHEMA_VERSION
        connection.execute(update(VERSION).values(version_num=f"{SCHEMA_VERSION + 1:04}"))
    engine.dispose()
    with pytest.raises(StoreError, match=f"later version of bitbudget .schema {SCHEMA_VERSION + 1};"):
        Store(database_url)


def test_a_damaged_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "bitbudget.sqlite"
    path.write_bytes(b"not a database" * 500)
    with pytest.raises(StoreError, match="damaged or not a database"):
        Store(path)
    path.unlink()
    Store(path).close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 2000)
    with pytest.raises(StoreError, match="damaged or not a database"):
        Store(path)


def test_a_database_of_another_program_is_left_alone(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE files (name TEXT)")
    with pytest.raises(StoreError, match="belongs to another program: it has the table 'files'"):
        Store(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE files")
        connection.exec_driver_sql("CREATE TABLE unrelated (name TEXT)")
    engine.dispose()
    Store(database_url).close()


def test_a_restart_of_postgresql_is_survived(postgres: PostgresServer) -> None:
    store = Store(postgres.new_database())
    store.add_job("a", {}, None)
    postgres.stop()
    with pytest.raises(OperationalError):
        store.jobs()
    postgres.start()
    assert [job.id for job in store.jobs()] == ["a"]
    store.close()


@pytest.mark.parametrize("url", ["mysql://host/name", "no URL at all", "sqlite://", "postgresql+asyncpg://host/name"])
def test_an_unusable_url_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="URL of the database is not usable"):
        Store(url)


def test_a_message_has_no_password() -> None:
    with pytest.raises(StoreError, match="cannot be used") as refused:
        Store("postgresql://user:secret@127.0.0.1:1/name")
    assert "secret" not in str(refused.value)


def test_several_processes_can_open_an_old_database_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bitbudget.sqlite"
    shutil.copy(OLD / "version1.sqlite", path)
    program = "import sys; from api.storage.database import Store; print(len(Store(sys.argv[1]).jobs()))"
    program_of = [sys.executable, "-c", program, f"sqlite:///{path}"]
    running = [subprocess.Popen(program_of, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in running] == ["2\n"] * 3


def test_a_current_database_is_opened_without_alembic(tmp_path: Path) -> None:
    path = tmp_path / "bitbudget.sqlite"
    Store(path).close()
    program = (
        "import sys; from api.storage.database import Store; Store(sys.argv[1]); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, f"sqlite:///{path}"], check=True)
