"""Create the tables of a new database, migrate those of an earlier version, and refuse those of a later one.

Versions 1 and 2 wrote their number into SQLite's `user_version`; later ones use alembic's table. `user_version` is
still written, because programs of version 2 read it to tell that a database is newer.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.exc import DatabaseError

from api.storage.database.connections import Database, StoreError
from api.storage.database.schema import METADATA, SCHEMA_VERSION, VERSION

_LOCK: Final = 0x62697462756467  # "bitbudg"
"""Number of the PostgreSQL lock that a service holds while it creates or migrates the tables."""
_DAMAGE: Final = ("malformed", "not a database", "disk image")


def prepare(database: Database) -> None:
    """Give a database the tables of this version; the content of an earlier version is kept.

    Raises:
        StoreError: If the database is damaged, cannot be reached, or was made by a later version or another program.
    """
    try:
        with database.reading() as connection:
            found = _version(database, connection)
        if found != SCHEMA_VERSION:
            with database.writing() as connection:
                _bring_up_to_date(database, connection)
    except DatabaseError as error:
        raise StoreError(_explanation(database, error)) from error


def _bring_up_to_date(database: Database, connection: Connection) -> None:
    """Create or migrate the tables; the transaction excludes every other process that wants to do so."""
    if not database.is_sqlite:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = _version(database, connection)  # another process may have been faster
    if found == SCHEMA_VERSION:
        return
    if found:
        from api.storage.database.migrating import migrate  # alembic takes a quarter of a second to import

        migrate(connection, found)
    else:
        METADATA.create_all(connection)
        VERSION.create(connection)
        connection.execute(insert(VERSION).values(version_num=revision_of(SCHEMA_VERSION)))
    if database.is_sqlite:
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def revision_of(version: int) -> str:
    """Return the name of the migration that leads to a version of the tables."""
    return f"{version:04}"


def _version(database: Database, connection: Connection) -> int:
    """Return the version of the tables of a database; 0 if it has none."""
    if inspect(connection).has_table(VERSION.name):
        revision = connection.execute(select(VERSION.c.version_num)).scalar() or ""
        version = int(revision) if revision.isdecimal() else 0
    elif database.is_sqlite:
        version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    else:
        version = 0
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the database '{database.name}' was made by a later version of bitbudget (schema {version}; this version "
            f"knows schemas up to {SCHEMA_VERSION}); install that version, or use another database"
        )
    if version:
        return version
    if foreign := {VERSION.name, *METADATA.tables}.intersection(inspect(connection).get_table_names()):
        raise StoreError(
            f"the database '{database.name}' belongs to another program: it has the table '{min(foreign)}' without a "
            "version of bitbudget; use an empty database"
        )
    return 0


def _explanation(database: Database, error: DatabaseError) -> str:
    cause = " ".join(str(error.orig).split())
    if database.is_sqlite and any(sign in cause for sign in _DAMAGE):
        return (
            f"the database '{database.name}' is damaged or not a database of bitbudget ({cause}); restore a backup "
            "with `bitbudget restore`, or use another data directory"
        )
    return f"the database '{database.name}' cannot be used: {cause}; check the path or the URL, and access rights"
