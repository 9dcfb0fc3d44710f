"""The database of the service as all other modules use it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from api.storage.database.connections import Database
from api.storage.database.deliveries import DeliveryRecords
from api.storage.database.events import EventRecords
from api.storage.database.files import FileRecords
from api.storage.database.idempotency import IdempotencyRecords
from api.storage.database.jobs import JobRecords
from api.storage.database.keys import ApiKeyRecords
from api.storage.database.last_use import LastUseRecords
from api.storage.database.locks import locked
from api.storage.database.opening import prepare
from api.storage.database.quotas import QuotaRecords
from api.storage.database.webhooks import WebhookRecords


class Store(
    FileRecords,
    JobRecords,
    EventRecords,
    ApiKeyRecords,
    IdempotencyRecords,
    WebhookRecords,
    DeliveryRecords,
    QuotaRecords,
    LastUseRecords,
):
    """Database of the service, seen by one project: that of the name "default" when it is opened.

    Args:
        database: URL of the database, `sqlite:///PATH` or `postgresql+psycopg://...`, or path of an SQLite file. A file
            that does not exist is created; tables of an earlier version are migrated.

    Raises:
        StoreError: If the database is damaged, cannot be reached, or was made by a later version of bitbudget.
    """

    def __init__(self, database: str | Path) -> None:
        super().__init__(Database(database))
        try:
            prepare(self._database)
        except BaseException:
            self._database.close()
            raise

    def of_project(self, project: str) -> Store:
        """Return the same database, seen by another project; it shares the connections, and makes none of its own.

        Args:
            project: Name of the project.
        """
        view = Store.__new__(Store)
        super(Store, view).__init__(self._database, project)
        return view

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is an SQLite file, which one service has alone."""
        return self._database.is_sqlite

    def locked(self, number: int) -> AbstractContextManager[None]:
        """Return a lock of the PostgreSQL server, which one connection of all services holds at a time.

        Args:
            number: Number of the lock, of 64 bits with a sign.
        """
        return locked(self._database, number)

    def close(self) -> None:
        """Close all connections to the service's database, also those of other projects' views."""
        self._database.close()
