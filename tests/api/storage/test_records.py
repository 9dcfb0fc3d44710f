"""Records of files, jobs, events, API keys and idempotency keys, seen by their projects, on both kinds of database."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest

from api.schemas.job_state import JobState
from api.storage.database import Store, events, idempotency
from api.storage.records import ApiKey, Job, KeptFile, request_hash


def kept(file_id: str, created_at: float = 1.0, kind: str = "network") -> KeptFile:
    return KeptFile(kind=kind, id=file_id, name="n", size_bytes=3 * 2**31, created_at=created_at, summary={"a": [1]})


def job_of(store: Store, job_id: str) -> Job:
    job = store.job(job_id)
    assert job is not None
    return job


def test_a_lost_worker_cannot_change_the_job_of_a_later_attempt(store: Store) -> None:
    store.add_job("a", {}, None)
    store.change_job("a", [JobState.QUEUED], state=JobState.RUNNING, attempt=2)
    for number, expected in ((1, False), (2, True)):
        assert store.change_job("a", [JobState.RUNNING], of_attempt=number, progress={}) is expected


def test_one_project_never_sees_the_things_of_another(store: Store) -> None:
    other = store.of_project("other")
    assert other.project == "other"
    assert store.add_file(kept("f"))
    assert other.add_file(kept("g"))
    assert store.add_job("mine", {"network_id": "f"}, "key")
    assert other.add_job("theirs", {"network_id": "g"}, "key")
    assert other.add_event("theirs", "log", {"line": 1})

    assert [file.id for file in store.files("network")] == ["f"]
    assert [file.id for file in store.files_page("network", 10)] == ["f"]
    assert store.file("network", "g") is None
    assert not store.has_file("network", "g")
    assert not store.delete_file("network", "g")
    assert [job.id for job in store.jobs()] == ["mine"]
    assert [job.id for job in store.jobs_page()] == ["mine"]
    assert sum(store.count_jobs().values()) == 1
    assert store.job("theirs") is None
    assert store.events("theirs") == []
    assert not store.add_event("theirs", "log", {})
    assert not store.change_job("theirs", [JobState.QUEUED], state=JobState.CANCELLED)
    assert other.change_job("theirs", [JobState.QUEUED], state=JobState.CANCELLED)
    assert not store.delete_job("theirs")
    for view, job_id in ((store, "mine"), (other, "theirs")):
        with_key = view.job_with_key("key")
        assert with_key is not None
        assert with_key.id == job_id

    assert {job.id: job.project for job in store.jobs_of_all_projects()} == {"mine": "default", "theirs": "other"}
    assert sum(store.count_jobs_of_all_projects().values()) == 2
    theirs = store.job_of_any_project("theirs")
    assert theirs is not None
    assert theirs.project == "other"
    assert store.change_job_of_any_project("theirs", [JobState.CANCELLED], crashes=1)


def test_projects_share_the_content_of_a_file_until_the_last_record_is_deleted(store: Store) -> None:
    other = store.of_project("other")
    assert store.add_file(kept("f"))
    assert not store.add_file(kept("f"))
    assert other.add_file(replace(kept("f"), name="m"))
    assert other.add_job("a", {"network_id": "f"}, None)
    assert store.delete_file("network", "f")  # the job of the other project has its own record
    assert store.has_file_in_any_project("network", "f")
    assert not other.delete_file("network", "f")
    assert other.change_job("a", [JobState.QUEUED], state=JobState.FAILED)
    assert other.delete_file("network", "f")
    assert not store.has_file_in_any_project("network", "f")


def test_pages_of_files_have_each_file_once_newest_first(store: Store) -> None:
    moments = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 2.0, "e": 0.1 + 0.2, "f": 1795857716.1576154}
    for file_id, moment in moments.items():
        store.add_file(kept(file_id, moment))
        store.add_file(kept(file_id, moment, kind="dataset"))
    expected = sorted(moments, key=lambda each: (moments[each], each), reverse=True)
    assert [file.id for file in store.files("network")] == expected
    for limit in (1, 2, 4, 6, 7):
        found: list[str] = []
        before = None
        while True:
            page = store.files_page("network", limit, before)
            found += [file.id for file in page[:limit]]
            if len(page) <= limit:
                break
            before = (page[limit - 1].created_at, page[limit - 1].id)
        assert found == expected


def test_a_page_of_files_can_have_parts_of_summaries(store: Store) -> None:
    store.add_file(KeptFile("network", "f", "f", 1, 1.0, {"parameters": 7, "has_weights": True, "layers": [1, 2]}))
    (file,) = store.files_page("network", 1, None, ["parameters", "has_weights"])
    assert file.summary == {"parameters": 7, "has_weights": True}


def test_the_newest_event_of_each_job(store: Store) -> None:
    other = store.of_project("other")
    store.add_job("a", {}, None)
    other.add_job("b", {}, None)
    other.add_event("b", "log", {"line": 1})
    found = store.last_events_of_any_project(["a", "b", "missing"])
    assert found == {"a": store.events("a")[-1].number, "b": other.events("b")[-1].number}
    assert store.last_events_of_any_project([]) == {}


def test_pages_of_jobs_have_each_job_once_newest_first(store: Store) -> None:
    for number in range(7):
        store.add_job(f"j{number}", {}, None)
        store.of_project("other").add_job(f"o{number}", {}, None)
    for number in (1, 4):
        store.change_job(f"j{number}", [JobState.QUEUED], state=JobState.CANCELLED)
    queued = [f"j{number}" for number in (6, 5, 3, 2, 0)]
    for limit in (1, 2, 5):
        found: list[str] = []
        before = None
        while True:
            page = store.jobs_page([JobState.QUEUED], limit, before)
            found += [job.id for job in page[:limit]]
            if len(page) <= limit:
                break
            before = page[limit - 1].number
        assert found == queued


def test_changes_of_a_job_are_events(store: Store) -> None:
    store.add_job("a", {}, None, request_id="r-1")
    assert job_of(store, "a").request_id == "r-1"
    store.change_job("a", [JobState.QUEUED], state=JobState.RUNNING, attempt=1)
    store.change_job("a", [JobState.RUNNING], progress={"epoch": 1})
    store.add_event("a", "warning", {"message": "slow"})
    assert not store.change_job("a", [JobState.QUEUED], state=JobState.CANCELLED)  # not changed: not an event
    store.change_job("a", [JobState.RUNNING], state=JobState.FAILED, error={"title": "t"})
    found = store.events("a")
    assert [(event.kind, event.data) for event in found] == [
        ("state", {"state": "queued", "attempt": 0, "revision": 1}),
        ("state", {"state": "running", "attempt": 1, "revision": 2}),
        ("progress", {"epoch": 1}),
        ("warning", {"message": "slow"}),
        ("state", {"state": "failed", "attempt": 1, "revision": 4, "error": {"title": "t"}}),
    ]
    assert store.events("a", after_number=found[2].number) == found[3:]
    assert store.events("a", limit=2) == found[:2]
    assert store.delete_job("a")
    assert store.events("a") == []
    store.add_job("b", {}, None)
    assert store.events("b")[0].number > found[-1].number  # a number is not given out again


def test_progress_goes_first_if_a_job_has_too_many_events(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_EVENTS", 6)
    store.add_job("a", {}, None)
    store.add_job("b", {}, None)
    store.add_event("a", "log", {"line": 1})
    store.change_job("a", [JobState.QUEUED], state=JobState.RUNNING)
    for step in range(9):
        store.change_job("a", [JobState.RUNNING], progress={"step": step})
    assert [event.kind for event in store.events("a")] == ["state", "log", "state", *3 * ["progress"]]
    assert [event.data["step"] for event in store.events("a")[3:]] == [6, 7, 8]
    for line in range(2, 8):
        store.add_event("a", "log", {"line": line})
    kinds = [event.kind for event in store.events("a")]
    assert kinds == ["state", "state", *4 * ["log"]]
    assert len(store.events("b")) == 1


def test_signs_of_life_are_not_seen_by_callers(store: Store) -> None:
    store.add_job("a", {}, None)
    store.change_job("a", [JobState.QUEUED], state=JobState.RUNNING, lease_owner="s1", lease_until=5.0)
    before = job_of(store, "a")
    assert store.change_job("a", [JobState.RUNNING], of_owner="s1", heartbeat_at=3.5, progress_at=2.5)
    assert not store.change_job("a", [JobState.RUNNING], of_owner="s2", heartbeat_at=9.5)
    assert job_of(store, "a") == replace(before, heartbeat_at=3.5, progress_at=2.5)
    assert len(store.events("a")) == 2


def test_a_lease_belongs_to_one_service_at_a_time(store: Store) -> None:
    store.add_job("a", {}, None)
    assert not store.take_lease("a", "s1", 60)  # queued
    store.change_job("a", [JobState.QUEUED], state=JobState.RUNNING)
    assert store.take_lease("a", "s1", 60)
    assert not store.take_lease("a", "s2", 60)
    assert store.take_lease("a", "s1", -1)  # it has expired now
    assert store.take_lease("a", "s2", 60)
    assert not store.take_lease("a", "s1", 60)
    job = job_of(store, "a")
    assert job.lease_owner == "s2"
    assert job.lease_until == pytest.approx(time.time() + 60, abs=30)


def test_a_job_that_runs_again_is_not_finished(store: Store) -> None:
    store.add_job("a", {}, None)
    store.change_job("a", [JobState.QUEUED], state=JobState.FAILED, error={"title": "t"})
    assert job_of(store, "a").finished_at is not None
    store.change_job("a", [JobState.FAILED], state=JobState.QUEUED, error=None, retries=1)
    job = job_of(store, "a")
    assert (job.finished_at, job.error, job.retries) == (None, None, 1)


def test_an_idempotency_key_outlives_its_job_for_30_days(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.add_job("a", {"b": 1, "a": 2}, "key")
    assert not store.add_job("b", {"b": 1, "a": 2}, "key")
    store.change_job("a", [JobState.QUEUED], state=JobState.CANCELLED)
    assert store.delete_job("a")
    assert store.job_with_key("key") is None
    record = store.idempotency("key")
    assert record is not None
    assert (record.job_id, record.request_hash) == ("a", request_hash({"a": 2, "b": 1}))
    assert not store.add_job("c", {}, "key")
    monkeypatch.setattr(idempotency, "_oldest", lambda: record.created_at + 1)
    assert store.idempotency("key") is None
    assert store.add_job("d", {}, "key")


def test_api_keys_belong_to_a_project_and_are_found_in_all(store: Store) -> None:
    assert not store.has_api_keys_in_any_project()
    key = ApiKey(
        id="k1", project="other", name="CI", hash="h", scopes=["read", "solve"], created_at=1.0, expires_at=9.0,
        revoked_at=None, last_used_at=None,
    )  # fmt: skip
    assert store.add_api_key(key)
    assert not store.add_api_key(key)
    assert store.add_api_key(replace(key, id="k2", project="default", created_at=2.0))
    assert store.api_key_of_any_project("k1") == key
    assert store.api_key_of_any_project("k3") is None
    assert store.has_api_keys_in_any_project()
    assert [each.id for each in store.api_keys()] == ["k2"]
    assert [each.id for each in store.api_keys_of_all_projects()] == ["k1", "k2"]
    assert not store.revoke_api_key("k1", 5.0)  # of another project
    assert store.of_project("other").revoke_api_key("k1", 5.0)
    assert not store.of_project("other").revoke_api_key("k1", 6.0)
    store.note_api_key_use("k1", 7.0)
    assert store.api_key_of_any_project("k1") == replace(key, revoked_at=5.0, last_used_at=7.0)
    assert not store.limit_api_key("k1", 8.0)  # of another project
    assert store.of_project("other").limit_api_key("k1", 8.0)
    assert not store.of_project("other").limit_api_key("k1", 9.0)  # a key does not live longer
    assert store.api_key_of_any_project("k1") == replace(key, revoked_at=5.0, last_used_at=7.0, expires_at=8.0)


def test_any_text_and_any_number_of_a_request_can_be_stored(store: Store) -> None:
    odd = {"network_id": "f", "name": "NUL \0, lone \ud800, ä 漢 😀", "numbers": [math.nan, -math.inf, 1e308, 2**60]}
    assert store.add_job("a", odd, None)
    expected = odd | {"numbers": [None, None, 1e308, 2**60]}
    assert job_of(store, "a").request == expected
    assert list(job_of(store, "a").request) == list(odd)  # in the same order
    store.add_file(kept("f"))
    store.add_file(kept("g"))
    assert not store.delete_file("network", "f")
    assert store.delete_file("network", "g")
    store.change_job("a", [JobState.QUEUED], progress={"loss": (math.nan, 1.0)})
    assert job_of(store, "a").progress == store.events("a")[-1].data == {"loss": [None, 1.0]}
