"""Statements on the records of uploaded files."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import ColumnElement, String, cast, delete, insert, select, tuple_
from sqlalchemy.exc import IntegrityError

from api.storage.database.last_use import is_unused_file
from api.storage.database.project_records import ProjectRecords
from api.storage.database.quotas import Limits, check_bytes
from api.storage.database.schema import FILES, JOBS
from api.storage.records import UNFINISHED, KeptFile

_FIELD_OF_JOB: Final = {"network": "network_id", "dataset": "dataset"}
"""Field of a job's request that names a file, by the kind of the file."""
_COLUMNS: Final = [column for column in FILES.c if column.name not in {"project", "used_at"}]


class FileRecords(ProjectRecords):
    """Records of the uploaded files of one project; projects that uploaded the same content have a record each."""

    def add_file(self, file: KeptFile, defaults: Limits | None = None) -> bool:
        """Add the database record of an uploaded file; return False if the record exists already.

        Args:
            file: The record.
            defaults: Limits of a project that has none of its own; None checks no quota.

        Raises:
            QuotaExceeded: If the file is new and the quota of the project has no room for it.
        """
        values = {
            "project": self.project,
            "kind": file.kind,
            "id": file.id,
            "name": file.name,
            "size_bytes": file.size_bytes,
            "created_at": file.created_at,
            "summary": file.summary,
        }
        try:
            with self._database.writing() as connection:
                connection.execute(insert(FILES).values(values))  # first: what exists already costs nothing
                check_bytes(connection, self.project, file.size_bytes, defaults)
        except IntegrityError:
            return False
        return True

    def file(self, kind: str, file_id: str) -> KeptFile | None:
        """Return the database record of an uploaded file; None if there is none.

        Args:
            kind: Kind of the file: "network" or "dataset".
            file_id: SHA-256 of the file, in hexadecimal.
        """
        with self._database.reading() as connection:
            row = connection.execute(select(*_COLUMNS).where(self._is_file(kind, file_id))).first()
        return KeptFile(**row._mapping) if row else None

    def has_file(self, kind: str, file_id: str) -> bool:
        """Return whether an uploaded file has a record, without reading what the record says about it.

        Args:
            kind: Kind of the file: "network" or "dataset".
            file_id: SHA-256 of the file, in hexadecimal.
        """
        query = select(FILES.c.id).where(self._is_file(kind, file_id))
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def has_file_in_any_project(self, kind: str, file_id: str) -> bool:
        """Return whether a record of any project names an uploaded file, so that its content must be kept.

        Args:
            kind: Kind of the file: "network" or "dataset".
            file_id: SHA-256 of the file, in hexadecimal.
        """
        query = select(FILES.c.id).where(FILES.c.kind == kind, FILES.c.id == file_id).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def files(self, kind: str) -> list[KeptFile]:
        """Return the database records of all uploaded files of one kind ("network" or "dataset"), newest first."""
        return self._files(kind, None, None)

    def files_page(
        self, kind: str, limit: int, before: tuple[float, str] | None = None, fields: Collection[str] | None = None
    ) -> list[KeptFile]:
        """Return the database records of some uploaded files, newest first.

        Args:
            kind: Kind of the files: "network" or "dataset".
            limit: Largest number of files on the page. One more is returned if there is a next page.
            before: Time of creation and identifier of the last file of the previous page; None for the first page.
            fields: Names of the members of the summary that are read, because a whole one can be large; None for all.
        """
        return self._files(kind, limit + 1, before, fields)

    def delete_file(self, kind: str, file_id: str, unused_since: float | None = None) -> bool:
        """Delete the record of an uploaded file from the database; return False if it is missing or in use by a job.

        Args:
            kind: Kind of the file: "network" or "dataset".
            file_id: SHA-256 of the file, in hexadecimal.
            unused_since: Unix time in seconds; a file that was used later is not deleted either. None: it may be.
        """
        # Text is searched, because PostgreSQL reads no member of a JSON value that contains the character U+0000.
        names_it = cast(JOBS.c.request, String).contains(f'"{_FIELD_OF_JOB[kind]}": "{file_id}"', autoescape=True)
        needed = (
            select(JOBS.c.number).where(JOBS.c.project == self.project, JOBS.c.state.in_(UNFINISHED), names_it).exists()
        )
        with self._database.writing() as connection:
            deletion = delete(FILES).where(self._is_file(kind, file_id), ~needed)
            deletion = deletion if unused_since is None else deletion.where(is_unused_file(unused_since))
            result = connection.execute(deletion)
        return result.rowcount == 1

    def _files(
        self,
        kind: str,
        rows: int | None,
        before: tuple[float, str] | None,
        fields: Collection[str] | None = None,
    ) -> list[KeptFile]:
        columns = _COLUMNS if fields is None else [column for column in _COLUMNS if column.name != "summary"]
        members = [FILES.c.summary[name].label(f"summary_{name}") for name in fields or ()]
        query = select(*columns, *members).where(FILES.c.project == self.project, FILES.c.kind == kind)
        if before is not None:
            query = query.where(tuple_(FILES.c.created_at, FILES.c.id) < before)
        query = query.order_by(FILES.c.created_at.desc(), FILES.c.id.desc()).limit(rows)
        with self._database.reading() as connection:
            rows_of_files = [dict(row._mapping) for row in connection.execute(query)]
        for row in rows_of_files if fields is not None else ():
            row["summary"] = {name: row.pop(f"summary_{name}") for name in fields or ()}
        return [KeptFile(**row) for row in rows_of_files]

    def _is_file(self, kind: str, file_id: str) -> ColumnElement[bool]:
        return (FILES.c.project == self.project) & (FILES.c.kind == kind) & (FILES.c.id == file_id)
