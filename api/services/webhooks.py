"""Webhooks of a project: create, list and delete them, test them, and deliver an event again."""

from __future__ import annotations

import json
import time
import uuid
from typing import Final

import httpx

from api.errors import LIMIT_REACHED, WEBHOOK_DISABLED, InUse, NotFound, ServiceError
from api.schemas.webhooks import PING, DeliveryAnswer, NewWebhook, WebhookAnswer, WebhookRequest
from api.services.moments import moment_of
from api.services.webhook_addresses import Reach, address_of
from api.services.webhook_signatures import new_secret
from api.settings import Settings
from api.storage.database import Store
from api.storage.disk_space import DiskReserve
from api.storage.webhook_records import Delivery, Webhook
from network.errors import RequestError

_SCHEMES: Final = ("https", "http")
MAX_PORT: Final = 65535


class LimitReached(ServiceError):
    """Error: the project has as many webhooks as it may have."""

    kind = LIMIT_REACHED


class WebhookDisabled(ServiceError):
    """Error: nothing is delivered to a webhook that is disabled."""

    kind = WEBHOOK_DISABLED


class Webhooks:
    """Webhooks of one project, with the operations that HTTP requests need.

    Args:
        store: Database, seen by the project.
        settings: Settings of the service, with the number of webhooks and the networks that are allowed.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._most = settings.max_webhooks
        self._reach = Reach.of(settings.webhook_networks)
        self._reserve = DiskReserve(settings)

    def create(self, request: WebhookRequest) -> NewWebhook:
        """Create a webhook, and return it with its secret.

        Args:
            request: The request.

        Raises:
            RequestError: If the URL is not one to which events may be posted.
            LimitReached: If the project has as many webhooks as it may have.
        """
        webhook = Webhook(
            id=f"wh_{uuid.uuid4().hex}",
            project=self._store.project,
            url=self._checked(request.url),
            events=sorted(set(request.events)),
            secret=new_secret(),
            created_at=time.time(),
        )
        if not self._store.add_webhook(webhook, self._most):
            raise LimitReached(
                f"the project may have {self._most} webhooks (--max-webhooks) and has as many; delete one first"
            )
        return NewWebhook.model_validate(_document(webhook) | {"secret": webhook.secret})

    def all(self) -> list[WebhookAnswer]:
        """Return all webhooks, oldest first."""
        return [_described(each) for each in self._store.webhooks()]

    def webhook(self, webhook_id: str) -> WebhookAnswer:
        """Return a webhook by its identifier.

        Raises:
            NotFound: If the webhook does not exist.
        """
        return _described(self._webhook(webhook_id))

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook and all of its deliveries; one that is being sent may still arrive.

        Raises:
            NotFound: If the webhook does not exist.
        """
        if not self._reserve.with_room(lambda: self._store.delete_webhook(webhook_id)):
            raise _not_found(webhook_id)

    def enable(self, webhook_id: str) -> WebhookAnswer:
        """Enable a webhook that the service has disabled; enabling an enabled one is not an error.

        Raises:
            NotFound: If the webhook does not exist.
        """
        if not self._store.enable_webhook(webhook_id):
            raise _not_found(webhook_id)
        return self.webhook(webhook_id)

    def ping(self, webhook_id: str) -> DeliveryAnswer:
        """Deliver a test event, also to a disabled webhook; return the delivery, which waits for its turn.

        Raises:
            NotFound: If the webhook does not exist.
        """
        webhook = self._webhook(webhook_id)
        data = {"webhook_id": webhook.id, "project": webhook.project}
        return self.delivery(webhook_id, self._store.add_delivery(webhook_id, PING, data))

    def deliveries(
        self, webhook_id: str, limit: int, before_number: int | None
    ) -> tuple[list[DeliveryAnswer], int | None]:
        """Return some deliveries to a webhook, newest first.

        Args:
            webhook_id: Identifier of the webhook.
            limit: Largest number of deliveries.
            before_number: Number of the last delivery of the page before; None for the first page.

        Returns:
            The deliveries; the number of the last one, None if no further delivery exists.

        Raises:
            NotFound: If the webhook does not exist.
        """
        self._webhook(webhook_id)
        found = self._store.deliveries_page(webhook_id, limit, before_number)
        last = found[limit - 1].number if len(found) > limit else None
        return [_described_delivery(each) for each in found[:limit]], last

    def delivery(self, webhook_id: str, delivery_id: str) -> DeliveryAnswer:
        """Return one delivery to a webhook.

        Raises:
            NotFound: If the webhook or the delivery does not exist.
        """
        found = self._store.delivery(webhook_id, delivery_id)
        if found is None:
            self._webhook(webhook_id)
            raise NotFound(
                f"the delivery {delivery_id[:64]!r} does not exist; GET /v1/webhooks/{webhook_id}/deliveries lists all"
            )
        return _described_delivery(found)

    def deliver_again(self, webhook_id: str, delivery_id: str) -> DeliveryAnswer:
        """Let a delivery be sent again soon, with the same identifier and the same body.

        Args:
            webhook_id: Identifier of the webhook.
            delivery_id: Identifier of the delivery.

        Raises:
            NotFound: If the webhook or the delivery does not exist.
            WebhookDisabled: If the webhook is disabled.
            InUse: If the delivery is being sent.
        """
        delivery = self.delivery(webhook_id, delivery_id)
        if self._webhook(webhook_id).disabled_at is not None and delivery.event != PING:
            raise WebhookDisabled(
                f"the webhook {webhook_id} is disabled; enable it first with POST /v1/webhooks/{webhook_id}/enable"
            )
        if not self._store.request_delivery_again(webhook_id, delivery_id):
            self.delivery(webhook_id, delivery_id)
            raise InUse(f"the delivery {delivery_id} is being sent; look at its state in some seconds")
        return self.delivery(webhook_id, delivery_id)

    def _checked(self, text: str) -> str:
        """Return a URL in its usual form, if events may be posted to it as far as is known without the network.

        Raises:
            RequestError: If they may not.
        """
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, ValueError) as error:
            raise RequestError(f"the URL of the webhook cannot be read: {error}; expected https://HOST/PATH") from None
        if url.scheme not in _SCHEMES or not url.host or url.userinfo or url.fragment or (url.port or 0) > MAX_PORT:
            raise RequestError(
                "the URL of the webhook is not usable; expected https://HOST/PATH, without user, password and "
                "fragment, and with a port up to 65535"
            )
        if url.scheme == "http" and not self._reach.allowed:
            raise RequestError("the URL of the webhook begins with http://, which is not protected; expected https://")
        address = address_of(url.raw_host.decode("ascii"))
        if address is not None and not self._reach.reaches(address, encrypted=url.scheme == "https"):
            raise RequestError(
                f"webhooks may not reach the address {address}; expected one in the public internet, or in the "
                "networks that the operator allows (--webhook-networks)"
            )
        return str(url)

    def _webhook(self, webhook_id: str) -> Webhook:
        found = self._store.webhook(webhook_id)
        if found is None:
            raise _not_found(webhook_id)
        return found


def _not_found(webhook_id: str) -> NotFound:
    return NotFound(f"the webhook {webhook_id[:64]!r} does not exist; GET /v1/webhooks lists all webhooks")


def _document(webhook: Webhook) -> dict[str, object]:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": webhook.events,
        "created_at": moment_of(webhook.created_at),
        "failing_since": moment_of(webhook.failing_since),
        "disabled_at": moment_of(webhook.disabled_at),
        "disabled_reason": webhook.disabled_reason,
    }


def _described(webhook: Webhook) -> WebhookAnswer:
    return WebhookAnswer.model_validate(_document(webhook))


def _described_delivery(delivery: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer.model_validate(
        {
            "id": delivery.id,
            "event": delivery.event,
            "job_id": json.loads(delivery.payload)["data"].get("job_id"),
            "created_at": moment_of(delivery.created_at),
            "state": delivery.state,
            "attempts": delivery.attempts,
            "last_attempt_at": moment_of(delivery.attempted_at),
            "next_attempt_at": moment_of(delivery.due_at) if delivery.state == "waiting" else None,
            "status": delivery.status,
            "answer": delivery.answer,
            "error": delivery.error,
        }
    )
