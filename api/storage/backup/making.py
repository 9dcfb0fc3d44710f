"""Make a backup of a data directory and its database, while the service runs.

The records are those of one moment. The files are copied after it: they do not change any more, with the exception of
logs and checkpoints, each of which is copied as it is found. What was deleted in the meantime is not in the backup.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, select
from sqlalchemy.exc import DatabaseError

from api.settings import Settings
from api.storage.backup.archive import ArchiveWriter, BackupError, is_content_name
from api.storage.backup.rows import TABLES, rows_of, write_row
from api.storage.backup.stored import StoredFiles
from api.storage.database.connections import Database
from api.storage.database.opening import prepare
from api.storage.database.schema import EVENTS, FILES, JOBS, SCHEMA_VERSION
from api.storage.job_directory import JobDirectory
from api.version import version
from deploy.atomic_write import replacing


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """What a backup has.

    Attributes:
        files: Number of uploaded files.
        jobs: Number of jobs.
        size_bytes: Size of the backup in bytes.
        warnings: Sentences about files that are missing or damaged in the data directory.
    """

    files: int
    jobs: int
    size_bytes: int
    warnings: list[str]


def make_backup(settings: Settings, target: Path) -> BackupSummary:
    """Write a backup of everything that the service stores, except what it can compute again.

    Args:
        settings: Settings of the service, with the data directory and the database.
        target: Path of the backup, which must not exist.

    Raises:
        BackupError: If there is nothing to back up, or the backup cannot be written.
        StoreError: If the database cannot be read.
        StoreUnavailable: If the store does not answer.
    """
    if target.exists():
        raise BackupError(f"the file '{target}' exists already; choose another name for the backup")
    if not settings.data_directory.is_dir():
        raise BackupError(f"the data directory '{settings.data_directory}' does not exist; give the one of the service")
    try:
        with replacing(target) as temporary, _snapshot(settings, target.parent) as connection:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it has hashes of keys
            with os.fdopen(descriptor, "wb") as file:
                making = _Making(settings, target.parent, ArchiveWriter(file), connection)
                making.run()
        return BackupSummary(making.files, making.jobs, target.stat().st_size, making.warnings)
    except OSError as error:
        raise BackupError(f"cannot write the backup '{target}': {error.strerror or error}") from error


@contextmanager
def _snapshot(settings: Settings, folder: Path) -> Iterator[Connection]:
    """Yield a connection that sees the database at one moment, with the tables of this version."""
    source = Database(settings.database)
    try:
        if not source.is_sqlite:
            prepare(source)
            with source.reading() as connection:
                yield connection.execution_options(isolation_level="REPEATABLE READ")
            return
        if not Path(source.name).is_file():
            raise BackupError(f"the database '{source.name}' does not exist; give the data directory of the service")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".backup-") as temporary:
            copy = Path(temporary) / "bitbudget.sqlite"
            _copy_database(Path(source.name), copy)
            copied = Database(copy)
            try:
                prepare(copied)  # the copy of an earlier version is migrated, and the original stays as it is
                with copied.reading() as connection:
                    yield connection
            finally:
                copied.close()
    finally:
        source.close()


def _copy_database(source: Path, copy: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as reading,
            closing(sqlite3.connect(copy)) as writing,
        ):
            reading.backup(writing)
            (found,) = writing.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise BackupError(
            f"the database '{source}' is damaged ({found}); the backup was not made, restore an earlier one"
        )


class _Making:
    """One run of `make_backup`."""

    def __init__(self, settings: Settings, folder: Path, archive: ArchiveWriter, connection: Connection) -> None:
        self._settings = settings
        self._folder = folder
        self._archive = archive
        self._connection = connection
        self._known: set[tuple[str, str]] = set()
        self._dropped: set[tuple[str, str]] = set()
        self._stored = StoredFiles(settings, folder)
        self.files = 0
        self.jobs = 0
        self.warnings: list[str] = []

    def run(self) -> None:
        for row in rows_of(self._connection, FILES):
            self._add_content(row["kind"], row["id"])
        for row in rows_of(self._connection, JOBS):
            self._add_job(row)
        for table in TABLES.values():
            with tempfile.TemporaryFile(dir=self._folder) as lines:
                for row in rows_of(self._connection, table):
                    if not self._is_dropped(table.name, row):
                        write_row(lines, row)
                        self.files += table is FILES
                        self.jobs += table is JOBS
                size_bytes = lines.tell()
                lines.seek(0)
                self._archive.add(f"database/{table.name}.jsonl", lines, size_bytes)
        self._archive.finish(version(), SCHEMA_VERSION, time.time())

    def _is_dropped(self, table: str, row: dict[str, Any]) -> bool:
        if table == FILES.name:
            return (row["kind"], row["id"]) in self._dropped
        if table in {JOBS.name, EVENTS.name}:
            return ("job", row["id" if table == JOBS.name else "job_id"]) in self._dropped
        return False

    def _add_content(self, kind: str, file_id: str) -> None:
        folder = self._settings.networks_directory if kind == "network" else self._settings.datasets_directory
        if (kind, file_id) in self._known:
            return  # another project has a record of the same content
        self._known.add((kind, file_id))
        if self._stored.is_used:
            added = [self._add(name, path) for name, path in self._stored.of_content(folder.name, file_id)]
        else:
            added = [self._add(f"{folder.name}/{path.name}", path) for path in sorted(folder.glob(f"{file_id}*"))]
        if not any(added):
            self._dropped.add((kind, file_id))
            if self._exists(FILES.name, file_id):
                fault = "missing or damaged" if self._stored.is_used else "missing"
                self.warnings.append(f"the file of the {kind} {file_id} is {fault}; upload it again")

    def _add_job(self, row: dict[str, Any]) -> None:
        job_id = row["id"]
        directory = JobDirectory.of(job_id, self._settings)
        hashes: dict[Path, str] = {}
        for folder, folders, names in os.walk(directory.root):  # it goes on if a directory is deleted meanwhile
            if self._stored.is_used:
                folders.clear()  # the store has checkpoints and artifacts, the directory has the log
            for path in (Path(folder) / name for name in sorted(names)):
                hashes[path] = self._add(f"jobs/{job_id}/{path.relative_to(directory.root)}", path)
        for name, path in self._stored.of_job(job_id):
            hashes[self._settings.data_directory / name] = self._add(name, path)
        artifacts = directory.attempt(row["attempt"]).artifacts
        lacking = [each["name"] for each in row["artifacts"] if hashes.get(artifacts / each["name"]) != each["sha256"]]
        if lacking and not self._exists(JOBS.name, job_id):
            self._dropped.add(("job", job_id))
        elif lacking:
            self.warnings.append(f"artifacts of the job {job_id} are missing or damaged: {', '.join(lacking)}")

    def _add(self, name: str, path: Path) -> str:
        """Add a file, and return its hash; return an empty text if it is not one that belongs into a backup."""
        if not is_content_name(name):
            return ""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError:
            if path.is_symlink():
                return ""
            raise
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            return ""
        with os.fdopen(descriptor, "rb") as file:
            return self._add_open(name, file, found.st_size)

    def _add_open(self, name: str, file: BinaryIO, size_bytes: int) -> str:
        entry = self._archive.add(name, file, size_bytes)
        if entry is None:
            raise BackupError(f"the file '{name}' became shorter while it was copied; make the backup again")
        return entry.sha256

    def _exists(self, table: str, identifier: str) -> bool:
        """Return whether the database of the service still has a record, so that it was not deleted meanwhile."""
        live = Database(self._settings.database)
        column = TABLES[table].c.id
        try:
            with live.reading() as connection:
                return connection.execute(select(column).where(column == identifier)).first() is not None
        except DatabaseError:
            return True
        finally:
            live.close()
