"""Database of the service: one SQLite file with uploaded files and jobs, which several processes write.

    files    (kind, id)    uploaded networks and datasets; `blobs` stores their content
    jobs     (id)          state, attempt, progress, result

The state of a job changes by compare-and-set only: if two processes want to change it differently, one of them succeeds
and the other one learns that it did not. A worker also names its attempt, so that a worker which was believed to be
lost cannot change a job that a later attempt runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from api.storage.records import UNFINISHED, Job, JobState, KeptFile
from network.errors import BitbudgetError

SCHEMA_VERSION: Final = 2
_MIGRATIONS: Final = {1: "ALTER TABLE jobs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0"}
"""SQL statement that brings a database of each earlier version to the next version."""
_BUSY_SECONDS: Final = 15.0
_CONNECTIONS: Final = 40
"""Largest number of connections that stay open: the number of anyio's threads."""


_METADATA: Final = MetaData()

_FILES: Final = Table(
    "files",
    _METADATA,
    Column("kind", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("summary", JSON, nullable=False),
)

_JOBS: Final = Table(
    "jobs",
    _METADATA,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("state", String, nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("request", JSON, nullable=False),
    Column("idempotency_key", String, unique=True),
    Column("crashes", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("progress", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("result", JSON(none_as_null=True)),
    Column("artifacts", JSON, nullable=False),
)


class StoreError(BitbudgetError):
    """Error: a later version of bitbudget created the service's database."""


class Store:
    """SQLite database of the uploaded files and the jobs of the service.

    Args:
        path: Path of the SQLite file; it is created if it does not exist.

    Raises:
        StoreError: If a later version of bitbudget created the database.
    """

    def __init__(self, path: Path) -> None:
        # One connection for each thread of the service: to open another one for each request costs more than a query.
        self._engine = create_engine(
            f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS}, pool_size=_CONNECTIONS
        )
        event.listen(self._engine, "connect", _configure)
        with self._engine.begin() as connection:
            _create_schema(connection, path)

    def close(self) -> None:
        """Close all connections to the service's database."""
        self._engine.dispose()

    # files

    def add_file(self, file: KeptFile) -> bool:
        """Add the database record of an uploaded file; return False if the record exists already."""
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    insert(_FILES).values(
                        kind=file.kind,
                        id=file.id,
                        name=file.name,
                        size_bytes=file.size_bytes,
                        created_at=file.created_at,
                        summary=file.summary,
                    )
                )
        except IntegrityError:
            return False
        return True

    def file(self, kind: str, file_id: str) -> KeptFile | None:
        """Return the database record of an uploaded file; None if there is none.

        Args:
            kind: Kind of the file: "network" or "dataset".
            file_id: SHA-256 of the file, in hexadecimal.
        """
        with self._engine.connect() as connection:
            row = connection.execute(select(_FILES).where(_FILES.c.kind == kind, _FILES.c.id == file_id)).first()
        return KeptFile(**row._mapping) if row else None

    def has_file(self, kind: str, file_id: str) -> bool:
        """Return whether an uploaded file has a record, without reading what the record says about it.

        Args:
            kind: Kind of the file: "network" or "dataset".
            file_id: SHA-256 of the file, in hexadecimal.
        """
        query = select(_FILES.c.id).where(_FILES.c.kind == kind, _FILES.c.id == file_id)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def files(self, kind: str) -> list[KeptFile]:
        """Return the database records of all uploaded files of one kind ("network" or "dataset"), newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(_FILES).where(_FILES.c.kind == kind).order_by(_FILES.c.created_at.desc(), _FILES.c.id)
            )
            return [KeptFile(**row._mapping) for row in rows]

    def delete_file(self, kind: str, file_id: str) -> bool:
        """Delete the record of an uploaded file from the database; return False if it is missing or in use by a job."""
        field = _JOBS.c.request[f"{kind}_id" if kind == "network" else kind].as_string()
        needed = select(_JOBS.c.number).where(_JOBS.c.state.in_(UNFINISHED), field == file_id).exists()
        with self._engine.begin() as connection:
            result = connection.execute(delete(_FILES).where(_FILES.c.kind == kind, _FILES.c.id == file_id, ~needed))
        return result.rowcount == 1

    # jobs

    def add_job(self, job_id: str, request: dict[str, Any], idempotency_key: str | None) -> bool:
        """Add a job to the queue in the database.

        Args:
            job_id: Identifier of the new job.
            request: The request as a JSON object.
            idempotency_key: The idempotency key of the caller; None if the caller gave none.

        Returns:
            True if the job was added; False if another job has the same idempotency key.
        """
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    insert(_JOBS).values(
                        id=job_id,
                        state=JobState.QUEUED,
                        revision=1,
                        created_at=time.time(),
                        request=request,
                        idempotency_key=idempotency_key,
                        crashes=0,
                        attempt=0,
                        artifacts=[],
                    )
                )
        except IntegrityError:
            return False
        return True

    def job(self, job_id: str) -> Job | None:
        """Return the database record of a job by its identifier; None if there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(select(_JOBS).where(_JOBS.c.id == job_id)).first()
        return _job(row._mapping) if row else None

    def job_with_key(self, idempotency_key: str) -> Job | None:
        """Return the database record of the job with an idempotency key; None if there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(select(_JOBS).where(_JOBS.c.idempotency_key == idempotency_key)).first()
        return _job(row._mapping) if row else None

    def jobs(self, states: Iterable[JobState] = tuple(JobState), limit: int = -1) -> list[Job]:
        """Return the database records of the jobs in given states, newest first.

        Args:
            states: States of the jobs to return.
            limit: Largest number of jobs to return; a negative number means no limit.
        """
        query = select(_JOBS).where(_JOBS.c.state.in_(list(states))).order_by(_JOBS.c.number.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [_job(row._mapping) for row in connection.execute(query)]

    def count_jobs(self) -> dict[JobState, int]:
        """Return the number of jobs in each state."""
        query = select(_JOBS.c.state, func.count()).group_by(_JOBS.c.state)
        with self._engine.connect() as connection:
            counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
        return {state: counts.get(state, 0) for state in JobState}

    def change_job(
        self, job_id: str, expected: Iterable[JobState], *, of_attempt: int | None = None, **values: Any
    ) -> bool:
        """Change columns of a job's database record, if the job is in one of the expected states.

        Args:
            job_id: Identifier of the job.
            expected: States in which the job may be changed.
            of_attempt: Number of the attempt that the job must be in; None if the attempt does not matter.
            values: New value of each column that changes.

        Returns:
            True if the job was changed.
        """
        if (state := values.get("state")) is not None and state.is_final:
            values["finished_at"] = time.time()
        change = update(_JOBS).where(_JOBS.c.id == job_id, _JOBS.c.state.in_(list(expected)))
        if of_attempt is not None:
            change = change.where(_JOBS.c.attempt == of_attempt)
        with self._engine.begin() as connection:
            result = connection.execute(change.values(revision=_JOBS.c.revision + 1, **values))
        return result.rowcount == 1

    def delete_job(self, job_id: str) -> bool:
        """Delete the database record of a finished job; return False if the job is not finished or does not exist."""
        with self._engine.begin() as connection:
            result = connection.execute(delete(_JOBS).where(_JOBS.c.id == job_id, _JOBS.c.state.not_in(UNFINISHED)))
        return result.rowcount == 1


def _job(row: RowMapping) -> Job:
    return Job(**{**row, "state": JobState(row["state"])})


def _configure(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer, nor the writer for readers
    cursor.execute("PRAGMA synchronous=FULL")  # a change that was confirmed to a caller survives a power cut
    cursor.close()


def _create_schema(connection: Connection, path: Path) -> None:
    (version,) = connection.exec_driver_sql("PRAGMA user_version").one()
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the database '{path}' was made by a later version of bitbudget (schema {version}; this version knows "
            "schemas up to "
            f"{SCHEMA_VERSION}); choose another data directory, or install that version"
        )
    for earlier in range(version or SCHEMA_VERSION, SCHEMA_VERSION):  # version 0: the file is new
        connection.exec_driver_sql(_MIGRATIONS[earlier])
    _METADATA.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
