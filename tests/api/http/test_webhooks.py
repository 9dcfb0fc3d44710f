"""Webhooks over HTTP: a secret that is shown once, pings, deliveries, certificates, and services that are killed."""

from __future__ import annotations

import datetime
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.execution.webhook_deliveries import WebhookDeliveries
from api.schemas.webhooks import WebhookRequest
from api.services.webhook_addresses import Address
from api.services.webhooks import Webhooks
from api.settings import Settings
from api.storage.database import Store
from network.errors import RequestError
from tests.api.live_service import LiveService, kill
from tests.api.local_service import local_service
from tests.api.small_files import tiny_network
from tests.api.webhook_receiver import PATIENCE_SECONDS, Receiver, answer, is_signed
from tests.onnx_files import to_onnx

NETWORKS = "127.0.0.0/8"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with local_service(tmp_path / "data", webhook_networks=NETWORKS, max_webhooks=2, webhook_seconds=2.0) as (_, http):
        yield http


def ended(http: httpx.Client, path: str) -> dict[str, Any]:
    """Return a delivery when its next attempt has an outcome."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        delivery: dict[str, Any] = http.get(path).raise_for_status().json()
        if delivery["state"] in {"delivered", "failed"} or delivery["error"] is not None:
            return delivery
        assert time.monotonic() < give_up_at, delivery
        time.sleep(0.02)


def test_the_life_of_a_webhook(client: httpx.Client) -> None:
    with Receiver(answer(200, b"pong")) as receiver:
        created = client.post("/v1/webhooks", json={"url": receiver.url})
        assert created.status_code == 201, created.text
        assert created.headers["cache-control"] == "no-store"
        path = created.headers["location"]
        webhook = created.json()
        secret = webhook.pop("secret")
        assert webhook["events"] == ["job.cancelled", "job.failed", "job.succeeded"]
        assert client.get(path).json() == webhook
        assert client.get("/v1/webhooks").json() == {"items": [webhook], "next_cursor": None}
        assert secret not in client.get("/v1/webhooks").text

        pinged = client.post(f"{path}/ping")
        assert pinged.status_code == 202
        delivery = ended(client, pinged.headers["location"])
        assert (delivery["state"], delivery["attempts"], delivery["status"]) == ("delivered", 1, 200)
        assert (delivery["answer"], delivery["event"], delivery["job_id"]) == ("pong", "webhook.ping", None)
        (ping,) = receiver.wait(1)
        assert ping.id == delivery["id"]
        assert is_signed(ping, secret)
        assert ping.event["data"] == {"webhook_id": webhook["id"], "project": "default"}

        again = client.post(f"{pinged.headers['location']}/redeliver")
        assert again.status_code == 202
        assert receiver.wait(2)[1].body == ping.body
        assert receiver.wait(2)[1].id == ping.id

        job = cancelled_job(client)
        (ping, _, told) = receiver.wait(3)
        assert told.event["type"] == "job.cancelled"
        assert told.event["data"]["job_id"] == job
        newest = client.get(f"{path}/deliveries", params={"limit": 1}).json()
        assert (newest["items"][0]["id"], newest["items"][0]["job_id"]) == (told.id, job)
        older = client.get(f"{path}/deliveries", params={"limit": 1, "cursor": newest["next_cursor"]}).json()
        assert [each["id"] for each in older["items"]] == [ping.id]
        assert older["next_cursor"] is None

        assert client.post(f"{path}/enable").json()["disabled_at"] is None
        assert client.delete(path).status_code == 204
        assert client.get(pinged.headers["location"]).status_code == 404
        assert client.delete(path).status_code == 404


def cancelled_job(client: httpx.Client) -> str:
    """Start and cancel a job; return its identifier."""
    network = client.post("/v1/networks", content=to_onnx(tiny_network())).json()["id"]
    started = client.post(f"/v1/networks/{network}/sensitivity", json={"dataset": "none"})
    assert started.status_code == 202, started.text
    job_id: str = started.json()["id"]
    assert client.post(f"/v1/jobs/{job_id}/cancel").is_success
    return job_id


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://hook.example/", "expected https://HOST/PATH"),
        ("https:///path", "expected https://HOST/PATH"),
        ("hook.example", "expected https://HOST/PATH"),
        ("https://user:word@hook.example/", "without user"),
        ("https://hook.example/#part", "fragment"),
        ("https://hook.example/\x00", "cannot be read"),
        ("https://hook.example:99999/", "port up to 65535"),
        ("https://10.1.2.3/", "may not reach the address 10.1.2.3"),
        ("https://[::ffff:169.254.169.254]/", "may not reach"),
        ("https://[::1]:8000/", "may not reach"),
        ("http://8.8.8.8/", "may not reach"),
    ],
)
def test_a_url_that_cannot_be_reached_is_refused_at_once(tmp_path: Path, url: str, message: str) -> None:
    store = Store(tmp_path / "bitbudget.sqlite")
    webhooks = Webhooks(store, Settings(data_directory=tmp_path, webhook_networks=NETWORKS))
    with pytest.raises(RequestError, match=message):
        webhooks.create(WebhookRequest(url=url))
    assert webhooks.all() == []
    store.close()


def test_a_project_has_a_bounded_number_of_webhooks(client: httpx.Client) -> None:
    for _ in range(2):
        assert client.post("/v1/webhooks", json={"url": "https://hook.example/"}).status_code == 201
    refused = client.post("/v1/webhooks", json={"url": "https://hook.example/"})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/limit-reached")
    assert "may have 2 webhooks" in refused.json()["detail"]


def test_without_allowed_networks_http_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "bitbudget.sqlite")
    webhooks = Webhooks(store, Settings(data_directory=tmp_path))
    with pytest.raises(RequestError, match="expected https"):
        webhooks.create(WebhookRequest(url="http://hook.example/"))
    store.close()


def test_a_disabled_webhook_delivers_only_pings(client: httpx.Client) -> None:
    with Receiver(answer(410)) as receiver:
        path = client.post("/v1/webhooks", json={"url": receiver.url}).headers["location"]
        delivery = client.post(f"{path}/ping").headers["location"]
        assert ended(client, delivery)["state"] == "failed"
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while client.get(path).json()["disabled_at"] is None:
            assert time.monotonic() < give_up_at
        assert "410" in client.get(path).json()["disabled_reason"]
        receiver.reply = answer(204)
        assert client.post(f"{delivery}/redeliver").status_code == 202
        receiver.wait(2)
        cancelled_job(client)
        assert len(client.get(f"{path}/deliveries").json()["items"]) == 1
        assert client.post(f"{path}/enable").json()["disabled_reason"] is None


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """Return the TLS context of a server with a certificate for a name, and the file of the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return context, path


def test_the_certificate_is_that_of_the_name_and_not_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate(tmp_path, "hook.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))

    async def resolver(_: str, __: int) -> list[Address]:
        return [ip_address("127.0.0.1")]

    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver(context=context))
        store = Store(tmp_path / "bitbudget.sqlite")
        stack.callback(store.close)
        settings = Settings(data_directory=tmp_path, webhook_networks=NETWORKS, webhook_seconds=5)
        webhooks = Webhooks(store, settings)
        right, wrong = (
            webhooks.create(WebhookRequest(url=f"https://{host}:{receiver.port}/")).id
            for host in ("hook.example", "other.example")
        )
        deliveries = WebhookDeliveries(store, settings, resolver)
        deliveries.start()
        stack.callback(deliveries.stop)
        for webhook_id in (right, wrong):
            pinged = webhooks.ping(webhook_id)
            give_up_at = time.monotonic() + PATIENCE_SECONDS
            while (found := webhooks.delivery(webhook_id, pinged.id)).error is None and found.state != "delivered":
                assert time.monotonic() < give_up_at
                time.sleep(0.02)
            if webhook_id == right:
                assert (found.state, found.status) == ("delivered", 204)
            else:
                assert "certificate" in str(found.error).lower()
        assert names == ["hook.example", "other.example"]
        assert [each.headers["host"] for each in receiver.arrived] == [f"hook.example:{receiver.port}"]


def test_what_a_killed_service_was_sending_is_delivered_after_its_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    released = threading.Event()

    def hang(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 0:
            released.wait(PATIENCE_SECONDS)
        answer(204)(handler, number)

    options = [f"--webhook-networks={NETWORKS}", "--webhook-seconds=1"]
    with Receiver(hang) as receiver:
        service = LiveService(data, *options)
        created = service.http.post("/v1/webhooks", json={"url": receiver.url, "events": ["job.cancelled"]}).json()
        cancelled_job(service.http)
        (interrupted,) = receiver.wait(1)
        kill(service.process.pid)
        with LiveService(data, *options) as restarted:
            first, second = receiver.wait(2)
            assert first == interrupted
            assert (first.id, first.body) == (second.id, second.body)
            assert is_signed(second, created["secret"])
            path = f"/v1/webhooks/{created['id']}/deliveries/{first.id}"
            delivery = ended(restarted.http, path)
            assert (delivery["state"], delivery["attempts"]) == ("delivered", 2)
        released.set()
        service.http.close()
        service.process.wait(PATIENCE_SECONDS)
        service.process.stdout.close()  # type: ignore[union-attr]  # it is a pipe
        service._log.close()
