"""Statements on idempotency keys."""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, tuple_

from api.storage.database.project_records import ProjectRecords
from api.storage.database.schema import IDEMPOTENCY
from api.storage.records import IdempotencyKey, request_hash

KEPT_SECONDS: Final = 30 * 24 * 3600.0
"""Time in seconds for which an idempotency key is kept, whether or not its job still exists."""


class IdempotencyRecords(ProjectRecords):
    """Idempotency keys of one project."""

    def idempotency(self, key: str) -> IdempotencyKey | None:
        """Return the database record of an idempotency key; None if it was not used, or not for 30 days.

        Args:
            key: Text of the key.
        """
        columns = [column for column in IDEMPOTENCY.c if column.name != "project"]
        query = select(*columns).where(
            IDEMPOTENCY.c.project == self.project, IDEMPOTENCY.c.key == key, IDEMPOTENCY.c.created_at >= _oldest()
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return IdempotencyKey(**row._mapping) if row else None


def write_key(connection: Connection, project: str, key: str, job_id: str, request: dict[str, Any]) -> None:
    """Write the idempotency key of a new job, and delete all keys that are too old.

    Args:
        connection: Connection in the transaction that adds the job.
        project: Name of the project of the job.
        key: Text of the key.
        job_id: Identifier of the job.
        request: The request as a JSON object.

    Raises:
        sqlalchemy.exc.IntegrityError: If an earlier job of the project was created with the same key.
    """
    old = (
        select(IDEMPOTENCY.c.project, IDEMPOTENCY.c.key)
        .where(IDEMPOTENCY.c.created_at < _oldest())
        .with_for_update(skip_locked=True)  # two services that delete the same keys would wait for each other
    )
    connection.execute(delete(IDEMPOTENCY).where(tuple_(IDEMPOTENCY.c.project, IDEMPOTENCY.c.key).in_(old)))
    values = {
        "project": project,
        "key": key,
        "job_id": job_id,
        "request_hash": request_hash(request),
        "created_at": time.time(),
    }
    connection.execute(insert(IDEMPOTENCY).values(values))


def _oldest() -> float:
    return time.time() - KEPT_SECONDS
