"""Statements on deliveries to webhooks.

A delivery is taken by compare-and-set: the number of its attempts grows, and it is due again when a service that takes
it has surely given up. Several services therefore make each attempt once, and that of a killed service is made again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, exists, select, update

from api.schemas.webhooks import PING, DeliveryState
from api.storage.database.project_records import ProjectRecords
from api.storage.database.schema import DELIVERIES, WEBHOOKS
from api.storage.webhook_records import Delivery, Outcome, Webhook

_ENDED: Final = (DeliveryState.DELIVERED, DeliveryState.FAILED)
_AT_ONCE: Final = 500
"""Number of deliveries that one statement looks at to delete old ones."""


class DeliveryRecords(ProjectRecords):
    """Deliveries to the webhooks of one project; methods with `of_all_projects`, `of_any_project` see those of all."""

    def deliveries_page(self, webhook_id: str, limit: int, before_number: int | None = None) -> list[Delivery]:
        """Return some deliveries to a webhook of this project, newest first.

        Args:
            webhook_id: Identifier of the webhook.
            limit: Largest number of deliveries on the page. One more is returned if there is a next page.
            before_number: Number of the last delivery of the page before; None for the first page.
        """
        query = select(DELIVERIES).where(DELIVERIES.c.webhook_id == webhook_id, DELIVERIES.c.project == self.project)
        if before_number is not None:
            query = query.where(DELIVERIES.c.number < before_number)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(DELIVERIES.c.number.desc()).limit(limit + 1))
            return [Delivery(**row._mapping) for row in rows]

    def delivery(self, webhook_id: str, delivery_id: str) -> Delivery | None:
        """Return a delivery to a webhook of this project; None if there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(DELIVERIES).where(self._is_delivery(webhook_id, delivery_id))).first()
        return Delivery(**row._mapping) if row else None

    def request_delivery_again(self, webhook_id: str, delivery_id: str) -> bool:
        """Let a delivery to a webhook of this project be due now; return False if it is being sent or does not exist.

        Args:
            webhook_id: Identifier of the webhook.
            delivery_id: Identifier of the delivery.
        """
        values = {
            "state": DeliveryState.WAITING,
            "due_at": time.time(),
            "earlier_attempts": DELIVERIES.c.attempts,
        }
        is_idle = DELIVERIES.c.state != DeliveryState.SENDING
        change = update(DELIVERIES).where(self._is_delivery(webhook_id, delivery_id), is_idle)
        with self._database.writing() as connection:
            return connection.execute(change.values(values)).rowcount == 1

    def due_deliveries_of_all_projects(self, places: Mapping[str, int], most: int) -> list[tuple[Delivery, Webhook]]:
        """Return deliveries whose time has come, with their webhooks; of a disabled webhook, pings alone.

        Args:
            places: Number of deliveries that may be returned for each webhook that has some already.
            most: Number of deliveries that may be returned for any other webhook.
        """
        is_due = DELIVERIES.c.due_at <= time.time()
        of_webhook = (DELIVERIES.c.webhook_id == WEBHOOKS.c.id) & is_due
        may_be_sent = WEBHOOKS.c.disabled_at.is_(None) | (DELIVERIES.c.event == PING)
        with self._database.reading() as connection:
            waiting = connection.execute(select(WEBHOOKS).where(exists().where(of_webhook, may_be_sent))).all()
            found: list[tuple[Delivery, Webhook]] = []
            for row in waiting:
                webhook = Webhook(**row._mapping)
                query = select(DELIVERIES).where(DELIVERIES.c.webhook_id == webhook.id, is_due)
                if webhook.disabled_at is not None:
                    query = query.where(DELIVERIES.c.event == PING)
                query = query.order_by(DELIVERIES.c.due_at).limit(places.get(webhook.id, most))
                found += [(Delivery(**each._mapping), webhook) for each in connection.execute(query)]
        return found

    def take_delivery_of_any_project(self, delivery: Delivery, seconds: float) -> bool:
        """Begin an attempt to deliver; return False if another service was faster.

        Args:
            delivery: The delivery, as it was read.
            seconds: Time in seconds after which another service may begin the next attempt.
        """
        is_as_read = (DELIVERIES.c.attempts == delivery.attempts) & (DELIVERIES.c.state == delivery.state)
        now = time.time()
        change = update(DELIVERIES).where(DELIVERIES.c.id == delivery.id, is_as_read, DELIVERIES.c.due_at <= now)
        values = {"state": DeliveryState.SENDING, "due_at": now + seconds, "attempted_at": now}
        with self._database.writing() as connection:
            return connection.execute(change.values(attempts=delivery.attempts + 1, **values)).rowcount == 1

    def end_attempt_of_any_project(self, delivery: Delivery, outcome: Outcome, retry_at: float | None) -> bool:
        """Store the outcome of an attempt; return False if another service has begun a later one.

        Args:
            delivery: The delivery, as it was before the attempt began.
            outcome: What came of the attempt.
            retry_at: Unix time in seconds of the next attempt; None if there is none. There is none either if the
                webhook was disabled during this attempt.
        """
        of_attempt = (DELIVERIES.c.attempts == delivery.attempts + 1) & (DELIVERIES.c.state == DeliveryState.SENDING)
        is_done = outcome.error is None
        state = DeliveryState.DELIVERED if is_done else DeliveryState.FAILED
        values: dict[str, Any] = {
            "state": state if retry_at is None else DeliveryState.WAITING,
            "due_at": retry_at,
            "status": outcome.status,
            "answer": outcome.answer,
            "error": outcome.error,
        }
        health = update(WEBHOOKS).where(WEBHOOKS.c.id == delivery.webhook_id)
        failing = WEBHOOKS.c.failing_since
        is_disabled = select(WEBHOOKS.c.disabled_at).where(WEBHOOKS.c.id == delivery.webhook_id)
        with self._database.writing() as connection:
            if retry_at is not None and connection.execute(is_disabled).scalar() is not None:
                values |= {"state": DeliveryState.FAILED, "due_at": None}
            change = update(DELIVERIES).where(DELIVERIES.c.id == delivery.id, of_attempt)
            if connection.execute(change.values(values)).rowcount == 0:
                return False
            if is_done:
                connection.execute(health.where(failing.is_not(None)).values(failing_since=None))
            else:
                connection.execute(health.where(failing.is_(None)).values(failing_since=time.time()))
        return True

    def delete_old_deliveries_of_all_projects(self, before: float) -> int:
        """Delete some of the deliveries that have ended and are old, and return their number.

        Args:
            before: Unix time in seconds before which a deleted delivery was created.
        """
        oldest = select(DELIVERIES.c.number).order_by(DELIVERIES.c.number).limit(_AT_ONCE).subquery()
        is_old = (DELIVERIES.c.created_at < before) & DELIVERIES.c.state.in_(_ENDED)
        with self._database.writing() as connection:
            return connection.execute(
                delete(DELIVERIES).where(DELIVERIES.c.number.in_(select(oldest.c.number)), is_old)
            ).rowcount

    def _is_delivery(self, webhook_id: str, delivery_id: str) -> ColumnElement[bool]:
        return (
            (DELIVERIES.c.id == delivery_id)
            & (DELIVERIES.c.webhook_id == webhook_id)
            & (DELIVERIES.c.project == self.project)
        )
