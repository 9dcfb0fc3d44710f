"""Records of the database as lines of JSON, the same for SQLite and PostgreSQL."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, Final

from sqlalchemy import JSON, Column, Connection, Float, Integer, String, Table, insert, select, text

from api.storage.backup.archive import BackupError, invalid
from api.storage.database.connections import Database, json_text
from api.storage.database.schema import API_KEYS, EVENTS, FILES, IDEMPOTENCY, JOBS, PROJECTS, WEBHOOKS

_OF_VERSION_3: Final = (FILES, JOBS, EVENTS, API_KEYS, IDEMPOTENCY)
TABLES: Final = {table.name: table for table in (*_OF_VERSION_3, PROJECTS, WEBHOOKS)}
"""Tables of a backup, by name. Deliveries of webhooks are not in it: a restored service must not send them again."""
MAX_LINE_BYTES: Final = 64 * 2**20
"""Largest size of one record."""
_AT_ONCE: Final = 200
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""Characters that PostgreSQL, or every database, does not store in a column of text."""


def tables_of(version: int) -> set[str]:
    """Return the names of the tables that a backup of a version of the tables has."""
    return {table.name for table in _OF_VERSION_3} if version < 4 else set(TABLES)


def rows_of(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    """Return all rows of a table, in the order of its primary key, without having all of them in memory."""
    query = select(table).order_by(*table.primary_key.columns)
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(query):
        yield dict(row._mapping)


def write_row(file: BinaryIO, row: dict[str, Any]) -> None:
    """Write a row as one line of JSON."""
    file.write(json_text(row).encode("ascii") + b"\n")


def read_rows(table: Table, pieces: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Return the rows that lines of JSON have, after checks of columns and types.

    Args:
        table: Table of the rows. A column that an earlier version did not have gets its default.
        pieces: The text in pieces; a piece may end in the middle of a line or of a character.

    Raises:
        BackupError: If a line is not a row of the table.
    """
    columns = None
    for line in _lines(table.name, pieces):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _invalid(table.name, "a line is not JSON") from error
        if not isinstance(row, dict) or not row.keys() <= set(table.c.keys()):
            raise _invalid(table.name, "a record has unknown columns")
        if row.keys() != (columns := columns or row.keys()):
            raise _invalid(table.name, "two records have different columns")
        for column in table.c:
            if column.name in row and not _is_value(column, row[column.name]):
                raise _invalid(table.name, f"a record has an invalid value in the column {column.name}")
            if column.name not in row and not column.nullable and column.server_default is None:
                raise _invalid(table.name, f"a record has no {column.name}")
        yield row


def write_rows(connection: Connection, table: Table, rows: Collection[dict[str, Any]]) -> None:
    """Insert rows into a table."""
    if rows:
        connection.execute(insert(table), list(rows))


def set_counters(database: Database, connection: Connection) -> None:
    """Let the database count on from the largest number that was inserted; SQLite does so by itself."""
    if database.is_sqlite:
        return
    for table in (JOBS, EVENTS):
        largest = f"(SELECT max(number) FROM {table.name})"  # noqa: S608  # a name of the schema
        sequence = f"pg_get_serial_sequence('{table.name}', 'number')"
        connection.execute(text(f"SELECT setval({sequence}, coalesce({largest}, 1), {largest} IS NOT NULL)"))


def _lines(table: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
        if len(rest) > MAX_LINE_BYTES:
            raise _invalid(table, "a record is too large")
    if rest:
        raise _invalid(table, "the last record is incomplete")


def _is_value(column: Column[Any], value: Any) -> bool:
    if value is None:
        return bool(column.nullable)
    if isinstance(column.type, JSON):
        return isinstance(value, dict | list)
    if isinstance(column.type, Float):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) < sys.float_info.max
    if isinstance(column.type, Integer):
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    return isinstance(column.type, String) and isinstance(value, str) and not _UNSTORABLE.search(value)


def _invalid(table: str, reason: str) -> BackupError:
    return invalid(f"its records of '{table}' are invalid: {reason}")
