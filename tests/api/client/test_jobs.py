"""Jobs of a service that is told what to answer: waiting, failures, lost answers."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from typing import Any

import pytest

from api.client.client import Client
from api.client.errors import JobCancelled, JobFailed, NoConnection, StillRunning, VersionMismatch
from api.client.jobs import Job
from api.client.retries import Timeouts
from api.schemas.job_answers import JobAnswer, JobReport
from tests.api.client.scripted_server import Request, Response, ScriptedServer, in_turn, problem, scripted

PATH = "/v1/jobs/j"
DOCUMENT: dict[str, Any] = dict.fromkeys(JobAnswer.model_fields) | {
    "id": "j",
    "state": "queued",
    "revision": 1,
    "created_at": "2026-11-28T09:00:00Z",
    "kind": "training",
    "request": {"kind": "training", "network_id": "n", "dataset": "digits", "flash": 400, "ram": 60},
    "artifacts": [],
}


def job_answer(state: str, revision: int, **more: Any) -> Response:
    return Response(body=DOCUMENT | {"state": state, "revision": revision} | more)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted({f"GET {PATH}": job_answer("queued", 1)}) as running:
        yield running


@pytest.fixture
def job(server: ScriptedServer) -> Iterator[Job[JobReport]]:
    with Client(server.url, retry_seconds=2, timeouts=Timeouts(receive_seconds=1)) as client:
        yield client.job("j")


def phase(name: str) -> dict[str, Any]:
    fields = ("epoch", "epochs", "step", "steps", "images_per_second", "seconds_left", "loss", "validation_accuracy")
    return {"phase": name, "point": None, "points": None} | dict.fromkeys(fields)


def test_each_change_is_one_update_and_progress_is_told_once(server: ScriptedServer, job: Job[JobReport]) -> None:
    changes = (
        job_answer("queued", 1),
        job_answer("queued", 1),
        job_answer("running", 2, progress=phase("calibrating")),
        job_answer("running", 3, progress=phase("calibrating")),
        problem(503, "unavailable"),
        job_answer("cancelled", 4, progress=phase("training")),
    )
    server.answers[f"GET {PATH}"] = in_turn(*changes)
    server.requests.clear()
    assert [(each.state.value, each.revision) for each in job.updates()] == [
        ("queued", 1),
        ("running", 2),
        ("running", 3),
        ("cancelled", 4),
    ]
    asked = [each.query.get("after") for each in server.sent("GET")]
    assert asked == [None, ["1"], ["1"], ["2"], ["3"], ["3"]]
    waits = {float(each.query["wait_seconds"][0]) for each in server.sent("GET") if each.query}
    assert waits == {0.5}  # less than the client waits for a byte
    server.answers[f"GET {PATH}"] = in_turn(*changes)
    phases: list[str] = []
    with pytest.raises(JobCancelled, match=r"retry\(\) starts it again"):
        job.wait(progress=lambda progress: phases.append(progress.phase))
    assert phases == ["calibrating", "training"]


def test_waiting_ends_in_time(job: Job[JobReport]) -> None:
    started = time.monotonic()
    with pytest.raises(StillRunning, match=r"is queued after 0\.4 s; it continues"):
        job.wait(timeout_seconds=0.4)
    assert time.monotonic() - started < 5
    with pytest.raises(StillRunning, match="has no report yet"):
        _ = job.report


def test_a_failed_job_says_why(server: ScriptedServer, job: Job[JobReport]) -> None:
    why = {"type": "/problems/no-integer-form", "title": "t", "status": 422, "detail": "layer 'a' could overflow"}
    server.answers[f"GET {PATH}"] = job_answer("failed", 2, error=why)
    with pytest.raises(JobFailed, match="could overflow") as caught:
        job.wait()
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # made here
    assert (again.job_id, again.problem.type) == ("j", "/problems/no-integer-form")
    server.answers[f"GET {PATH}"] = job_answer("failed", 2)
    with pytest.raises(JobFailed, match="gives no reason"):
        job.wait()
    server.answers[f"GET {PATH}"] = job_answer("succeeded", 2)
    with pytest.raises(VersionMismatch, match="sends no result"):
        job.wait()


def test_a_service_that_is_gone_ends_the_wait(server: ScriptedServer, job: Job[JobReport]) -> None:
    server.answers[f"GET {PATH}"] = Response(body=DOCUMENT, cut_at=1)
    with pytest.raises(NoConnection):
        job.wait()


def test_a_job_is_created_once_although_its_answer_was_lost(server: ScriptedServer) -> None:
    created: list[str] = []

    def create(request: Request) -> Response:
        created.append(request.headers["idempotency-key"])
        return job_answer("queued", 1) if len(created) > 1 else Response(202, b"lost", cut_at=1)

    server.answers["POST /v1/jobs"] = create
    with Client(server.url, retry_seconds=2) as client:
        assert client.train("n", "digits", flash=400, ram=60).id == "j"
        assert client.train("n", "digits", flash=400, ram=60, idempotency_key="build-42").id == "j"
    first, second, third = created
    assert first == second != third == "build-42"


def test_only_what_was_given_is_sent(server: ScriptedServer) -> None:
    """An older service refuses options that it does not know; it must not see the defaults of new ones."""
    server.answers["POST /v1/jobs"] = job_answer("queued", 1)
    with Client(server.url) as client:
        client.train("n", "digits", flash="400", ram=60, training={"epochs": 1}, method="mixpc")
    body = server.sent("POST")[0].body
    assert body == (
        b'{"method":"mixpc","device":null,"flash":400,"ram":60,"kind":"training","network_id":"n","dataset":"digits",'
        b'"training":{"epochs":1}}'
    )


def test_the_log_is_text_of_any_kind(server: ScriptedServer, job: Job[JobReport]) -> None:
    server.answers[f"GET {PATH}/log"] = Response(body=b"epoch 1\n\xff\n", headers={"Content-Type": "text/plain"})
    assert job.log() == "epoch 1\n\ufffd\n"
