"""Locks of a PostgreSQL server, which services on several machines share; each ends with its connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from sqlalchemy import text

from api.storage.database.connections import Database

LOCKS_AT_ONCE: Final = 6
"""Number of locks that a service holds or waits for at the same time; each occupies a connection."""
_WAIT_SECONDS: Final = 120
"""Longest time in seconds that a service waits for a lock: a large upload of the same content may have it."""
_PLACES: Final = BoundedSemaphore(LOCKS_AT_ONCE)


@contextmanager
def locked(database: Database, number: int) -> Iterator[None]:
    """Hold a lock of a PostgreSQL server.

    Args:
        database: Connections to the server.
        number: Number of the lock, of 64 bits with a sign.

    Raises:
        OperationalError: If another connection has the lock for long, or the connection was lost.
    """
    with _PLACES, database.reading() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": number})
        connection.commit()  # the lock belongs to the connection, which is not to stay in a transaction
        try:
            yield
            # It fails if the connection, and with it the lock, was lost: then the caller must not be told of a success.
            connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": number})
            connection.commit()
        except BaseException:
            connection.invalidate()  # which also gives the lock back
            raise
