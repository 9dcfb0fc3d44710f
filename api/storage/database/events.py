"""Statements on the events of jobs.

The events of a job are written while its row in `jobs` is locked. Their numbers therefore grow in the order in which
they become visible: whoever has read event n misses none with a smaller number.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, case, delete, func, insert, select

from api.storage.database.project_records import ProjectRecords
from api.storage.database.schema import EVENTS, JOBS
from api.storage.records import EventKind, JobEvent

MAX_EVENTS: Final = 2000
"""Largest number of events that are kept of a job."""

_IDS_OF_QUERY: Final = 500
"""Largest number of identifiers in one query; databases limit the number of parameters."""
_COLUMNS: Final = [column for column in EVENTS.c if column.name != "project"]
_LEAST_WANTED_FIRST: Final = case({"progress": 0, "log": 1, "warning": 2}, value=EVENTS.c.kind, else_=3)


class EventRecords(ProjectRecords):
    """Events of the jobs of one project."""

    def events(self, job_id: str, after_number: int = 0, limit: int | None = None) -> list[JobEvent]:
        """Return events of a job, oldest first.

        Args:
            job_id: Identifier of the job.
            after_number: Number of the last event that the caller knows; 0 for all events.
            limit: Largest number of events to return; None for all.
        """
        query = (
            select(*_COLUMNS)
            .where(EVENTS.c.job_id == job_id, EVENTS.c.project == self.project, EVENTS.c.number > after_number)
            .order_by(EVENTS.c.number)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [JobEvent(**row._mapping) for row in connection.execute(query)]

    def last_events_of_any_project(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        """Return the number of the newest event of each job that exists; None for a job without events.

        Args:
            job_ids: Identifiers of jobs of any projects.
        """
        newest = select(func.max(EVENTS.c.number)).where(EVENTS.c.job_id == JOBS.c.id).scalar_subquery()
        found: dict[str, int | None] = {}
        with self._database.reading() as connection:
            for start in range(0, len(job_ids), _IDS_OF_QUERY):
                ids = job_ids[start : start + _IDS_OF_QUERY]
                rows = connection.execute(select(JOBS.c.id, newest).where(JOBS.c.id.in_(ids)))
                found |= {row[0]: row[1] for row in rows}
        return found

    def add_event(self, job_id: str, kind: EventKind, data: dict[str, Any]) -> bool:
        """Add an event to a job whose record does not change; return False if the job does not exist.

        Args:
            job_id: Identifier of the job.
            kind: What the event reports: "log" or "warning"; the other kinds are written by changes of a job.
            data: What happened, as a JSON object.
        """
        query = select(JOBS.c.id).where(JOBS.c.id == job_id, JOBS.c.project == self.project).with_for_update()
        with self._database.writing() as connection:
            if connection.execute(query).first() is None:
                return False
            write_event(connection, self.project, job_id, kind, data)
        return True


def write_event(connection: Connection, project: str, job_id: str, kind: EventKind, data: dict[str, Any]) -> None:
    """Write an event of a job whose row is locked, and delete the least wanted event if the job has too many.

    Args:
        connection: Connection in a transaction that has locked or changed the job's row.
        project: Name of the project of the job.
        job_id: Identifier of the job.
        kind: What the event reports.
        data: What happened, as a JSON object.
    """
    values = {"project": project, "job_id": job_id, "created_at": time.time(), "kind": kind, "data": data}
    connection.execute(insert(EVENTS).values(values))
    count = connection.execute(select(func.count()).where(EVENTS.c.job_id == job_id)).scalar_one()
    if count > MAX_EVENTS:
        surplus = (
            select(EVENTS.c.number)
            .where(EVENTS.c.job_id == job_id)
            .order_by(_LEAST_WANTED_FIRST, EVENTS.c.number)
            .limit(count - MAX_EVENTS)
        )
        connection.execute(delete(EVENTS).where(EVENTS.c.number.in_(surplus)))
