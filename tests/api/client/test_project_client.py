"""Webhooks and the project of the caller, by the client of a service that really runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from api.client.client import Client
from api.client.errors import ServiceProblem
from api.schemas.webhooks import DeliveryState, WebhookEvent
from network.errors import RequestError
from tests.api.local_service import local_service
from tests.api.small_files import tiny_json
from tests.api.webhook_receiver import PATIENCE_SECONDS, Receiver, is_signed


def test_a_program_uses_its_project_and_webhooks(tmp_path: Path) -> None:
    content = tiny_json()
    limits: dict[str, Any] = {"project_bytes": len(content), "max_webhooks": 1, "webhook_networks": "127.0.0.0/8"}
    with (
        local_service(tmp_path / "data", **limits) as (_, http),
        Client(str(http.base_url)) as client,
        Receiver() as receiver,
    ):
        assert client.project().max_bytes == len(content)
        client.upload_network(content)
        assert client.project().stored_bytes == len(content)
        with pytest.raises(ServiceProblem) as refused:
            client.upload_network(tiny_json(with_weights=False))
        assert refused.value.problem.type == "/problems/quota-exceeded"
        assert refused.value.problem.allowed_bytes == len(content)

        with pytest.raises(RequestError, match=r"job\.ended"):
            client.create_webhook(receiver.url, ["job.ended"])  # type: ignore[list-item]  # an unknown kind of event
        webhook = client.create_webhook(receiver.url, ["job.failed"])
        assert webhook.events == [WebhookEvent.JOB_FAILED]
        with pytest.raises(ServiceProblem, match="may have 1 webhooks"):
            client.create_webhook(receiver.url)
        assert [each.id for each in client.webhooks()] == [client.webhook(webhook.id).id]
        delivery = client.ping_webhook(webhook)
        (arrived,) = receiver.wait(1)
        assert is_signed(arrived, webhook.secret)
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while client.delivery(webhook, delivery.id).state is not DeliveryState.DELIVERED:
            assert time.monotonic() < give_up_at
            time.sleep(0.02)
        assert client.redeliver(webhook.id, delivery.id).id == delivery.id
        receiver.wait(2)
        assert [each.id for each in client.deliveries(webhook)] == [delivery.id]
        assert client.enable_webhook(webhook).disabled_at is None
        client.delete_webhook(webhook)
        assert list(client.webhooks()) == []
