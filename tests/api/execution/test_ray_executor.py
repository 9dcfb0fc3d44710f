"""The Ray executor on a server that does not answer, answers wrongly, or does not know a worker; no cluster is needed.

The contract and whole jobs run on real clusters (`test_executor_contract`, `test_ray_jobs`). Here, a server with the
paths of Ray's Jobs API says what a cluster says only after minutes, or after it was cut off.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from api.execution import ray_executor
from api.execution.executor import ALREADY_BEGUN, Attempt, ExecutorUnavailable, Handle
from api.execution.job_share import JobShare
from api.execution.ray_executor import RayExecutor
from api.execution.worker_command import environment_elsewhere, options_elsewhere, settings_of_worker
from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.database import Store
from network.errors import RequestError
from tests.api.ray_cluster import free_ports

ATTEMPT = Attempt("job", 1)
HANDLE = Handle("job-1")
REQUEST = {"kind": "sensitivity", "network_id": "0" * 64, "dataset": "digits"}
GONE_SECONDS = 0.3
URL = "postgresql+psycopg://bitbudget:secret@host/jobs"


class Scripted:
    """What a cluster says about its submissions, by their identifiers; it keeps those that it gets."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.stopped: list[str] = []
        self.submitted: list[dict[str, Any]] = []

    def says(self, status: str, exit_code: int | None = None, error_type: str | None = None) -> None:
        self.known[HANDLE] = {
            "submission_id": HANDLE, "status": status, "message": "a reason\nand more", "error_type": error_type,
            "driver_exit_code": exit_code, "metadata": {"bitbudget_job": ATTEMPT.job_id},
        }  # fmt: skip

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        name = path.removeprefix("/api/jobs/").removesuffix("/stop")
        if method == "POST" and not name:
            self.submitted.append(json.loads(body))
            self.says("PENDING")
            return 200, {"submission_id": HANDLE}
        if not name:
            return 200, list(self.known.values())
        if name not in self.known:
            return 404, f"Job {name} does not exist"
        if method == "POST":
            self.stopped.append(name)
        if method == "DELETE":
            del self.known[name]
        return 200, self.known.get(name, {})


@pytest.fixture
def scripted() -> Iterator[tuple[Scripted, str]]:
    cluster = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, document = cluster.answer(self.command, self.path, body)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815  # names that the server looks for

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield cluster, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(Settings(data_directory=tmp_path).database)
    assert opened.add_job(ATTEMPT.job_id, REQUEST, None)
    assert opened.change_job(ATTEMPT.job_id, [JobState.QUEUED], state=JobState.RUNNING, attempt=ATTEMPT.number)
    yield opened
    opened.close()


@pytest.fixture
def opened(
    scripted: tuple[Scripted, str], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[RayExecutor, Scripted]]:
    monkeypatch.setattr(ray_executor, "GONE_SECONDS", GONE_SECONDS)
    monkeypatch.setattr(ray_executor, "_FRESH_SECONDS", 0.0)
    cluster, url = scripted
    executor = RayExecutor(Settings(data_directory=tmp_path, executor="ray", ray_address=url), closing_seconds=0.0)
    yield executor, cluster
    executor.close()


def silent_from_now(executor: RayExecutor, give_sign: Callable[[], object]) -> None:
    """Check that a worker is alive as long as it gives signs, and gone some time after the last one."""
    ends_at = time.monotonic() + 2 * GONE_SECONDS
    while time.monotonic() < ends_at:
        give_sign()
        assert executor.is_alive(HANDLE)
        time.sleep(GONE_SECONDS / 10)
    silent_at = time.monotonic()
    while executor.is_alive(HANDLE):
        assert time.monotonic() < silent_at + 20 * GONE_SECONDS
        time.sleep(GONE_SECONDS / 10)
    assert time.monotonic() >= silent_at + GONE_SECONDS / 2
    assert not executor.is_alive(HANDLE)


@pytest.mark.parametrize("lost", ["forgotten", "node lost", "begun elsewhere"])
def test_a_worker_of_which_ray_has_lost_sight_lives_as_long_as_it_gives_signs(
    opened: tuple[RayExecutor, Scripted], store: Store, lost: str
) -> None:
    executor, cluster = opened
    assert executor.start(ATTEMPT) == HANDLE
    assert store.begin_attempt(ATTEMPT.job_id, ATTEMPT.number)
    if lost == "forgotten":
        cluster.known.clear()
    elif lost == "node lost":
        cluster.says("FAILED", error_type="JOB_SUPERVISOR_ACTOR_DIED")
    else:
        cluster.says("FAILED", exit_code=ALREADY_BEGUN, error_type="JOB_ENTRYPOINT_COMMAND_ERROR")
    assert executor.find(ATTEMPT) == HANDLE
    assert executor.start(ATTEMPT) == HANDLE
    assert len(cluster.submitted) == 1, "an attempt that has begun is not submitted again"
    silent_from_now(executor, lambda: store.change_job(ATTEMPT.job_id, [JobState.RUNNING], heartbeat_at=time.time()))
    executor.forget(HANDLE)
    assert cluster.known == {}
    assert executor.find(ATTEMPT) == HANDLE
    assert not executor.is_alive(HANDLE), "it stays gone"


def test_of_two_workers_of_one_attempt_one_begins(store: Store) -> None:
    assert store.begin_attempt(ATTEMPT.job_id, ATTEMPT.number)
    assert not store.begin_attempt(ATTEMPT.job_id, ATTEMPT.number)
    assert not store.begin_attempt(ATTEMPT.job_id, ATTEMPT.number + 1)


def test_a_known_exit_is_believed_at_once(opened: tuple[RayExecutor, Scripted], store: Store) -> None:
    executor, cluster = opened
    executor.start(ATTEMPT)
    assert store.begin_attempt(ATTEMPT.job_id, ATTEMPT.number)
    cluster.says("FAILED", exit_code=-9, error_type="JOB_ENTRYPOINT_COMMAND_ERROR")
    assert not executor.is_alive(HANDLE)
    assert executor.ending(HANDLE) == "signal 9, SIGKILL"


def test_a_submission_that_ray_gave_up_waits_again(opened: tuple[RayExecutor, Scripted]) -> None:
    """Ray lets it fail after 15 minutes without room; it must not count as a crash."""
    executor, cluster = opened
    executor.start(ATTEMPT)
    cluster.says("FAILED", error_type="JOB_SUPERVISOR_ACTOR_START_TIMEOUT")
    assert executor.is_alive(HANDLE)
    assert len(cluster.submitted) == 2
    assert cluster.known[HANDLE]["status"] == "PENDING"


def test_a_job_in_the_queue_of_the_cluster_is_gone_as_soon_as_it_is_stopped(
    opened: tuple[RayExecutor, Scripted],
) -> None:
    executor, cluster = opened
    executor.start(ATTEMPT)
    executor.ask_to_end(HANDLE)
    assert cluster.stopped == [HANDLE]
    assert not executor.is_alive(HANDLE)
    executor.forget(HANDLE)
    assert HANDLE in cluster.known, "Ray deletes only what has ended"
    cluster.says("STOPPED")
    executor.forget(Handle("other-1"))
    assert HANDLE not in cluster.known


def test_what_an_earlier_service_has_left_is_deleted(
    scripted: tuple[Scripted, str], store: Store, tmp_path: Path
) -> None:
    cluster, url = scripted
    settings = Settings(data_directory=tmp_path, executor="ray", ray_address=url)
    cluster.says("SUCCEEDED", exit_code=0)
    RayExecutor(settings).close()
    assert HANDLE in cluster.known, "its job is not settled"
    store.change_job(ATTEMPT.job_id, [JobState.RUNNING], state=JobState.FAILED)
    RayExecutor(settings).close()
    assert cluster.known == {}


def test_a_cluster_that_does_not_answer_is_unavailable_and_the_service_starts(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings = Settings(data_directory=tmp_path, executor="ray", ray_address=f"http://127.0.0.1:{port}")
    executor = RayExecutor(settings)
    for call in (executor.start, executor.find):
        with pytest.raises(ExecutorUnavailable, match="does not answer"):
            call(ATTEMPT)
    for ask in (executor.is_alive, executor.ask_to_end, executor.kill):
        with pytest.raises(ExecutorUnavailable, match="does not answer"):
            ask(HANDLE)
    assert executor.last_output(ATTEMPT) == ""
    executor.forget(HANDLE)
    executor.close()


def test_something_else_than_ray_is_unavailable(
    opened: tuple[RayExecutor, Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, cluster = opened
    monkeypatch.setattr(cluster, "answer", lambda *_: (200, "<html>"))
    with pytest.raises(ExecutorUnavailable, match="check --ray-address"):
        executor.find(ATTEMPT)
    monkeypatch.setattr(cluster, "answer", lambda *_: (500, "no agent"))
    with pytest.raises(ExecutorUnavailable, match="answered 500"):
        executor.start(ATTEMPT)


def test_an_address_is_needed(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="--ray-address"):
        RayExecutor(Settings(data_directory=tmp_path, executor="ray"))


def test_secrets_do_not_reach_a_cluster_and_workers_ask_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"database_url": URL, "ray_token": "t0ken"}
    settings = Settings(data_directory=tmp_path, store_url="s3://bucket/jobs", max_dataset_bytes=5, **secrets)  # type: ignore[arg-type]  # of two types
    shown = environment_elsewhere(settings, JobShare(3, 0, None, True))
    assert not {URL, "t0ken"} & set(shown.values())
    assert shown["BITBUDGET_STORE"] == "s3://bucket/jobs"
    assert shown["OMP_NUM_THREADS"] == "3"
    assert options_elsewhere(settings) == ["--needs=BITBUDGET_DATABASE"]
    for name, value in shown.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="no BITBUDGET_DATABASE"):
        settings_of_worker(["BITBUDGET_DATABASE"])
    monkeypatch.setenv("BITBUDGET_DATABASE", URL)
    found = settings_of_worker(["BITBUDGET_DATABASE"])
    assert found == settings.model_copy(update={"ray_token": None})
