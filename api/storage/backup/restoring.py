"""Restore a backup into an empty data directory and an empty database.

The archive is not trusted: names are those that the service writes and nothing else, a record must have the types of
its columns, and every content its hash. Everything is written beside its place, and moved there when it is complete.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import DBAPIError

from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.backup import stored
from api.storage.backup.archive import ArchiveReader, BackupError, Entry, invalid, is_file_name, read_archive
from api.storage.backup.making import BackupSummary
from api.storage.backup.rows import TABLES, read_rows, set_counters, tables_of, write_rows
from api.storage.database.connections import Database
from api.storage.database.opening import prepare
from api.storage.database.schema import FILES, JOBS, SCHEMA_VERSION
from api.storage.objects.errors import StoreUnavailable

_ROWS_AT_ONCE: Final = 200


def restore_backup(source: Path, settings: Settings) -> BackupSummary:
    """Restore a backup; jobs that ran when it was made are queued again.

    Args:
        source: Path of the backup.
        settings: Settings of the service, with a data directory that is empty or does not exist, and an empty database.

    Raises:
        BackupError: If the backup is not usable, or the data directory, the database or the store has something
            already.
        StoreError: If the database cannot be used.
        StoreUnavailable: If the store does not answer.
    """
    target = settings.data_directory
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(f"the data directory '{target}' is not empty; restore into a new one")
    stored.require_empty(settings)
    file, archive = read_archive(source)
    with file:
        _check(archive)
        try:
            return _restore(archive, source, settings)
        except OSError as error:
            raise BackupError(
                f"cannot restore into '{target}': {error.strerror or error}; nothing was restored"
            ) from error
        except (DBAPIError, RecursionError) as error:
            raise BackupError("the database refused a record of the backup; nothing was restored") from error


def _check(archive: ArchiveReader) -> None:
    manifest = archive.manifest
    if manifest.schema_version > SCHEMA_VERSION:
        raise BackupError(
            f"the backup was made by a later version of bitbudget ({manifest.version}); restore it with that version"
        )
    found = {entry.name for entry in manifest.entries if entry.name.startswith("database/")}
    if wrong := found ^ {f"database/{table}.jsonl" for table in tables_of(manifest.schema_version)}:
        raise invalid(f"'{min(wrong)}' is missing or unknown")


def _restore(archive: ArchiveReader, source: Path, settings: Settings) -> BackupSummary:
    target = settings.data_directory
    target.parent.mkdir(parents=True, exist_ok=True)
    needed = sum(entry.size_bytes for entry in archive.manifest.entries)
    if needed > shutil.disk_usage(target.parent).free:
        raise BackupError(f"the disk of '{target}' has less than the {needed:,} bytes that the backup needs")
    is_mounted = target.is_dir() and os.path.ismount(target)  # a mounted directory cannot be replaced by another
    staging = Path(tempfile.mkdtemp(prefix=".restoring-", dir=target if is_mounted else target.parent))
    database = None
    try:
        staging.chmod(0o755)
        database = Database(settings.database_url or staging / "bitbudget.sqlite")
        prepare(database)
        with database.writing() as connection:
            restoring = _Restoring(archive, staging, connection)
            restoring.run()
            set_counters(database, connection)
            stored.move_into_store(settings, staging, restoring.attempts)  # before the commit, which may fail
            if settings.database_url is not None:
                _publish(staging, target, is_mounted=is_mounted)  # before the commit, which may fail
        database.close()
        if settings.database_url is None:
            _publish(staging, target, is_mounted=is_mounted)
    except BaseException:
        if database is not None:
            database.close()
        shutil.rmtree(staging, ignore_errors=True)
        _clear(target)
        with contextlib.suppress(StoreUnavailable):
            stored.clear(settings)
        raise
    return BackupSummary(restoring.files, restoring.jobs, source.stat().st_size, [])


def _publish(staging: Path, target: Path, *, is_mounted: bool) -> None:
    if not is_mounted:
        staging.rename(target)
        return
    for path in sorted(staging.iterdir(), key=lambda path: path.is_file()):  # the database last
        path.rename(target / path.name)
    staging.rmdir()


def _clear(target: Path) -> None:
    """Empty a directory that was empty before."""
    for path in target.iterdir() if target.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class _Restoring:
    """One run of `restore_backup`."""

    def __init__(self, archive: ArchiveReader, staging: Path, connection: Connection) -> None:
        self._archive = archive
        self._staging = staging
        self._connection = connection
        self._names = {entry.name for entry in archive.manifest.entries}
        self.files = 0
        self.jobs = 0
        self.attempts: dict[str, int] = {}

    def run(self) -> None:
        for table in TABLES.values():
            if self._connection.execute(select(table).limit(1)).first() is not None:
                raise BackupError("the database has records already; restore into an empty one")
        for entry, pieces in self._archive.contents():
            folder, _, name = entry.name.partition("/")
            if folder == "database":
                self._insert(TABLES[name.removesuffix(".jsonl")], pieces)
            else:
                self._write(entry, pieces)

    def _write(self, entry: Entry, pieces: Iterator[bytes]) -> None:
        path = self._staging / entry.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    def _insert(self, table: Table, pieces: Iterator[bytes]) -> None:
        rows: Iterator[dict[str, Any]] = read_rows(table, pieces)
        if table is FILES:
            rows = map(self._checked_file, rows)
        elif table is JOBS:
            rows = map(self._checked_job, rows)
        while batch := list(islice(rows, _ROWS_AT_ONCE)):
            write_rows(self._connection, table, batch)
            self.files += len(batch) * (table is FILES)
            self.jobs += len(batch) * (table is JOBS)

    def _checked_file(self, row: dict[str, Any]) -> dict[str, Any]:
        content = {"network": f"networks/{row['id']}", "dataset": f"datasets/{row['id']}.npz"}.get(row["kind"])
        if content not in self._names:
            raise invalid(f"it has no file for the record {row['id'][:64]!r}")
        return row

    def _checked_job(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the record of a job without worker and lease."""
        names = [each.get("name") if isinstance(each, dict) else None for each in row["artifacts"]]
        if not re.fullmatch("[0-9a-f]{32}", row["id"]) or row["state"] not in set(JobState):
            raise invalid(f"the record of the job {row['id'][:64]!r} is invalid")
        if not all(isinstance(name, str) and is_file_name(name) for name in names):
            raise invalid(f"the record of the job {row['id']} names an artifact that the service does not write")
        if "stored_bytes" not in row:  # a backup of version 3
            sizes = [each.get("size_bytes") for each in row["artifacts"]]
            row = row | {"stored_bytes": sum(size for size in sizes if isinstance(size, int) and size > 0)}
        self.attempts[row["id"]] = row["attempt"]
        free = {"lease_owner": None, "lease_until": None, "heartbeat_at": None}
        if row["state"] == JobState.RUNNING:
            return row | free | {"state": JobState.QUEUED}
        if row["state"] == JobState.CANCELLING:
            return row | free | {"state": JobState.CANCELLED, "finished_at": time.time()}
        return row | free
