"""Statements on webhooks."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from api.schemas.webhooks import DeliveryState
from api.storage.database.outbox import write_delivery
from api.storage.database.project_lock import lock_project
from api.storage.database.project_records import ProjectRecords
from api.storage.database.schema import DELIVERIES, WEBHOOKS
from api.storage.webhook_records import Webhook


class WebhookRecords(ProjectRecords):
    """Webhooks of one project."""

    def add_webhook(self, webhook: Webhook, most: int) -> bool:
        """Add a webhook of this project; return False if the project has as many as it may have.

        Args:
            webhook: The webhook.
            most: Largest number of webhooks of the project.
        """
        with self._database.writing() as connection:
            lock_project(connection, self.project)
            count = connection.execute(select(func.count()).where(WEBHOOKS.c.project == self.project)).scalar_one()
            if count >= most:
                return False
            connection.execute(insert(WEBHOOKS).values(asdict(webhook) | {"project": self.project}))
        return True

    def webhooks(self) -> list[Webhook]:
        """Return the webhooks of this project, oldest first."""
        query = select(WEBHOOKS).where(WEBHOOKS.c.project == self.project)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(WEBHOOKS.c.created_at, WEBHOOKS.c.id))
            return [Webhook(**row._mapping) for row in rows]

    def webhook(self, webhook_id: str) -> Webhook | None:
        """Return a webhook of this project by its identifier; None if there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(WEBHOOKS).where(self._is_webhook(webhook_id))).first()
        return Webhook(**row._mapping) if row else None

    def delete_webhook(self, webhook_id: str) -> bool:
        """Delete a webhook of this project and all of its deliveries; return False if it does not exist."""
        with self._database.writing() as connection:
            is_deleted = connection.execute(delete(WEBHOOKS).where(self._is_webhook(webhook_id))).rowcount == 1
            if is_deleted:
                connection.execute(delete(DELIVERIES).where(DELIVERIES.c.webhook_id == webhook_id))
        return is_deleted

    def enable_webhook(self, webhook_id: str) -> bool:
        """Enable a webhook of this project, and forget its failures; return False if it does not exist."""
        values = {"failing_since": None, "disabled_at": None, "disabled_reason": None}
        with self._database.writing() as connection:
            return connection.execute(update(WEBHOOKS).where(self._is_webhook(webhook_id)).values(values)).rowcount == 1

    def disable_webhook_of_any_project(self, webhook_id: str, reason: str) -> None:
        """Disable a webhook, and give up the deliveries that wait for it.

        Args:
            webhook_id: Identifier of the webhook.
            reason: Text for the callers of its project.
        """
        waiting = (DELIVERIES.c.webhook_id == webhook_id) & (DELIVERIES.c.state == DeliveryState.WAITING)
        given_up = {"state": DeliveryState.FAILED, "due_at": None, "error": "the webhook was disabled"}
        with self._database.writing() as connection:
            change = update(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id, WEBHOOKS.c.disabled_at.is_(None))
            connection.execute(change.values(disabled_at=time.time(), disabled_reason=reason))
            connection.execute(update(DELIVERIES).where(waiting).values(given_up))

    def add_delivery(self, webhook_id: str, event: str, data: dict[str, Any]) -> str:
        """Add a delivery to a webhook of this project that reports no change, and return its identifier.

        Args:
            webhook_id: Identifier of the webhook.
            event: Kind of event.
            data: What is delivered, as a JSON object.
        """
        with self._database.writing() as connection:
            return write_delivery(connection, self.project, webhook_id, event, data)

    def _is_webhook(self, webhook_id: str) -> ColumnElement[bool]:
        return (WEBHOOKS.c.id == webhook_id) & (WEBHOOKS.c.project == self.project)
