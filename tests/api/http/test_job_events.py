"""Events and logs of jobs over HTTP: order, resumption, ends, and many streams at the same time."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any, Final

import httpx
import pytest

from api.http import event_feed
from api.http.ranges import part_of
from api.http.service import Service
from api.schemas.job_events import EVENTS
from api.schemas.job_state import JobState
from tests.api.http.test_observation import metrics_of
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.local_service import local_service
from tests.api.small_files import tiny_dataset, tiny_json

REQUEST: Final = {"kind": "sensitivity", "network_id": "0" * 64, "dataset": "digits"}
RUNNING, SUCCEEDED, FAILED = JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED
Event = dict[str, Any]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, httpx.Client]]:
    with local_service(tmp_path_factory.mktemp("events") / "data") as service:
        service[0].scheduler.stop()  # the tests change the jobs themselves
        yield service


def events_in(lines: Iterator[str]) -> Iterator[Event]:
    event: Event = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and "data" in event:
            yield event
            event = {}
        elif name in {"id", "event", "data"}:
            event[name] = json.loads(value) if name != "event" else value


def read(client: httpx.Client, job_id: str, after: int | None = None) -> list[Event]:
    """Return all events of a stream until it ends."""
    headers = {} if after is None else {"last-event-id": str(after)}
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=30) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events_in(response.iter_lines()))


class Reader(Thread):
    """Stream of events in a thread, with the events that it has got."""

    def __init__(self, client: httpx.Client, job_id: str) -> None:
        super().__init__()
        self.events: list[Event] = []
        self._of = (client, job_id)
        self.start()

    def run(self) -> None:
        client, job_id = self._of
        with client.stream("GET", f"/v1/jobs/{job_id}/events", timeout=30) as response:
            self.events.extend(events_in(response.iter_lines()))

    def end(self) -> list[Event]:
        self.join(30)
        assert not self.is_alive()
        return self.events


def started(service: Service, job_id: str) -> None:
    service.store.add_job(job_id, REQUEST, None)
    service.store.change_job(job_id, [JobState.QUEUED], state=RUNNING, attempt=1)


def until(condition: Any) -> None:
    give_up_at = time.monotonic() + 20
    while not condition() and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert condition()


def test_the_data_of_events_is_as_described(service: LiveService) -> None:
    network_id = service.upload_network(tiny_json())
    job_id = service.start_job(kind="fit", network_id=network_id, flash="60kB", ram="9kB")
    assert service.finished(job_id)["state"] == "succeeded"
    events = read(service.http, job_id)
    assert {event["event"] for event in events} == set(EVENTS)
    for event in events:
        described = EVENTS[event["event"]].model_validate_json(json.dumps(event["data"]))
        assert described.model_dump(mode="json").keys() == event["data"].keys()


def test_a_stream_has_every_event_once_and_ends_with_the_job(opened: tuple[Service, httpx.Client]) -> None:
    service, client = opened
    started(service, "a")
    service.store.change_job("a", [RUNNING], progress={"phase": "before"})
    reader = Reader(client, "a")
    until(lambda: service.events.streams == 1)
    for step in range(20):
        service.store.change_job("a", [RUNNING], progress={"step": step})
        time.sleep(0.02)
    service.store.change_job("a", [RUNNING], state=SUCCEEDED)
    events = reader.end()
    assert [each["event"] for each in events] == ["state", "state", *["progress"] * 21, "state"]
    assert [each["data"]["step"] for each in events[3:-1]] == list(range(20))
    assert [each["data"]["state"] for each in events if each["event"] == "state"] == ["queued", "running", "succeeded"]
    assert [each["id"] for each in events] == sorted({each["id"] for each in events})
    assert all(each["data"]["created_at"].endswith("+00:00") for each in events)
    assert read(client, "a") == events
    until(lambda: service.events.streams == 0)


def test_a_stream_continues_behind_the_last_event(opened: tuple[Service, httpx.Client]) -> None:
    service, client = opened
    started(service, "b")
    service.store.change_job("b", [RUNNING], state=FAILED)
    events = read(client, "b")
    assert read(client, "b", after=events[0]["id"]) == events[1:]
    done = client.get("/v1/jobs/b/events", headers={"last-event-id": str(events[-1]["id"])})
    assert (done.status_code, done.content) == (204, b"")
    for wrong in ("-1", "x"):
        assert_problem(client.get("/v1/jobs/b/events", headers={"last-event-id": wrong}), 422, "invalid-request")
    assert_problem(client.get("/v1/jobs/missing/events"), 404, "not-found")


def test_a_job_that_is_queued_again_goes_on(opened: tuple[Service, httpx.Client]) -> None:
    service, client = opened
    started(service, "c")
    service.store.change_job("c", [RUNNING], state=FAILED)
    service.store.change_job("c", [FAILED], state=JobState.QUEUED)
    reader = Reader(client, "c")
    until(lambda: service.events.streams == 1)
    service.store.change_job("c", [JobState.QUEUED], state=JobState.CANCELLED)
    states = [each["data"]["state"] for each in reader.end()]
    assert states == ["queued", "running", "failed", "queued", "cancelled"]


def test_a_stream_ends_when_its_job_is_deleted(opened: tuple[Service, httpx.Client]) -> None:
    service, client = opened
    started(service, "d")
    reader = Reader(client, "d")
    until(lambda: service.events.streams == 1)
    service.store.change_job("d", [RUNNING], state=JobState.CANCELLED)
    service.store.delete_job("d")
    assert reader.end()[0]["data"]["state"] == "queued"


def test_a_slow_stream_reads_the_rest_from_the_database(
    opened: tuple[Service, httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, client = opened
    monkeypatch.setattr(event_feed, "WAITING_EVENTS", 3)
    started(service, "e")
    reader = Reader(client, "e")
    until(lambda: service.events.streams == 1)
    for step in range(60):
        service.store.change_job("e", [RUNNING], progress={"step": step})
    service.store.change_job("e", [RUNNING], state=SUCCEEDED)
    steps = [each["data"]["step"] for each in reader.end() if each["event"] == "progress"]
    assert steps == list(range(60))


def test_a_pause_has_comments(opened: tuple[Service, httpx.Client], monkeypatch: pytest.MonkeyPatch) -> None:
    service, client = opened
    monkeypatch.setattr("api.http.handlers.job_events.PAUSE_SECONDS", 0.05)
    started(service, "f")
    with client.stream("GET", "/v1/jobs/f/events") as response:
        lines = response.iter_lines()
        while not next(lines).startswith(":"):
            pass
    service.store.change_job("f", [RUNNING], state=JobState.CANCELLED)
    until(lambda: service.events.streams == 0)


def test_head_does_not_wait_for_events(opened: tuple[Service, httpx.Client]) -> None:
    service, client = opened
    started(service, "g")
    response = client.head("/v1/jobs/g/events", timeout=5)
    assert (response.status_code, response.content) == (200, b"")
    service.store.change_job("g", [RUNNING], state=JobState.CANCELLED)
    until(lambda: service.events.streams == 0)


def test_many_streams_cost_one_poller(opened: tuple[Service, httpx.Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """While 40 streams of 8 jobs wait, the database is asked once a turn, and other requests are answered at once."""
    service, client = opened
    names = [f"many-{number}" for number in range(8)]
    for name in names:
        started(service, name)
    many = httpx.Client(base_url=client.base_url, limits=httpx.Limits(max_connections=None))
    readers = [Reader(many, name) for name in names for _ in range(5)]
    until(lambda: service.events.streams == 40 and not [job for job in watched(service) if job.last_number is None])
    asked: list[int] = []
    original = service.store.last_events_of_any_project

    def counted(job_ids: Any) -> dict[str, int | None]:
        asked.append(len(job_ids))
        return original(job_ids)

    monkeypatch.setattr(service.store, "last_events_of_any_project", counted)
    monkeypatch.setattr(service.store, "events", None)  # no stream reads while nothing happens
    began = time.monotonic()
    until(lambda: len(asked) >= 4)
    assert set(asked) == {8}
    assert time.monotonic() - began >= 3 * event_feed.POLL_SECONDS
    assert client.get("/", timeout=5).is_success
    assert metrics_of(client)["bitbudget_streams", ()] == 40
    monkeypatch.undo()
    for name in names:
        service.store.change_job(name, [RUNNING], state=SUCCEEDED)
    for reader in readers:
        assert [each["data"]["state"] for each in reader.end()] == ["queued", "running", "succeeded"]
    many.close()


def watched(service: Service) -> list[Any]:
    return list(service.events._watched.values())


def test_a_service_that_ends_does_not_wait_for_streams(tmp_path: Path) -> None:
    data = tmp_path / "data"
    service = LiveService(data)
    network_id = service.upload_network(tiny_json())
    job_id = service.start_job(
        network_id=network_id, dataset=service.upload_dataset(tiny_dataset()),
        flash=400, ram=60, method="mixpc", accounting="paper", training={"epochs": 10_000, "threads": 1},
    )  # fmt: skip
    with httpx.Client(base_url=service.url) as many:
        readers = [Reader(many, job_id) for _ in range(10)]
        until(lambda: metrics_of(service.http)["bitbudget_streams", ()] == 10)
        service.end(signal.SIGTERM)
        for reader in readers:
            assert reader.end()[0]["data"]["state"] == "queued"
    assert "graceful shutdown exceeded" not in data.with_suffix(".log").read_text()


def test_the_log_of_a_job_is_served_in_parts(opened: tuple[Service, httpx.Client]) -> None:
    service, client = opened
    started(service, "logged")
    assert client.get("/v1/jobs/logged/log").content == b""
    folder = service.settings.jobs_directory / "logged"
    folder.mkdir()
    content = "first line\nü second\n".encode()
    (folder / "log.txt").write_bytes(content)
    whole = client.get("/v1/jobs/logged/log")
    assert (whole.content, whole.headers["content-type"]) == (content, "text/plain; charset=utf-8")
    end = client.get("/v1/jobs/logged/log", headers={"range": "bytes=-7"})
    assert (end.status_code, end.content) == (206, content[-7:])
    assert end.headers["content-range"] == f"bytes {len(content) - 7}-{len(content) - 1}/{len(content)}"
    assert_problem(client.get("/v1/jobs/logged/log", headers={"range": "bytes=999-"}), 416, "range-not-satisfiable")
    assert_problem(client.get("/v1/jobs/missing/log"), 404, "not-found")


@pytest.mark.parametrize("asked", ["0-3", "5-", "-2", "-50", "2-999", "0-1,4-5", "nonsense"])
def test_a_part_of_a_content_is_that_of_the_file(asked: str) -> None:
    content = b"0123456789"
    expected = {"0-3": content[:4], "5-": content[5:], "-2": content[-2:], "2-999": content[2:]}
    assert part_of(content, f"bytes={asked}")[0] == expected.get(asked, content)
