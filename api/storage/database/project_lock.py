"""Lock by which transactions that count the things of a project come one after another."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

_SPACE: Final = 0x62697462
"""First half of the number of the lock in PostgreSQL, so that other locks of the database have other numbers."""


def lock_project(connection: Connection, project: str) -> None:
    """Wait until no other transaction holds the lock of a project, and hold it until this one ends.

    SQLite has one writing transaction at a time, so that nothing is left to do there.

    Args:
        connection: Connection in a transaction for writing.
        project: Name of the project. Two projects share a lock once in 2^32, which only makes one of them wait.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:space, hashtext(:project))"), {"space": _SPACE, "project": project}
        )
