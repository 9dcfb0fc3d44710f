"""What a project may have: checks in the transactions that add something, and the values of a project.

The bytes of a project are summed from its records, by indices that have all that the sums need: a counter could
disagree with them. A lock of the project makes transactions that count come one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, cast, func, insert, select, union, update
from sqlalchemy.exc import IntegrityError

from api.errors import QUEUE_LIMIT, QUOTA_EXCEEDED, Busy, ServiceError
from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.database.project_lock import lock_project
from api.storage.database.project_records import ProjectRecords
from api.storage.database.schema import API_KEYS, FILES, JOBS, PROJECTS, WEBHOOKS

UNLIMITED: Final = -1
"""Stored value of a quota that a project does not have, whatever the settings say."""
_RETRY_SECONDS: Final = 60


class QuotaExceeded(ServiceError):
    """Error: the project has used the bytes that it may have.

    Args:
        used_bytes: Bytes that the project has stored.
        allowed_bytes: Bytes that it may have.
        added_bytes: Bytes that the request would add.
    """

    kind = QUOTA_EXCEEDED

    def __init__(self, used_bytes: int, allowed_bytes: int, added_bytes: int) -> None:
        super().__init__(
            f"the project has {used_bytes:,} bytes and may have {allowed_bytes:,}; the request needs {added_bytes:,} "
            "more: delete networks, datasets or jobs, or let the operator raise the quota (bitbudget projects set)"
        )
        self.members = {"used_bytes": used_bytes, "allowed_bytes": allowed_bytes}


class QueueLimit(Busy):
    """Error: as many jobs of the project wait as may wait."""

    kind = QUEUE_LIMIT


@dataclass(frozen=True, slots=True)
class Limits:
    """What a project may have; None: no limit.

    Attributes:
        max_bytes: Largest number of stored bytes.
        max_queued_jobs: Largest number of jobs that wait at once.
        retention_days: Time in days after which what is not used is deleted.
    """

    max_bytes: int | None = None
    max_queued_jobs: int | None = None
    retention_days: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return the limits of a project that has none of its own."""
        return cls(settings.project_bytes, settings.project_queued_jobs, settings.retention_days)


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """Limits of one project as they are stored; None: that of the settings, -1: none.

    Attributes:
        name: Name of the project.
        max_bytes: Largest number of stored bytes.
        max_queued_jobs: Largest number of jobs that wait at once.
        retention_days: Time in days after which what is not used is deleted.
    """

    name: str
    max_bytes: int | None = None
    max_queued_jobs: int | None = None
    retention_days: float | None = None

    def over(self, defaults: Limits) -> Limits:
        """Return the limits that hold, where the settings give the other ones."""
        chosen = {
            name: getattr(defaults, name) if value is None else None if value == UNLIMITED else value
            for name, value in ((each, getattr(self, each)) for each in Limits.__slots__)
        }
        return Limits(**chosen)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project has.

    Attributes:
        networks: Number of networks.
        network_bytes: Size of their files in bytes.
        datasets: Number of uploaded datasets.
        dataset_bytes: Size of their files in bytes.
        jobs: Number of jobs in any state.
        queued_jobs: Number of jobs that wait.
        artifact_bytes: Size of the artifacts of all jobs in bytes.
    """

    networks: int
    network_bytes: int
    datasets: int
    dataset_bytes: int
    jobs: int
    queued_jobs: int
    artifact_bytes: int

    @property
    def stored_bytes(self) -> int:
        """Bytes that count against the quota."""
        return self.network_bytes + self.dataset_bytes + self.artifact_bytes


class QuotaRecords(ProjectRecords):
    """Quota and usage of one project."""

    def own_limits(self) -> OwnLimits:
        """Return the limits that are stored for this project."""
        with self._database.reading() as connection:
            return _own_limits(connection, self.project)

    def set_limits(self, **values: float | None) -> None:
        """Store limits of this project; see `OwnLimits` for their meaning.

        Args:
            values: New value of each limit that changes.
        """
        try:
            with self._database.writing() as connection:
                connection.execute(insert(PROJECTS).values(name=self.project, **values))
        except IntegrityError:
            with self._database.writing() as connection:
                connection.execute(update(PROJECTS).where(PROJECTS.c.name == self.project).values(**values))

    def usage(self) -> Usage:
        """Return what this project has."""
        files = select(FILES.c.kind, func.count(), _total(FILES.c.size_bytes)).where(FILES.c.project == self.project)
        jobs = select(func.count(), _total(JOBS.c.stored_bytes)).where(JOBS.c.project == self.project)
        with self._database.reading() as connection:
            of_kind = {row[0]: (row[1], row[2]) for row in connection.execute(files.group_by(FILES.c.kind))}
            count, artifact_bytes = connection.execute(jobs).one()
            return Usage(
                *of_kind.get("network", (0, 0)),
                *of_kind.get("dataset", (0, 0)),
                jobs=count,
                queued_jobs=_queued_jobs(connection, self.project),
                artifact_bytes=artifact_bytes,
            )

    def require_room(self, added_bytes: int, defaults: Limits) -> None:
        """Raise an error if bytes would exceed the quota of this project now; `check_bytes` decides later.

        Args:
            added_bytes: Bytes that a request would add.
            defaults: Limits of a project that has none of its own.

        Raises:
            QuotaExceeded: If they would.
        """
        with self._database.reading() as connection:
            _require_bytes(connection, self.project, added_bytes, defaults)

    def names_of_all_projects(self) -> list[str]:
        """Return the names of all projects that have anything, sorted."""
        queries = [select(table.c.project) for table in (FILES, JOBS, API_KEYS, WEBHOOKS)]
        with self._database.reading() as connection:
            return sorted(connection.execute(union(*queries, select(PROJECTS.c.name))).scalars())

    def retention_of_all_projects(self) -> dict[str, float]:
        """Return the days of retention of each project that has its own; -1 for a project whose things are kept."""
        query = select(PROJECTS.c.name, PROJECTS.c.retention_days).where(PROJECTS.c.retention_days.is_not(None))
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}


def check_bytes(connection: Connection, project: str, added_bytes: int, defaults: Limits | None) -> None:
    """Check, in the transaction that has added bytes to a project, that its quota has room for them.

    Args:
        connection: Connection in a transaction for writing.
        project: Name of the project.
        added_bytes: Bytes that were added; a project that has used all of its bytes has no room for 0 either.
        defaults: Limits of a project that has none of its own; None checks nothing.

    Raises:
        QuotaExceeded: If there is no room.
    """
    if defaults is not None and _own_limits(connection, project).over(defaults).max_bytes is not None:
        lock_project(connection, project)
        _require_bytes(connection, project, added_bytes, defaults, was_added=True)


def check_queue(connection: Connection, project: str, defaults: Limits | None) -> None:
    """Check, in the transaction that queues a job of a project, that one more may wait.

    Args:
        connection: Connection in a transaction for writing.
        project: Name of the project.
        defaults: Limits of a project that has none of its own; None checks nothing.

    Raises:
        QueueLimit: If as many wait as may.
    """
    if defaults is None:
        return
    allowed = _own_limits(connection, project).over(defaults).max_queued_jobs
    if allowed is None:
        return
    lock_project(connection, project)
    waiting = _queued_jobs(connection, project)
    if waiting >= allowed:
        raise QueueLimit(
            f"{waiting} jobs of the project wait, and {allowed} may wait at once; wait until one has started, or "
            "cancel one",
            _RETRY_SECONDS,
        )


def _require_bytes(
    connection: Connection, project: str, added_bytes: int, defaults: Limits, *, was_added: bool = False
) -> None:
    allowed_bytes = _own_limits(connection, project).over(defaults).max_bytes
    if allowed_bytes is None:
        return
    used_bytes = stored_bytes(connection, project) - added_bytes * was_added
    if used_bytes + added_bytes > allowed_bytes or used_bytes >= allowed_bytes:
        raise QuotaExceeded(used_bytes, allowed_bytes, added_bytes)


def stored_bytes(connection: Connection, project: str) -> int:
    """Return the bytes that count against the quota of a project."""
    of_files = select(_total(FILES.c.size_bytes)).where(FILES.c.project == project)
    of_jobs = select(_total(JOBS.c.stored_bytes)).where(JOBS.c.project == project)
    return int(connection.execute(of_files).scalar_one()) + int(connection.execute(of_jobs).scalar_one())


def _own_limits(connection: Connection, project: str) -> OwnLimits:
    row = connection.execute(select(PROJECTS).where(PROJECTS.c.name == project)).first()
    return OwnLimits(project) if row is None else OwnLimits(**row._mapping)


def _queued_jobs(connection: Connection, project: str) -> int:
    query = select(func.count()).where(JOBS.c.state == JobState.QUEUED, JOBS.c.project == project)
    return int(connection.execute(query).scalar_one())


def _total(column: Any) -> Any:
    """Return the sum of a column as a 64-bit integer; PostgreSQL's own sum of these is a decimal number."""
    return cast(func.coalesce(func.sum(column), 0), BigInteger)
