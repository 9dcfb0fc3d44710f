"""Limit on the requests of each key: a token bucket in memory.

A bucket holds the requests of one minute and is filled evenly, so that a pipeline may send many at once, and in the
long run no more than the limit.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

from api.errors import RateLimited

_MAX_BUCKETS: Final = 10_000
"""Number of callers whose buckets are kept; the one that was used least recently is forgotten, and full again."""


class RateLimits:
    """Token buckets of all callers, on the event loop of the service.

    Args:
        requests_per_minute: Number of requests that a caller may send in a minute; None for no limit.
    """

    def __init__(self, requests_per_minute: int | None) -> None:
        self._limit = requests_per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, now: float) -> None:
        """Take one request from the bucket of a caller.

        Args:
            caller: Identifier of the caller's key.
            now: Time in seconds of a clock that only grows.

        Raises:
            RateLimited: If the bucket is empty.
        """
        if self._limit is None:
            return
        left, since = self._buckets.pop(caller, (float(self._limit), now))
        left = min(self._limit, left + (now - since) * self._limit / 60)
        is_allowed = left >= 1
        self._buckets[caller] = (left - 1 if is_allowed else left, now)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        if not is_allowed:
            seconds = max(1, math.ceil((1 - left) * 60 / self._limit))
            raise RateLimited(
                f"the caller has sent more than {self._limit} requests in a minute; send the request again after "
                f"{seconds} s",
                seconds,
            )
