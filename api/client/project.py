"""The project of the caller: what it has and may have, and its webhooks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Literal

from api.client.connection import Call, Connection, path_of
from api.client.jobs import delete
from api.client.pages import items_of
from api.schemas.projects import ProjectAnswer
from api.schemas.webhooks import DeliveryAnswer, NewWebhook, WebhookAnswer, WebhookEvent, WebhookRequest

WebhookLike = WebhookAnswer | str
"""A webhook of the service: its description, or its identifier."""

EventName = Literal["job.queued", "job.started", "job.succeeded", "job.failed", "job.cancelled"]
"""Name of a kind of event."""


class OwnProject:
    """The project of the caller, and its webhooks.

    Args:
        connection: Connections to the service.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def project(self) -> ProjectAnswer:
        """Return what the project of the caller has, and what it may have."""
        return self._connection.ask(ProjectAnswer, Call(method="GET", path=path_of("project")))

    def create_webhook(self, url: str, events: Collection[WebhookEvent | EventName] | None = None) -> NewWebhook:
        """Create a webhook, and return it with its secret, which the service shows this once.

        Args:
            url: Address to which events are posted.
            events: Kinds of events; None for the three in which a job ends.

        Raises:
            RequestError: If a kind of event is unknown.
            ServiceProblem: If the service refuses the URL, or the project has as many webhooks as it may have.
            ClientError: If there is no answer; then the webhook may exist, without a secret that is known.
        """
        fields: dict[str, Any] = {"url": url} if events is None else {"url": url, "events": [*events]}
        document = WebhookRequest(**fields).model_dump_json(exclude_unset=True)
        call = Call(method="POST", path=path_of("webhooks"), document=document, is_repeatable=False)
        return self._connection.ask(NewWebhook, call)

    def webhooks(self) -> Iterator[WebhookAnswer]:
        """Yield the webhooks of the project, oldest first."""
        return items_of(self._connection, WebhookAnswer, path_of("webhooks"))

    def webhook(self, webhook_id: str) -> WebhookAnswer:
        """Return a webhook by its identifier."""
        return self._connection.ask(WebhookAnswer, Call(method="GET", path=path_of("webhooks", webhook_id)))

    def delete_webhook(self, webhook: WebhookLike) -> None:
        """Delete a webhook and its deliveries."""
        delete(self._connection, path_of("webhooks", _id_of(webhook)))

    def enable_webhook(self, webhook: WebhookLike) -> WebhookAnswer:
        """Enable a webhook that the service has disabled."""
        path = path_of("webhooks", _id_of(webhook), "enable")
        return self._connection.ask(WebhookAnswer, Call(method="POST", path=path))

    def ping_webhook(self, webhook: WebhookLike) -> DeliveryAnswer:
        """Have a test event delivered, and return the delivery; `delivery` says later what came of it."""
        path = path_of("webhooks", _id_of(webhook), "ping")
        return self._connection.ask(DeliveryAnswer, Call(method="POST", path=path))

    def deliveries(self, webhook: WebhookLike) -> Iterator[DeliveryAnswer]:
        """Yield the deliveries to a webhook, newest first."""
        return items_of(self._connection, DeliveryAnswer, path_of("webhooks", _id_of(webhook), "deliveries"))

    def delivery(self, webhook: WebhookLike, delivery_id: str) -> DeliveryAnswer:
        """Return a delivery to a webhook: its state, its attempts, and what the receiver has last answered."""
        path = path_of("webhooks", _id_of(webhook), "deliveries", delivery_id)
        return self._connection.ask(DeliveryAnswer, Call(method="GET", path=path))

    def redeliver(self, webhook: WebhookLike, delivery_id: str) -> DeliveryAnswer:
        """Have an event delivered again, with the same identifier and the same body.

        Args:
            webhook: The webhook, or its identifier.
            delivery_id: Identifier of the delivery.

        Raises:
            ServiceProblem: If the webhook is disabled, or the delivery is being sent.
            ClientError: If there is no answer.
        """
        path = path_of("webhooks", _id_of(webhook), "deliveries", delivery_id, "redeliver")
        return self._connection.ask(DeliveryAnswer, Call(method="POST", path=path))


def _id_of(webhook: WebhookLike) -> str:
    return webhook if isinstance(webhook, str) else webhook.id
