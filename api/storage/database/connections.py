"""Connections to a database by its URL, and the two kinds of transactions.

A writing transaction takes SQLite's write lock at its beginning. If it began as a reading one, SQLite would refuse its
first write after another process has written.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from network.errors import BitbudgetError

_BUSY_SECONDS: Final = 15.0
"""Longest time in seconds that a statement waits for SQLite's write lock."""
_CONNECT_SECONDS: Final = 10
_CONNECTIONS: Final = {"sqlite": 40, "postgresql": 10}
"""Largest number of connections that stay open. SQLite: one for each of anyio's threads. A PostgreSQL server allows
100 by default, and several services and their workers share them."""
_OVERFLOW: Final = 10
_DRIVERS: Final = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class StoreError(BitbudgetError):
    """Error: the service's database cannot be used; the message says why, and what to do."""


class Database:
    """Connections to the service's database.

    Args:
        url: URL of the database, `sqlite:///PATH` or `postgresql+psycopg://...`, or path of an SQLite file.

    Attributes:
        url: URL of the database.

    Raises:
        StoreError: If the URL is not one of these, or the driver for PostgreSQL is not installed.
    """

    def __init__(self, url: str | Path) -> None:
        self.url: Final = _parsed(url)
        self._engine = _engine(self.url)
        self._writing_engine = self._engine.execution_options(is_writing=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is an SQLite file."""
        return self._engine.dialect.name == "sqlite"

    @property
    def name(self) -> str:
        """Name of the database for messages: the path of the file, or the URL without its password."""
        return str(self.url.database) if self.is_sqlite else self.url.render_as_string(hide_password=True)

    def reading(self) -> AbstractContextManager[Connection]:
        """Return a connection for reading; all its statements see the database at one moment on SQLite."""
        return self._engine.connect()

    def writing(self) -> AbstractContextManager[Connection]:
        """Return a connection with a transaction for writing, which is committed at the end or undone by an error."""
        return self._writing_engine.begin()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _parsed(url: str | Path) -> URL:
    if isinstance(url, Path):
        return URL.create("sqlite", database=str(url))
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = URL.create("unreadable")
    driver = _DRIVERS.get(parsed.drivername, parsed.drivername)
    if driver not in _DRIVERS.values() or not parsed.database:
        raise StoreError(
            "the URL of the database is not usable; expected sqlite:///PATH or "
            f"postgresql+psycopg://USER:PASSWORD@HOST/DATABASE, not one that begins with '{url.partition(':')[0][:40]}'"
        )
    return parsed.set(drivername=driver)


def _engine(url: URL) -> Engine:
    kind = url.get_backend_name()
    options: dict[str, Any] = {
        "pool_size": _CONNECTIONS[kind],
        "max_overflow": _OVERFLOW,
        "json_serializer": json_text,
    }
    if kind == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, **options)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        # A connection that was open while the server was restarted is replaced before it is used.
        return create_engine(url, connect_args={"connect_timeout": _CONNECT_SECONDS}, pool_pre_ping=True, **options)
    except ModuleNotFoundError as error:
        raise StoreError(
            "a database of PostgreSQL needs the driver psycopg, which is not installed; "
            "install it with: pip install 'bitbudget[postgres]'"
        ) from error


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # `_begin_sqlite` begins transactions, also those that change tables
    cursor = connection.cursor()
    _use_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous=FULL")  # a change that was confirmed to a caller survives a power cut
    cursor.close()


def _use_write_ahead_log(cursor: Any) -> None:
    """Let readers not wait for the writer, nor the writer for readers; the file remembers this mode."""
    give_up_at = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself if two processes open a new file at the same moment.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
        time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def json_text(value: Any) -> str:
    """Return JSON as the database stores it; numbers that JSON does not have (NaN, infinity) become null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
