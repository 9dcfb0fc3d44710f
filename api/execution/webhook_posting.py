"""One attempt to post an event to a webhook: bounded in time and in what is read, and without redirections."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from api.execution.webhook_transport import CheckedTransport, Resolver, Unreachable
from api.services.webhook_addresses import Reach
from api.services.webhook_signatures import signed_headers
from api.storage.webhook_records import Delivery, Outcome, Webhook
from api.version import version

MAX_ANSWER_BYTES: Final = 4096
"""Largest number of bytes that are read of the body of an answer."""
MAX_ANSWER_LENGTH: Final = 1000
"""Largest number of characters of an answer that are kept."""
MAX_PAUSE_SECONDS: Final = 3600.0
"""Longest pause in seconds that a receiver can ask for."""
_ANSWER_SECONDS: Final = 2.0
"""Longest time in seconds to read the body of an answer, whose status decides already."""
GONE: Final = 410
"""HTTP status by which a receiver says that it wants no more deliveries."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of an attempt.

    Attributes:
        outcome: What is stored of it.
        pause_seconds: Time in seconds that the receiver wants to have before the next attempt; 0 if it asks for none.
    """

    outcome: Outcome
    pause_seconds: float = 0.0

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more deliveries."""
        return self.outcome.status == GONE


class WebhookPosting:
    """Attempts to post events, for one event loop.

    Args:
        reach: Addresses that webhooks may reach.
        seconds: Longest time in seconds of an attempt.
        resolver: Function that resolves host names.
    """

    def __init__(self, reach: Reach, seconds: float, resolver: Resolver) -> None:
        self._seconds = seconds
        self._client = httpx.AsyncClient(
            transport=CheckedTransport(reach, resolver), follow_redirects=False, trust_env=False, timeout=seconds
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def post(self, delivery: Delivery, webhook: Webhook) -> Posted:
        """Post an event, and return what came of it; a failure is an outcome too.

        Args:
            delivery: The event.
            webhook: The webhook.
        """
        body = delivery.payload.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"bitbudget/{version()}",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **signed_headers(webhook.secret, delivery.id, int(time.time()), body),
        }
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._client.stream("POST", webhook.url, content=body, headers=headers) as response,
            ):
                return _posted(response, await _beginning(response))
        except (TimeoutError, httpx.TimeoutException):
            return _failed(f"no answer within {self._seconds:g} s")
        except Unreachable as error:
            return _failed(str(error))
        except Exception as error:  # whatever a receiver provokes: the attempt has failed, and its outcome is stored
            return _failed(f"{type(error).__name__}: {error}")


def _failed(reason: str) -> Posted:
    return Posted(Outcome(status=None, answer=None, error=_printable(reason)))


def _posted(response: httpx.Response, beginning: bytes) -> Posted:
    answer = _printable(beginning.decode("utf-8", "replace"))
    error = None
    if response.is_redirect:
        error = f"the answer is a redirection ({response.status_code}), which is not followed; change the URL"
    elif not response.is_success:
        error = f"the answer has the status {response.status_code}; expected 2xx"
    pause = 0.0 if error is None else _retry_after(response.headers.get("Retry-After", ""))
    return Posted(Outcome(status=response.status_code, answer=answer, error=error), pause)


async def _beginning(response: httpx.Response) -> bytes:
    """Return the first bytes of a body that arrive in time; the rest is not read."""
    read = bytearray()
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) >= MAX_ANSWER_BYTES:
                    break
    return bytes(read[:MAX_ANSWER_BYTES])


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:MAX_ANSWER_LENGTH])


def _retry_after(value: str) -> float:
    """Return the pause in seconds that the header Retry-After asks for."""
    if value.isascii() and value.isdecimal():
        seconds = float(value[:9])
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), MAX_PAUSE_SECONDS)
