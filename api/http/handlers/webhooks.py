"""Handlers of the HTTP resources under /v1/webhooks."""

from __future__ import annotations

from typing import Annotated, Final, cast

from fastapi import APIRouter, Path, Response

from api.http.handlers.dependencies import ServiceOf, problems
from api.http.pages import Limit, PageCursor, cursor_of, page_of, position_of
from api.schemas.pages import DeliveryPage, WebhookPage
from api.schemas.webhooks import DeliveryAnswer, NewWebhook, WebhookAnswer, WebhookRequest

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_LIST: Final = "webhooks"

WebhookId = Annotated[str, Path(description="identifier of a webhook, as createWebhook returns it")]
DeliveryId = Annotated[str, Path(description="identifier of a delivery")]


@router.post("", operation_id="createWebhook", status_code=201, responses=problems(400, 409, 422))
def create_webhook(body: WebhookRequest, response: Response, service: ServiceOf) -> NewWebhook:
    """Create a webhook, to which events of jobs are posted; the answer has its secret, which is shown this once."""
    webhook = service.webhooks.create(body)
    response.headers["Location"] = f"/v1/webhooks/{webhook.id}"
    response.headers["Cache-Control"] = "no-store"
    return webhook


@router.get("", operation_id="listWebhooks", responses=problems(422))
def list_webhooks(service: ServiceOf, limit: Limit = 100, cursor: PageCursor = None) -> WebhookPage:
    """List the webhooks of the project, oldest first."""
    webhooks, following = page_of(_LIST, service.webhooks.all(), lambda webhook: webhook.id, limit, cursor)
    return WebhookPage(items=webhooks, next_cursor=following)


@router.get("/{webhook_id}", operation_id="getWebhook", responses=problems(404))
def get_webhook(webhook_id: WebhookId, service: ServiceOf) -> WebhookAnswer:
    """Return a webhook: where it leads, what is delivered, and whether deliveries fail."""
    return service.webhooks.webhook(webhook_id)


@router.delete("/{webhook_id}", operation_id="deleteWebhook", status_code=204, responses=problems(404))
def delete_webhook(webhook_id: WebhookId, service: ServiceOf) -> None:
    """Delete a webhook and its deliveries; one that is being sent at the moment may still arrive."""
    service.webhooks.delete(webhook_id)


@router.post("/{webhook_id}/ping", operation_id="pingWebhook", status_code=202, responses=problems(404))
def ping_webhook(webhook_id: WebhookId, response: Response, service: ServiceOf) -> DeliveryAnswer:
    """Deliver a test event (webhook.ping), also to a disabled webhook; the delivery says later what came of it."""
    return _with_location(webhook_id, service.webhooks.ping(webhook_id), response)


@router.post("/{webhook_id}/enable", operation_id="enableWebhook", responses=problems(404))
def enable_webhook(webhook_id: WebhookId, service: ServiceOf) -> WebhookAnswer:
    """Enable a webhook that the service has disabled; events from now on are delivered again."""
    return service.webhooks.enable(webhook_id)


@router.get("/{webhook_id}/deliveries", operation_id="listDeliveries", responses=problems(404, 422))
def list_deliveries(
    webhook_id: WebhookId, service: ServiceOf, limit: Limit = 100, cursor: PageCursor = None
) -> DeliveryPage:
    """List the deliveries to a webhook, newest first; those that have ended are kept for 30 days."""
    name = f"deliveries:{webhook_id}"
    position = cast("tuple[int] | None", position_of(name, cursor, int))
    deliveries, last = service.webhooks.deliveries(webhook_id, limit, None if position is None else position[0])
    return DeliveryPage(items=deliveries, next_cursor=None if last is None else cursor_of(name, last))


@router.get("/{webhook_id}/deliveries/{delivery_id}", operation_id="getDelivery", responses=problems(404))
def get_delivery(webhook_id: WebhookId, delivery_id: DeliveryId, service: ServiceOf) -> DeliveryAnswer:
    """Return a delivery: its state, its attempts, and what the receiver has last answered."""
    return service.webhooks.delivery(webhook_id, delivery_id)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    operation_id="redeliver",
    status_code=202,
    responses=problems(404, 409),
)
def redeliver(webhook_id: WebhookId, delivery_id: DeliveryId, response: Response, service: ServiceOf) -> DeliveryAnswer:
    """Deliver an event again, with the same identifier and the same body, whether or not it was delivered before."""
    return _with_location(webhook_id, service.webhooks.deliver_again(webhook_id, delivery_id), response)


def _with_location(webhook_id: str, delivery: DeliveryAnswer, response: Response) -> DeliveryAnswer:
    response.headers["Location"] = f"/v1/webhooks/{webhook_id}/deliveries/{delivery.id}"
    return delivery
