"""What the service remembers: one SQLite file, written by the service and by the workers.

    files    (kind, id)    networks and datasets that are kept; their content lies in `blobs`
    jobs     (id)          state, progress, result

A job's state changes by compare-and-set only, so that of two processes that disagree one is told so.
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

SCHEMA_VERSION: Final = 1
_BUSY_SECONDS: Final = 15.0


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
    Column("progress", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("result", JSON(none_as_null=True)),
    Column("artifacts", JSON, nullable=False),
)


class StoreError(BitbudgetError):
    """A database that this version cannot use."""


class Store:
    """The database of a data directory.

    Raises:
        StoreError: it was made by another version.
    """

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS})
        event.listen(self._engine, "connect", _configure)
        with self._engine.begin() as connection:
            _create_schema(connection, path)

    def close(self) -> None:
        self._engine.dispose()

    # files

    def add_file(self, file: KeptFile) -> bool:
        """Remember a file; False if it is known already."""
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
        with self._engine.connect() as connection:
            row = connection.execute(select(_FILES).where(_FILES.c.kind == kind, _FILES.c.id == file_id)).first()
        return KeptFile(**row._mapping) if row else None

    def files(self, kind: str) -> list[KeptFile]:
        """Newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(_FILES).where(_FILES.c.kind == kind).order_by(_FILES.c.created_at.desc(), _FILES.c.id)
            )
            return [KeptFile(**row._mapping) for row in rows]

    def delete_file(self, kind: str, file_id: str) -> bool:
        """Forget a file, unless an unfinished job names it; False if one does."""
        field = _JOBS.c.request[f"{kind}_id" if kind == "network" else kind].as_string()
        needed = select(_JOBS.c.number).where(_JOBS.c.state.in_(UNFINISHED), field == file_id).exists()
        with self._engine.begin() as connection:
            result = connection.execute(delete(_FILES).where(_FILES.c.kind == kind, _FILES.c.id == file_id, ~needed))
        return result.rowcount == 1

    # jobs

    def add_job(self, job_id: str, request: dict[str, Any], idempotency_key: str | None) -> bool:
        """Queue a job; False if the idempotency key is taken."""
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
                        artifacts=[],
                    )
                )
        except IntegrityError:
            return False
        return True

    def job(self, job_id: str) -> Job | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(_JOBS).where(_JOBS.c.id == job_id)).first()
        return _job(row._mapping) if row else None

    def job_with_key(self, idempotency_key: str) -> Job | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(_JOBS).where(_JOBS.c.idempotency_key == idempotency_key)).first()
        return _job(row._mapping) if row else None

    def jobs(self, states: Iterable[JobState] = tuple(JobState), limit: int = -1) -> list[Job]:
        """Newest first."""
        query = select(_JOBS).where(_JOBS.c.state.in_(list(states))).order_by(_JOBS.c.number.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [_job(row._mapping) for row in connection.execute(query)]

    def count_jobs(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        query = select(_JOBS.c.state, func.count()).group_by(_JOBS.c.state)
        with self._engine.connect() as connection:
            counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
        return {state: counts.get(state, 0) for state in JobState}

    def change_job(self, job_id: str, expected: Iterable[JobState], **values: Any) -> bool:
        """Change a job if it is in one of the expected states; False if it is not."""
        if (state := values.get("state")) is not None and state.is_final:
            values["finished_at"] = time.time()
        with self._engine.begin() as connection:
            result = connection.execute(
                update(_JOBS)
                .where(_JOBS.c.id == job_id, _JOBS.c.state.in_(list(expected)))
                .values(revision=_JOBS.c.revision + 1, **values)
            )
        return result.rowcount == 1

    def delete_job(self, job_id: str) -> bool:
        """Forget a finished job; False if it is not finished."""
        with self._engine.begin() as connection:
            result = connection.execute(delete(_JOBS).where(_JOBS.c.id == job_id, _JOBS.c.state.not_in(UNFINISHED)))
        return result.rowcount == 1


def _job(row: RowMapping) -> Job:
    return Job(**{**row, "state": JobState(row["state"])})


def _configure(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # readers and one writer do not wait for each other
    cursor.execute("PRAGMA synchronous=FULL")  # what was answered survives a power cut
    cursor.close()


def _create_schema(connection: Connection, path: Path) -> None:
    (version,) = connection.exec_driver_sql("PRAGMA user_version").one()
    if version not in {0, SCHEMA_VERSION}:
        raise StoreError(
            f"'{path}' was made by another version of bitbudget (schema {version}, this one knows {SCHEMA_VERSION}); "
            "choose another data directory"
        )
    _METADATA.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
