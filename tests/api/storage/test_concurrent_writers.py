"""Several services and workers on one database: each change has one winner, and no reader misses an event."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any, TypeVar

import pytest

from api.schemas.job_state import JobState
from api.storage.database import Store
from api.storage.records import KeptFile

WRITERS = 4
PATIENCE_SECONDS = 30
JOBS = [f"job{number}" for number in range(12)]
Result = TypeVar("Result")


@pytest.fixture
def stores(database_url: str) -> Iterator[tuple[Store, ...]]:
    """Two opened databases, as in two services, that were created at the same moment."""
    opened = at_once(lambda _: Store(database_url), 2)
    yield tuple(opened)
    for store in opened:
        store.close()


def at_once(action: Callable[[int], Result], writers: int = WRITERS) -> list[Result]:
    """Call a function in several threads, which all begin at the same moment."""
    together = Barrier(writers)

    def act(number: int) -> Result:
        together.wait(PATIENCE_SECONDS)
        return action(number)

    with ThreadPoolExecutor(writers) as pool:
        return list(pool.map(act, range(writers)))


def test_each_job_is_started_by_one_service(stores: tuple[Store, ...]) -> None:
    for job_id in JOBS:
        stores[0].add_job(job_id, {}, None)

    def start(writer: int) -> list[str]:
        store = stores[writer % 2]
        values: dict[str, Any] = {"state": JobState.RUNNING, "attempt": 1, "lease_owner": f"service{writer}"}
        return [id_ for id_ in JOBS if store.change_job_of_any_project(id_, [JobState.QUEUED], **values)]

    started = at_once(start)
    assert Counter(job_id for each in started for job_id in each) == Counter(JOBS)
    owners = {job.id: job.lease_owner for job in stores[0].jobs()}
    assert owners == {job_id: f"service{writer}" for writer, mine in enumerate(started) for job_id in mine}
    for job_id in JOBS:
        assert [event.data["state"] for event in stores[1].events(job_id)] == ["queued", "running"]


def test_of_a_cancellation_and_a_success_one_wins(stores: tuple[Store, ...]) -> None:
    ends = (JobState.CANCELLING, JobState.SUCCEEDED)

    def end(job_id: str, writer: int) -> bool:
        return stores[writer].change_job(job_id, [JobState.RUNNING], state=ends[writer])

    for job_id in JOBS:
        stores[0].add_job(job_id, {}, None)
        stores[0].change_job(job_id, [JobState.QUEUED], state=JobState.RUNNING)
        won = at_once(partial(end, job_id), 2)
        assert sorted(won) == [False, True]
        job = stores[0].job(job_id)
        assert job is not None
        assert job.state == ends[won.index(True)]


def test_one_request_of_several_with_the_same_key_makes_a_job(stores: tuple[Store, ...]) -> None:
    def add(key: str, writer: int) -> bool:
        return stores[writer % 2].add_job(f"{key}/{writer}", {}, key)

    for key in JOBS:
        added = at_once(partial(add, key))
        assert sorted(added) == [False, False, False, True]
        with_key = stores[0].job_with_key(key)
        assert with_key is not None
        assert with_key.id == f"{key}/{added.index(True)}"
    assert len(stores[0].jobs()) == len(JOBS)


def test_a_lease_that_has_expired_is_taken_by_one_service(stores: tuple[Store, ...]) -> None:
    def take(job_id: str, writer: int) -> bool:
        return stores[writer % 2].take_lease(job_id, f"service{writer}", 60)

    for job_id in JOBS:
        stores[0].add_job(job_id, {}, None)
        stores[0].change_job(job_id, [JobState.QUEUED], state=JobState.RUNNING, lease_owner="dead", lease_until=1.0)
        assert sorted(at_once(partial(take, job_id))) == [False, False, False, True]


def test_a_file_is_added_once(stores: tuple[Store, ...]) -> None:
    file = KeptFile(kind="network", id="f", name="n", size_bytes=1, created_at=1.0, summary={})
    assert sorted(at_once(lambda writer: stores[writer % 2].add_file(file))) == [False, False, False, True]


def test_a_reader_that_follows_the_events_misses_none(stores: tuple[Store, ...]) -> None:
    """The last thread reads, while the others, in two services, write events of the same two jobs."""
    for job_id in ("a", "b"):
        stores[0].add_job(job_id, {}, None)
    lines = 25

    def act(writer: int) -> list[int]:
        if writer < WRITERS - 1:
            for line in range(lines):
                stores[writer % 2].add_event("ab"[line % 2], "log", {"writer": writer, "line": line})
            return []
        seen: list[int] = []
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while len(seen) < 1 + (WRITERS - 1) * (lines + 1) // 2 and time.monotonic() < give_up_at:
            new = stores[0].events("a", after_number=seen[-1] if seen else 0)
            seen += [event.number for event in new]
        return seen

    seen = at_once(act)[-1]
    assert seen == [event.number for event in stores[1].events("a")]
