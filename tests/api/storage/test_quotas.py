"""Quotas: exactly what is allowed passes, whoever counts at the same moment, on both kinds of database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest

from api.schemas.job_state import JobState
from api.storage.database import Store
from api.storage.database.quotas import UNLIMITED, Limits, OwnLimits, QueueLimit, QuotaExceeded, Usage
from api.storage.records import KeptFile

Result = TypeVar("Result")


def kept(file_id: str, size_bytes: int, kind: str = "dataset") -> KeptFile:
    return KeptFile(kind=kind, id=file_id, name="n", size_bytes=size_bytes, created_at=1.0, summary={"a": "b" * 1000})


def at_once(action: Callable[[int], Result], writers: int) -> list[Result]:
    together = Barrier(writers)

    def act(number: int) -> Result:
        together.wait(30)
        return action(number)

    with ThreadPoolExecutor(writers) as pool:
        return list(pool.map(act, range(writers)))


def test_of_twenty_uploads_at_once_exactly_the_allowed_number_passes(database_url: str) -> None:
    stores = [Store(database_url) for _ in range(2)]  # as in two services
    limits = Limits(max_bytes=70)

    def add(number: int) -> bool | dict[str, int]:
        try:
            return stores[number % 2].add_file(kept(f"f{number}", 10), limits)
        except QuotaExceeded as refused:
            return dict(refused.members)

    added = at_once(add, 20)
    assert added.count(True) == 7
    assert added.count({"used_bytes": 70, "allowed_bytes": 70}) == 13
    assert stores[0].usage() == Usage(0, 0, 7, 70, 0, 0, 0)
    other = stores[0].of_project("other")
    assert other.add_file(kept("f0", 70), limits), "each project has its own quota, also for shared content"
    for store in stores:
        store.close()


def test_of_twenty_jobs_at_once_exactly_the_allowed_number_waits(database_url: str) -> None:
    stores = [Store(database_url) for _ in range(2)]
    limits = Limits(max_queued_jobs=3)

    def add(number: int) -> bool:
        try:
            return stores[number % 2].add_job(f"job{number}", {}, f"key{number}", defaults=limits)
        except QueueLimit:
            return False

    added = at_once(add, 20)
    assert sum(added) == 3
    first = f"job{added.index(True)}"
    refused = added.index(False)
    assert stores[0].idempotency(f"key{refused}") is None, "a refused job keeps no key"
    assert stores[0].change_job(first, [JobState.QUEUED], state=JobState.RUNNING)
    assert add(refused), "a job that runs does not wait"
    assert stores[0].change_job(first, [JobState.RUNNING], state=JobState.QUEUED), "a crash queues without a limit"
    assert stores[0].change_job(first, [JobState.QUEUED], state=JobState.CANCELLED)
    with pytest.raises(QueueLimit):
        stores[0].change_job(first, [JobState.CANCELLED], state=JobState.QUEUED, defaults=limits)
    for store in stores:
        store.close()


def test_what_is_stored_already_costs_nothing(store: Store) -> None:
    limits = Limits(max_bytes=10)
    assert store.add_file(kept("f", 10), limits)
    assert not store.add_file(kept("f", 10), limits), "no QuotaExceeded: it is there already"
    with pytest.raises(QuotaExceeded, match="has 10 bytes and may have 10; the request needs 1 more"):
        store.add_file(kept("g", 1), limits)
    assert store.file("dataset", "g") is None
    with pytest.raises(QuotaExceeded):
        store.require_room(1, limits)
    with pytest.raises(QuotaExceeded):
        store.add_job("a", {}, None, defaults=limits)
    assert store.delete_file("dataset", "f"), "deleting always works"
    store.require_room(10, limits)
    assert store.add_job("a", {}, None, defaults=limits)


def test_artifacts_count_when_the_job_has_succeeded_and_no_longer_when_it_is_deleted(store: Store) -> None:
    limits = Limits(max_bytes=10)
    assert store.add_job("a", {}, None, defaults=limits)
    store.change_job("a", [JobState.QUEUED], state=JobState.RUNNING)
    artifacts = [{"name": str(number), "size_bytes": 2**33, "sha256": ""} for number in range(2)]
    assert store.change_job("a", [JobState.RUNNING], state=JobState.SUCCEEDED, artifacts=artifacts)
    assert store.usage() == Usage(0, 0, 0, 0, 1, 0, 2**34)
    with pytest.raises(QuotaExceeded):
        store.add_file(kept("f", 1), limits)
    assert store.delete_job("a")
    assert store.add_file(kept("f", 1), limits)


def test_a_project_has_its_own_limits_or_those_of_the_settings(store: Store) -> None:
    defaults = Limits(max_bytes=10, max_queued_jobs=1, retention_days=5)
    assert store.own_limits().over(defaults) == defaults
    store.set_limits(max_bytes=20, retention_days=UNLIMITED)
    assert store.own_limits() == OwnLimits("default", 20, None, UNLIMITED)
    assert store.own_limits().over(defaults) == Limits(max_bytes=20, max_queued_jobs=1, retention_days=None)
    store.set_limits(max_bytes=UNLIMITED)
    assert store.own_limits().over(defaults).max_bytes is None
    assert store.add_file(kept("f", 2**40), defaults)
    store.set_limits(max_bytes=None, retention_days=2.5)
    assert store.own_limits().over(defaults) == Limits(max_bytes=10, max_queued_jobs=1, retention_days=2.5)
    assert store.retention_of_all_projects() == {"default": 2.5}
    store.of_project("phones").set_limits(max_queued_jobs=7)
    assert store.names_of_all_projects() == ["default", "phones"]
