"""Lock on one content, which a service holds while it stores the content with its record, or deletes both.

Without it, a file could be deleted because its last record was deleted, in the moment in which an upload of the same
content is stored and gets a record. Services with a store have one PostgreSQL database and no common disk: the database
has the lock, and it ends with the connection of a service that dies. A service on SQLite is alone.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from api.settings import Settings
from api.storage.database import Store


@contextmanager
def content_lock(store: Store, settings: Settings, name: str) -> Iterator[None]:
    """Keep all other threads, processes and services from storing or deleting one content.

    Args:
        store: The database of the service.
        settings: Settings of the service, with the data directory.
        name: Name of the content, such as "networks/SHA-256".

    Raises:
        OperationalError: If the database does not answer, or another service holds the lock for long.
    """
    digest = hashlib.sha256(name.encode()).digest()
    if not store.is_sqlite:
        with store.locked(int.from_bytes(digest[:8], signed=True)):
            yield
        return
    # One of 256 files, so that uploads of different contents rarely wait for one another.
    directory = settings.data_directory / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{digest[0]:02x}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
