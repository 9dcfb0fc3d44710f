"""When uploaded files and finished jobs were last used, and those that were not used for long."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.exc import OperationalError

from api.storage.database.project_records import ProjectRecords
from api.storage.database.schema import FILES, JOBS
from api.storage.records import UNFINISHED, Job

_NOTE_SECONDS: Final = 3600.0
"""Time in seconds for which a note of the last use is good enough: retention is counted in days."""


class LastUseRecords(ProjectRecords):
    """Last use of the files and jobs of one project; methods with `of_all_projects` see those of all."""

    def note_file_use(self, kind: str, file_id: str) -> bool:
        """Note that an uploaded file is used now, if the last note is old; return whether the file has a record.

        Args:
            kind: Kind of the file: "network" or "dataset".
            file_id: SHA-256 of the file, in hexadecimal.
        """
        is_file = (FILES.c.project == self.project) & (FILES.c.kind == kind) & (FILES.c.id == file_id)
        query = select(func.coalesce(FILES.c.used_at, FILES.c.created_at)).where(is_file)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is not None and row[0] < time.time() - _NOTE_SECONDS:
            with contextlib.suppress(OperationalError), self._database.writing() as connection:
                note_use(connection, self.project, [file_id])
        return row is not None

    def unused_files_of_all_projects(
        self, before: float, limit: int, project: str | None = None, other_than: Collection[str] = ()
    ) -> list[tuple[str, str, str]]:
        """Return project, kind and identifier of some uploaded files that were last used before a time.

        Args:
            before: Unix time in seconds.
            limit: Largest number of files.
            project: Name of the only project to look at; None for all.
            other_than: Names of projects that are left out.
        """
        query = select(FILES.c.project, FILES.c.kind, FILES.c.id).where(is_unused_file(before))
        query = query.where(FILES.c.project == project) if project is not None else query
        query = query.where(FILES.c.project.not_in(list(other_than))).order_by(FILES.c.created_at).limit(limit)
        with self._database.reading() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query)]

    def note_job_use(self, job: Job) -> None:
        """Note that the files of a finished job are used now, if the last note is old.

        Args:
            job: The job, as it was read.
        """
        if job.finished_at is None or max(job.used_at or 0.0, job.finished_at) > time.time() - _NOTE_SECONDS:
            return
        used = update(JOBS).where(JOBS.c.id == job.id).values(used_at=time.time())
        with contextlib.suppress(OperationalError), self._database.writing() as connection:
            connection.execute(used)

    def unused_jobs_of_all_projects(
        self, before: float, limit: int, project: str | None = None, other_than: Collection[str] = ()
    ) -> list[tuple[str, str]]:
        """Return project and identifier of some finished jobs that were last used before a time.

        Args:
            before: Unix time in seconds.
            limit: Largest number of jobs.
            project: Name of the only project to look at; None for all.
            other_than: Names of projects that are left out.
        """
        query = select(JOBS.c.project, JOBS.c.id).where(is_unused_job(before), JOBS.c.state.not_in(UNFINISHED))
        query = query.where(JOBS.c.project == project) if project is not None else query
        query = query.where(JOBS.c.project.not_in(list(other_than))).order_by(JOBS.c.finished_at).limit(limit)
        with self._database.reading() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]


def note_use(connection: Connection, project: str, file_ids: Collection[str]) -> None:
    """Note that uploaded files of a project are used now.

    Args:
        connection: Connection in a transaction for writing.
        project: Name of the project.
        file_ids: SHA-256 of each file, in hexadecimal; a text that names no file changes nothing.
    """
    is_named = FILES.c.kind.in_(["network", "dataset"]) & FILES.c.id.in_(sorted(file_ids))  # with kinds by the index
    used = update(FILES).where(FILES.c.project == project, is_named)
    connection.execute(used.values(used_at=time.time()))


def is_unused_file(before: float) -> ColumnElement[bool]:
    """Return the condition that an uploaded file was last used before a Unix time in seconds."""
    return (FILES.c.created_at < before) & (func.coalesce(FILES.c.used_at, 0.0) < before)


def is_unused_job(before: float) -> ColumnElement[bool]:
    """Return the condition that a job has ended, and was last used, before a Unix time in seconds."""
    return (JOBS.c.finished_at < before) & (func.coalesce(JOBS.c.used_at, 0.0) < before)
