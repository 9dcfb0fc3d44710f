"""Deliveries to webhooks: real receivers on loopback, on both kinds of database."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from api.execution import webhook_deliveries
from api.execution.webhook_deliveries import JITTER, PAUSES_SECONDS, WebhookDeliveries
from api.execution.webhook_posting import MAX_ANSWER_BYTES, MAX_ANSWER_LENGTH
from api.execution.webhook_transport import Resolver, resolve
from api.schemas.job_state import JobState
from api.schemas.webhooks import WebhookEvent
from api.services.webhook_addresses import Address
from api.services.webhook_signatures import new_secret
from api.settings import Settings
from api.storage.database import Store
from api.storage.webhook_records import Delivery, Outcome, Webhook
from tests.api.webhook_receiver import PATIENCE_SECONDS, Receiver, answer, is_signed

LOOPBACK = "127.0.0.0/8"
EVERY_EVENT = [event.value for event in WebhookEvent]


@pytest.fixture
def any_store(database_url: str) -> Iterator[Store]:
    """An empty database of each kind; `store` is on SQLite alone."""
    opened = Store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "bitbudget.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@contextmanager
def delivering(store: Store, data: Path, resolver: Resolver = resolve, **settings: Any) -> Iterator[WebhookDeliveries]:
    chosen: dict[str, Any] = {"webhook_networks": LOOPBACK, "webhook_seconds": 2.0} | settings
    deliveries = WebhookDeliveries(store, Settings(data_directory=data, **chosen), resolver)
    deliveries.start()
    try:
        yield deliveries
    finally:
        deliveries.stop()


def add_webhook(store: Store, url: str, name: str = "wh_1", events: list[str] = EVERY_EVENT) -> Webhook:
    webhook = Webhook(name, store.project, url, events, new_secret(), time.time())
    assert store.add_webhook(webhook, 100)
    return webhook


def deliveries_of(store: Store, webhook: Webhook) -> list[Delivery]:
    return store.deliveries_page(webhook.id, 1000)


def until(condition: Callable[[], Any]) -> Any:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.02)
    return found


def attempted(store: Store, webhook: Webhook, attempts: int = 1) -> Delivery:
    """Return the newest delivery, when the outcome of its attempt is stored."""

    def look() -> Delivery | None:
        newest = deliveries_of(store, webhook)[0]
        return newest if newest.attempts >= attempts and newest.state != "sending" else None

    found: Delivery = until(look)
    return found


def test_the_life_of_a_job_is_delivered(any_store: Store, tmp_path: Path, stack: ExitStack) -> None:
    receiver = stack.enter_context(Receiver())
    webhook = add_webhook(any_store, receiver.url)
    any_store.add_job("a", {"network_id": "n", "kind": "shrink"}, None)
    any_store.change_job("a", [JobState.QUEUED], state=JobState.RUNNING, attempt=1)
    any_store.change_job("a", [JobState.RUNNING], progress={"epoch": 1})
    assert not any_store.change_job("a", [JobState.QUEUED], state=JobState.RUNNING), "undone changes are not delivered"
    any_store.change_job("a", [JobState.RUNNING], state=JobState.FAILED, error={"type": "t", "detail": "x" * 9999})
    other = any_store.of_project("other")
    other.add_job("b", {"network_id": "n"}, None)
    stack.enter_context(delivering(any_store, tmp_path))
    arrived = {each.event["type"]: each for each in receiver.wait(3)}
    assert arrived.keys() == {"job.queued", "job.started", "job.failed"}
    assert all(is_signed(each, webhook.secret) for each in arrived.values())
    failed = arrived["job.failed"]
    assert failed.headers["content-type"] == "application/json"
    assert failed.headers["user-agent"].startswith("bitbudget/")
    assert failed.event["data"] == {
        "job_id": "a", "path": "/v1/jobs/a", "project": "default", "kind": "shrink", "state": "failed", "attempt": 1,
        "revision": 4, "network_id": "n", "error": {"type": "t", "detail": "x" * 2000},
    }  # fmt: skip
    until(lambda: all(each.state == "delivered" for each in deliveries_of(any_store, webhook)))
    assert {each.id for each in deliveries_of(any_store, webhook)} == {each.id for each in arrived.values()}
    assert {(each.attempts, each.status, each.error) for each in deliveries_of(any_store, webhook)} == {(1, 204, None)}


def test_a_webhook_gets_only_what_it_wants(store: Store, tmp_path: Path, stack: ExitStack) -> None:
    receiver = stack.enter_context(Receiver())
    wanting = add_webhook(store, receiver.url, "wh_1", ["job.cancelled"])
    disabled = add_webhook(store, receiver.url, "wh_2")
    store.disable_webhook_of_any_project(disabled.id, "a test")
    store.add_job("a", {}, None)
    store.change_job("a", [JobState.QUEUED], state=JobState.CANCELLED)
    assert [each.event for each in deliveries_of(store, wanting)] == ["job.cancelled"]
    assert deliveries_of(store, disabled) == []
    store.add_delivery(disabled.id, "webhook.ping", {})
    stack.enter_context(delivering(store, tmp_path))
    assert sorted(each.event["type"] for each in receiver.wait(2)) == ["job.cancelled", "webhook.ping"]


def test_two_services_deliver_each_event_once(database_url: str, tmp_path: Path, stack: ExitStack) -> None:
    receiver = stack.enter_context(Receiver())
    stores = [Store(database_url) for _ in range(2)]
    for store in stores:
        stack.callback(store.close)
        stack.enter_context(delivering(store, tmp_path))
    for number in range(8):  # a project may have 8 deliveries at once, a webhook two
        add_webhook(stores[0], f"{receiver.url}/{number}", f"wh_{number}")
    for number in range(10):
        assert stores[number % 2].add_job(f"job{number}", {}, None)
    receiver.wait(80)
    until(lambda: all(each.state == "delivered" for n in range(8) for each in stores[0].deliveries_page(f"wh_{n}", 99)))
    assert set(Counter(each.id for each in receiver.arrived).values()) == {1}
    assert Counter(each.path for each in receiver.arrived) == {f"/hook/{number}": 10 for number in range(8)}


def test_an_attempt_that_fails_is_made_again_with_the_same_identifier(
    any_store: Store, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_deliveries, "PAUSES_SECONDS", (0.1, 0.1))

    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        (answer(500, b"later") if number == 0 else answer(200, b"thanks"))(handler, number)

    receiver = stack.enter_context(Receiver(reply))
    webhook = add_webhook(any_store, receiver.url)
    any_store.add_job("a", {}, None)
    stack.enter_context(delivering(any_store, tmp_path))
    first, second = receiver.wait(2)
    assert first.id == second.id
    assert first.body == second.body
    assert is_signed(second, webhook.secret)
    done = attempted(any_store, webhook, 2)
    assert (done.state, done.attempts, done.status, done.answer, done.error) == ("delivered", 2, 200, "thanks", None)
    found = any_store.webhook(webhook.id)
    assert found is not None
    assert found.failing_since is None, "it was set by the first attempt"


def test_pauses_grow_for_a_day_and_then_the_delivery_is_given_up(store: Store, tmp_path: Path) -> None:
    webhook = add_webhook(store, "https://127.0.0.1:1/", events=["job.queued"])
    store.add_job("a", {}, None)
    deliveries = WebhookDeliveries(store, Settings(data_directory=tmp_path))
    (delivery,) = deliveries_of(store, webhook)
    for earlier in (0, 7):  # a delivery that was requested again begins with the shortest pause
        pauses = []
        for number in range(len(PAUSES_SECONDS) + 1):
            as_before = Delivery(**{name: getattr(delivery, name) for name in Delivery.__slots__} | {
                "attempts": earlier + number, "earlier_attempts": earlier,
            })  # fmt: skip
            retry_at = deliveries._retry_at(as_before, 0.0)
            pauses.append(None if retry_at is None else retry_at - time.time())
        *waited, last = pauses
        assert last is None
        for pause, planned in zip(waited, PAUSES_SECONDS, strict=True):
            assert pause is not None
            assert planned * (1 - JITTER) - 1 < pause < planned * (1 + JITTER) + 1
    assert all(earlier <= later for earlier, later in pairwise(PAUSES_SECONDS))
    assert 20 * 3600 < sum(PAUSES_SECONDS) < 28 * 3600
    asked = deliveries._retry_at(delivery, 1000.0)
    assert asked is not None
    assert asked > time.time() + 990, "a receiver may ask for a longer pause"


def test_a_webhook_that_fails_for_long_is_disabled(
    store: Store, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_deliveries, "PAUSES_SECONDS", (0.05,))
    monkeypatch.setattr(webhook_deliveries, "DISABLED_AFTER_SECONDS", 0.0)
    receiver = stack.enter_context(Receiver(answer(503, Retry_After="0")))
    webhook = add_webhook(store, receiver.url, events=["job.queued"])
    store.add_job("a", {}, None)
    stack.enter_context(delivering(store, tmp_path))
    until(lambda: (found := store.webhook(webhook.id)) and found.disabled_at)
    found = store.webhook(webhook.id)
    assert found is not None
    assert "no delivery has succeeded for 0 days" in str(found.disabled_reason)
    assert "503" in str(found.disabled_reason)
    assert [each.state for each in deliveries_of(store, webhook)] == ["failed"]
    assert store.enable_webhook(webhook.id)
    receiver.reply = answer(200)
    assert store.request_delivery_again(webhook.id, deliveries_of(store, webhook)[0].id)
    until(lambda: deliveries_of(store, webhook)[0].state == "delivered")


def test_a_receiver_that_is_gone_is_disabled_at_once(store: Store, tmp_path: Path, stack: ExitStack) -> None:
    receiver = stack.enter_context(Receiver(answer(410)))
    webhook = add_webhook(store, receiver.url, events=["job.queued"])
    store.add_job("a", {}, None)
    stack.enter_context(delivering(store, tmp_path))
    until(lambda: (found := store.webhook(webhook.id)) and "410" in str(found.disabled_reason))
    store.add_job("b", {}, None)
    assert [each.state for each in deliveries_of(store, webhook)] == ["failed"]


def test_an_attempt_that_was_under_way_when_its_webhook_was_disabled_is_the_last_one(store: Store) -> None:
    webhook = add_webhook(store, "https://hook.example/", events=["job.queued"])
    store.add_job("a", {}, None)
    (delivery,) = deliveries_of(store, webhook)
    assert store.take_delivery_of_any_project(delivery, 10)
    assert not store.take_delivery_of_any_project(delivery, 10), "it was taken"
    store.disable_webhook_of_any_project(webhook.id, "a test")
    assert [each.state for each in deliveries_of(store, webhook)] == ["sending"]
    assert store.end_attempt_of_any_project(delivery, Outcome(500, "", "status 500"), time.time() + 5)
    assert [(each.state, each.due_at) for each in deliveries_of(store, webhook)] == [("failed", None)]
    assert not store.end_attempt_of_any_project(delivery, Outcome(200, "", None), None), "it has ended"


def test_a_redirection_is_not_followed(store: Store, tmp_path: Path, stack: ExitStack) -> None:
    target = stack.enter_context(Receiver())
    receiver = stack.enter_context(Receiver(answer(307, Location=target.url)))
    webhook = add_webhook(store, receiver.url, events=["job.queued"])
    store.add_job("a", {}, None)
    with delivering(store, tmp_path):
        failed = attempted(store, webhook)
    assert (failed.state, failed.status) == ("waiting", 307)
    assert "redirection" in str(failed.error)
    assert target.arrived == []


def test_only_the_beginning_of_an_answer_is_read(store: Store, tmp_path: Path, stack: ExitStack) -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler, _: int) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        try:
            while sent < 2**30:
                handler.wfile.write(b"\x00a\xff" * 1000)
                sent += 3000
        except OSError:
            pass

    receiver = stack.enter_context(Receiver(endless))
    webhook = add_webhook(store, receiver.url, events=["job.queued"])
    store.add_job("a", {}, None)
    with delivering(store, tmp_path):
        done = attempted(store, webhook)
    assert (done.state, done.status) == ("delivered", 200)
    assert done.answer == (" a�" * MAX_ANSWER_BYTES)[:MAX_ANSWER_LENGTH]
    assert sent < 2**25, "the buffers of the two sockets"


def test_a_slow_receiver_neither_lasts_for_ever_nor_delays_others(
    store: Store, tmp_path: Path, stack: ExitStack
) -> None:
    release = threading.Event()
    stack.callback(release.set)

    def slow(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response_only(200)
        for _ in range(600):  # a byte now and then keeps any limit of a single read from ending this
            if release.wait(0.1):
                return
            try:
                handler.wfile.write(b"X-Slow: yes\r\n")
                handler.wfile.flush()
            except OSError:
                return

    tarpit = stack.enter_context(Receiver(slow))
    quick = stack.enter_context(Receiver())
    hanging = add_webhook(store, tarpit.url, "wh_slow", ["job.queued"])
    for number in range(20):
        store.add_job(f"slow{number}", {}, None)
    stack.enter_context(delivering(store, tmp_path, webhook_seconds=1.0))
    tarpit.wait(2)
    for view in (store, store.of_project("other")):
        began = time.monotonic()
        add_webhook(view, quick.url, f"wh_{view.project}", ["job.queued"])
        view.add_job(f"quick-{view.project}", {}, None)
        until(partial(_has_arrived, quick, view.project))
        assert time.monotonic() - began < 10  # two at a time, the 20 slow ones would take at least 10 s
    until(lambda: any(each.error for each in deliveries_of(store, hanging)))
    late = next(each for each in deliveries_of(store, hanging) if each.error)
    assert late.error == "no answer within 1 s"
    assert late.state == "waiting"


def _has_arrived(receiver: Receiver, project: str) -> bool:
    return any(each.event["data"]["project"] == project for each in receiver.arrived)


def rebinding(*answers: str) -> tuple[Resolver, list[str]]:
    """Return a resolver that answers differently each time, and the names that it was asked for."""
    asked: list[str] = []

    async def resolver(host: str, _: int) -> list[Address]:
        asked.append(host)
        await asyncio.sleep(0)
        return [ip_address(each) for each in answers[min(len(asked), len(answers)) - 1].split()]

    return resolver, asked


@pytest.mark.parametrize("addresses", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254 10.0.0.1", "::"])
def test_a_name_that_leads_to_a_private_address_is_not_reached(
    store: Store, tmp_path: Path, stack: ExitStack, addresses: str
) -> None:
    receiver = stack.enter_context(Receiver())
    webhook = add_webhook(store, f"https://hook.example:{receiver.port}/", events=["job.queued"])
    store.add_job("a", {}, None)
    resolver, asked = rebinding(addresses)
    with delivering(store, tmp_path, resolver, webhook_networks=None):
        failed = attempted(store, webhook)
    assert asked == ["hook.example"]
    assert "has no address that webhooks may reach" in str(failed.error)
    assert receiver.arrived == []


def test_the_connection_goes_to_the_address_that_was_checked(store: Store, tmp_path: Path, stack: ExitStack) -> None:
    """A name whose second answer is another address (DNS rebinding) is resolved once for each attempt."""
    receiver = stack.enter_context(Receiver())
    webhook = add_webhook(store, f"http://hook.example:{receiver.port}/x?y=1", events=["job.queued"])
    store.add_job("a", {}, None)
    resolver, asked = rebinding("10.9.8.7 127.0.0.1", "10.9.8.7")  # the first address of an answer is not allowed
    with delivering(store, tmp_path, resolver):
        done = attempted(store, webhook)
        store.add_job("b", {}, None)
        failed = attempted(store, webhook)
    assert (done.state, asked) == ("delivered", ["hook.example", "hook.example"])
    (arrived,) = receiver.arrived
    assert arrived.path == "/x?y=1"
    assert arrived.headers["host"] == f"hook.example:{receiver.port}"
    assert "has no address" in str(failed.error)


def test_old_deliveries_are_deleted_and_waiting_ones_are_kept(any_store: Store) -> None:
    webhook = add_webhook(any_store, "https://hook.example/", events=["job.queued"])
    for number in range(3):
        any_store.add_job(f"job{number}", {}, None)
    newest, *_ = deliveries_of(any_store, webhook)
    assert any_store.delete_old_deliveries_of_all_projects(time.time() + 1) == 0, "none has ended"
    any_store.disable_webhook_of_any_project(webhook.id, "a test")
    assert any_store.request_delivery_again(webhook.id, newest.id)
    assert any_store.delete_old_deliveries_of_all_projects(newest.created_at - 1000) == 0
    assert any_store.delete_old_deliveries_of_all_projects(time.time() + 1) == 2
    assert [each.id for each in deliveries_of(any_store, webhook)] == [newest.id]
    assert any_store.delete_webhook(webhook.id)
    assert deliveries_of(any_store, webhook) == []


def test_webhooks_of_a_project_are_counted_at_once(any_store: Store) -> None:
    barrier = threading.Barrier(6)
    added: list[bool] = []

    def add(number: int) -> None:
        webhook = Webhook(f"wh_{number}", any_store.project, "https://a.example", EVERY_EVENT, new_secret(), 1.0)
        barrier.wait(PATIENCE_SECONDS)
        added.append(any_store.add_webhook(webhook, 3))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [False] * 3 + [True] * 3
    assert len(any_store.webhooks()) == 3
