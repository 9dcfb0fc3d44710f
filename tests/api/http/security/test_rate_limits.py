"""Token buckets, compared with a count of what a bucket has been given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import RateLimited
from api.http.security.rate_limits import RateLimits


def is_taken(limits: RateLimits, caller: str, now: float) -> bool:
    try:
        limits.take(caller, now)
    except RateLimited:
        return False
    return True


@given(
    limit=st.integers(1, 20),
    waits=st.lists(st.floats(0, 40), min_size=1, max_size=60),
)
def test_no_window_has_more_requests_than_a_full_bucket_and_its_filling(limit: int, waits: list[float]) -> None:
    limits, now = RateLimits(limit), 0.0
    taken: list[float] = []
    for wait in waits:
        now += wait
        if is_taken(limits, "key", now):
            taken.append(now)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= limit + (taken[last] - begin) * limit / 60 + 1e-6


@given(limit=st.integers(1, 1000), now=st.floats(0, 1e6))
def test_after_the_stated_time_a_request_is_allowed(limit: int, now: float) -> None:
    limits = RateLimits(limit)
    assert all(is_taken(limits, "key", now) for _ in range(limit))
    with pytest.raises(RateLimited) as refused:
        limits.take("key", now)
    seconds = int(refused.value.headers["Retry-After"])
    assert 1 <= seconds <= 60
    assert f"send the request again after {seconds} s" in str(refused.value)
    assert is_taken(limits, "another key", now), "each caller has a bucket of its own"
    assert is_taken(limits, "key", now + seconds + 1e-3)


def test_without_a_limit_nothing_is_refused_or_kept() -> None:
    limits = RateLimits(None)
    assert all(is_taken(limits, "key", 0.0) for _ in range(10_000))
    assert limits._buckets == {}


def test_the_buckets_are_bounded() -> None:
    limits = RateLimits(1)
    for number in range(10_100):
        limits.take(str(number), 0.0)
    assert len(limits._buckets) == 10_000
    assert not is_taken(limits, "10099", 0.0)
