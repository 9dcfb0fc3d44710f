"""Deliveries to webhooks, written in the transaction of the change that they report (an outbox).

A change that is stored is therefore delivered, and one that was undone is not, whatever is killed in between.
"""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from api.schemas.job_state import JobState
from api.schemas.webhooks import EVENT_OF_STATE, DeliveryState
from api.storage.database.schema import DELIVERIES, JOBS, WEBHOOKS

_MAX_DETAIL_LENGTH: Final = 2000
"""Largest number of characters of the explanation of a failure in a payload; the job has the whole one."""


def write_job_deliveries(
    connection: Connection,
    project: str,
    job_id: str,
    state: JobState,
    attempt: int,
    revision: int,
    error: dict[str, Any] | None,
) -> None:
    """Write a delivery of a job's new state for each enabled webhook of the project that wants this kind of event.

    Args:
        connection: Connection in the transaction that has changed the job.
        project: Name of the project of the job.
        job_id: Identifier of the job.
        state: New state of the job.
        attempt: Number of the latest attempt.
        revision: Revision of the job after the change.
        error: Problem because of which the job has failed; None if it has not.
    """
    event = EVENT_OF_STATE.get(state)
    if event is None:
        return
    query = select(WEBHOOKS.c.id, WEBHOOKS.c.events)
    enabled = connection.execute(query.where(WEBHOOKS.c.project == project, WEBHOOKS.c.disabled_at.is_(None)))
    wanting = [row.id for row in enabled if event in row.events]
    if not wanting:
        return
    request = connection.execute(select(JOBS.c.request).where(JOBS.c.id == job_id)).scalar_one()
    data = {
        "job_id": job_id,
        "path": f"/v1/jobs/{job_id}",
        "project": project,
        "kind": request.get("kind", "training"),
        "state": state,
        "attempt": attempt,
        "revision": revision,
        "network_id": request.get("network_id"),
        "error": _short(error) if state is JobState.FAILED else None,
    }
    for webhook_id in wanting:
        write_delivery(connection, project, webhook_id, event, data)


def write_delivery(connection: Connection, project: str, webhook_id: str, event: str, data: dict[str, Any]) -> str:
    """Write a delivery that is due at once, and return its identifier.

    Args:
        connection: Connection in a transaction.
        project: Name of the project of the webhook.
        webhook_id: Identifier of the webhook.
        event: Kind of event.
        data: What happened, as a JSON object.
    """
    now = time.time()
    timestamp = datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
    delivery_id = f"msg_{uuid.uuid4().hex}"
    values = {
        "id": delivery_id,
        "project": project,
        "webhook_id": webhook_id,
        "event": event,
        "payload": json.dumps({"type": event, "timestamp": timestamp, "data": data}, separators=(",", ":")),
        "created_at": now,
        "state": DeliveryState.WAITING,
        "due_at": now,
        "attempts": 0,
        "earlier_attempts": 0,
    }
    connection.execute(insert(DELIVERIES).values(values))
    return delivery_id


def _short(error: dict[str, Any] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    kept = {name: error[name] for name in ("type", "title", "status") if name in error}
    return kept | {"detail": str(error.get("detail", ""))[:_MAX_DETAIL_LENGTH]}
