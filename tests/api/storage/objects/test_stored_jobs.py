"""Jobs of a service with a store in S3: their checkpoints and artifacts outlive the machine on which they run."""

from __future__ import annotations

import hashlib
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.storage.database import Store
from tests.api.execution.test_crashes import job_request
from tests.api.live_service import Answer, LiveService, is_alive, kill
from tests.api.s3_server import S3Server, reaching


@pytest.fixture
def url(s3: S3Server) -> Iterator[str]:
    with reaching(s3):
        yield s3.new_store()


def contents(service: LiveService, job: Answer) -> dict[str, bytes]:
    """Return each artifact as the service answers it, and check it against its hash."""
    found = {}
    for artifact in job["artifacts"]:
        path = f"/v1/jobs/{job['id']}/artifacts/{artifact['name']}"
        answer = service.http.get(path)
        assert answer.status_code == 200, answer.text
        assert hashlib.sha256(answer.content).hexdigest() == artifact["sha256"]
        assert answer.headers["ETag"] == f'"{artifact["sha256"]}"'
        part = service.http.get(path, headers={"Range": "bytes=1-9"})
        assert (part.status_code, part.content) == (206, answer.content[1:10])
        head = service.http.head(path)
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(artifact["size_bytes"]))
        known = service.http.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert known.status_code == 304
        found[artifact["name"]] = answer.content
    return found


def epochs_of_last_attempt(data: Path, job_id: str) -> list[int]:
    store = Store(data / "bitbudget.sqlite")
    events = store.events(job_id, limit=10_000)
    store.close()
    last = max(number for number, event in enumerate(events) if event.data.get("state") == "running")
    return [event.data["epoch"] for event in events[last:] if event.data.get("phase") == "training"]


@pytest.mark.long
def test_a_job_continues_on_a_machine_that_has_the_database_and_the_store(
    tmp_path: Path, s3: S3Server, url: str
) -> None:
    first, second = tmp_path / "first" / "data", tmp_path / "second" / "data"
    for folder in (first.parent, second):
        folder.mkdir(parents=True)
    service = LiveService(first, f"--store={url}")
    request = job_request(service, epochs=150)
    job_id = service.start_job(**request)
    give_up_at = time.monotonic() + 60
    while not any(f"jobs/{job_id}/attempt-1/manifest.json" in name for name in s3.objects(url)):
        assert time.monotonic() < give_up_at, service.job(job_id)
        time.sleep(0.1)
    worker = service.worker(job_id)
    service.end(signal.SIGKILL)
    kill(worker)
    for path in first.glob("bitbudget.sqlite*"):
        shutil.copy(path, second)
    shutil.rmtree(first)
    with LiveService(second, f"--store={url}") as elsewhere:
        job = elsewhere.finished(job_id)
        assert job["state"] == "succeeded", job
        assert epochs_of_last_attempt(second, job_id)[0] > 0, "it did not begin again"
        found = contents(elsewhere, job)
        stored = s3.objects(url)
        own = {name: content for name, content in stored.items() if name.startswith("jobs/")}
        assert {name.split("/")[2] for name in own} == {"attempt-2"}
        assert {content for name, content in own.items() if "manifest" not in name} == set(found.values())
        assert not any("attempt-" in file for file in elsewhere.files())
        shutil.rmtree(second / "cache")
        assert contents(elsewhere, job) == found
        shutil.rmtree(second / "cache")
        place = f"jobs/{job_id}/attempt-2/{hashlib.sha256(found['network.json']).hexdigest()}"
        s3.change(url, place, b"damaged")
        damaged = elsewhere.http.get(f"/v1/jobs/{job_id}/artifacts/network.json")
        assert damaged.status_code == 500
        assert "damaged or missing in the store; create the job again" in damaged.json()["detail"]
        assert elsewhere.http.delete(f"/v1/jobs/{job_id}").status_code == 204
        assert not any(name.startswith("jobs/") for name in s3.objects(url))
    assert not is_alive(worker)
