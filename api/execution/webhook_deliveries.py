"""Deliveries to webhooks: a thread of the service with an event loop of its own, in which receivers may be slow.

A delivery is taken with a time within which it must have ended (`storage.database.deliveries`): whatever is killed,
some service makes the next attempt. The pauses between attempts grow for about a day, and vary, so that a receiver
that comes back is not asked by all deliveries at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from threading import Thread
from typing import Final

from api.execution.webhook_posting import Posted, WebhookPosting
from api.execution.webhook_transport import Resolver, resolve
from api.services.webhook_addresses import Reach
from api.settings import Settings
from api.storage.database import Store
from api.storage.webhook_records import Delivery, Webhook

LOG: Final = logging.getLogger("bitbudget.webhooks")

PAUSES_SECONDS: Final = (5, 30, 300, 1800, 7200, 18_000, 28_800, 28_800)
"""Pauses in seconds before the second and each later attempt: 23.6 hours in all."""
JITTER: Final = 0.2
"""Share by which a pause is longer or shorter at random."""
DISABLED_AFTER_SECONDS: Final = 3 * 86_400.0
"""Time in seconds without any success after which a webhook is disabled by its next failure."""

MOST_DELIVERIES: Final = 64
"""Number of deliveries that one service makes at the same time."""
MOST_OF_PROJECT: Final = 8
"""Number of them for one project, so that the slow receivers of one do not hold up another."""
MOST_OF_WEBHOOK: Final = 2
"""Number of them for one webhook."""

_POLL_SECONDS: Final = 0.5
_SPARE_SECONDS: Final = 5.0
"""Time in seconds, beyond that of an attempt, after which the service that makes it counts as gone."""
_LAST_SECONDS: Final = 1.0
"""Time in seconds for which deliveries go on while the service ends."""
_LONGEST_PAUSE_SECONDS: Final = 5.0
"""Longest pause in seconds after the database could not be used."""


class WebhookDeliveries:
    """Deliveries to the webhooks of all projects that this service makes.

    Args:
        store: The database.
        settings: Settings of the service, with the allowed networks and the time of an attempt.
        resolver: Function that resolves host names.

    Attributes:
        outcomes: Number of attempts of this service that have delivered, under "delivered", and that have not, under
            "failed".
    """

    def __init__(self, store: Store, settings: Settings, resolver: Resolver = resolve) -> None:
        self.outcomes = Counter({"delivered": 0, "failed": 0})
        self._store = store
        self._reach = Reach.of(settings.webhook_networks)
        self._seconds = settings.webhook_seconds
        self._resolver = resolver
        self._thread = Thread(target=self._run, name="webhooks", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._running: dict[asyncio.Task[None], tuple[Delivery, Webhook]] = {}
        self._random = random.Random()  # noqa: S311  # for pauses

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def running(self) -> int:
        """Number of attempts under way."""
        return len(self._running)

    def stop(self) -> None:
        """End the thread; deliveries that do not end soon are made again by the next service."""
        self._is_stopping = True
        if (loop := self._loop) is not None and self._thread.is_alive():
            try:
                loop.call_soon_threadsafe(self._wake.set)
            except RuntimeError:  # the loop has ended
                return
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._deliver())
        except Exception:
            LOG.exception("the deliveries to webhooks have ended; restart the service")

    async def _deliver(self) -> None:
        self._loop = asyncio.get_running_loop()
        posting = WebhookPosting(self._reach, self._seconds, self._resolver)
        pause_seconds = _POLL_SECONDS
        while not self._is_stopping:
            try:
                await self._start_due(posting)
                pause_seconds = _POLL_SECONDS
            except Exception:
                LOG.exception("deliveries to webhooks could not be read; they are tried again in %s s", pause_seconds)
                pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause_seconds)
            self._wake.clear()
        if self._running:
            await asyncio.wait(self._running, timeout=_LAST_SECONDS)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await posting.close()

    async def _start_due(self, posting: WebhookPosting) -> None:
        """Start attempts for deliveries whose time has come, as far as there are places."""
        if len(self._running) >= MOST_DELIVERIES:
            return
        of_webhook = Counter(webhook.id for _, webhook in self._running.values())
        of_project = Counter(webhook.project for _, webhook in self._running.values())
        places = {each: MOST_OF_WEBHOOK - count for each, count in of_webhook.items()}
        due = await asyncio.to_thread(self._store.due_deliveries_of_all_projects, places, MOST_OF_WEBHOOK)
        for delivery, webhook in sorted(due, key=lambda each: (of_project[each[1].project], each[0].number)):
            if len(self._running) >= MOST_DELIVERIES:
                return
            if of_project[webhook.project] >= MOST_OF_PROJECT:
                continue
            lease_seconds = self._seconds + _SPARE_SECONDS
            if not await asyncio.to_thread(self._store.take_delivery_of_any_project, delivery, lease_seconds):
                continue
            of_project[webhook.project] += 1
            task = asyncio.create_task(self._attempt(posting, delivery, webhook))
            self._running[task] = (delivery, webhook)
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("the outcome of a delivery could not be stored, it will be made again: %s", error)

    async def _attempt(self, posting: WebhookPosting, delivery: Delivery, webhook: Webhook) -> None:
        posted = await posting.post(delivery, webhook)
        await asyncio.to_thread(self._settle, delivery, webhook, posted)

    def _settle(self, delivery: Delivery, webhook: Webhook, posted: Posted) -> None:
        """Store the outcome of an attempt with the time of the next one; disable a webhook that fails for long."""
        error = posted.outcome.error
        self.outcomes["delivered" if error is None else "failed"] += 1
        retry_at = None if error is None or posted.is_gone else self._retry_at(delivery, posted.pause_seconds)
        if not self._store.end_attempt_of_any_project(delivery, posted.outcome, retry_at) or error is None:
            return
        LOG.info("delivery %s to webhook %s failed: %s", delivery.id, webhook.id, error)
        if posted.is_gone:
            reason = "the receiver has answered 410: it wants no more deliveries"
        elif webhook.failing_since is not None and time.time() - webhook.failing_since > DISABLED_AFTER_SECONDS:
            days = DISABLED_AFTER_SECONDS / 86_400
            reason = f"no delivery has succeeded for {days:g} days; the last attempt: {error}"
        else:
            return
        self._store.disable_webhook_of_any_project(webhook.id, reason)
        LOG.warning("webhook %s of project %s is disabled: %s", webhook.id, webhook.project, reason)

    def _retry_at(self, delivery: Delivery, asked_seconds: float) -> float | None:
        """Return the Unix time of the attempt after one that failed; None if it was the last one."""
        number = delivery.attempts - delivery.earlier_attempts
        if number >= len(PAUSES_SECONDS):
            return None
        factor = self._random.uniform(1 - JITTER, 1 + JITTER)
        return time.time() + max(PAUSES_SECONDS[number] * factor, asked_seconds)
