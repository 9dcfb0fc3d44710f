"""What the client does when a service is absent, busy, restarted, older, newer, or something else."""

from __future__ import annotations

import pickle
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from api.client.client import Client
from api.client.errors import (
    NoConnection,
    NotBitbudget,
    ServiceProblem,
    VersionMismatch,
)
from api.client.retries import Timeouts, retry_after_seconds
from api.version import version
from network.errors import RequestError
from tests.api.client.scripted_server import INDEX, Request, Response, in_turn, problem, scripted

DATASET: dict[str, Any] = {
    "id": "digits",
    "name": "digits",
    "size_bytes": 0,
    "created_at": None,
    "sample_shape": [8, 8, 1],
    "sample_type": "uint8",
    "train_samples": 1437,
    "test_samples": 360,
    "classes": 10,
    "class_names": None,
}
GET = "GET /v1/datasets/digits"


def client_of(url: str, retry_seconds: float = 5.0, **more: Any) -> Client:
    return Client(url, retry_seconds=retry_seconds, **more)


def test_a_busy_service_is_asked_again_when_it_says() -> None:
    busy = problem(429, "busy", **{"Retry-After": "1"})
    with scripted({GET: in_turn(busy, problem(503, "unavailable"), Response(body=DATASET))}) as server:
        started = time.monotonic()
        with client_of(server.url) as client:
            assert client.dataset("digits").train_samples == 1437
        assert time.monotonic() - started >= 1.0
        assert len(server.sent("GET")) == 3


def test_a_service_that_stays_busy_is_given_up() -> None:
    with scripted({GET: problem(429, "busy", "the queue is full", **{"Retry-After": "60"})}) as server:
        with client_of(server.url) as client, pytest.raises(ServiceProblem, match="the queue is full") as caught:
            client.dataset("digits")
        assert caught.value.type == "/problems/busy"
        assert len(server.sent("GET")) == 1  # 60 s are longer than the client may wait


@pytest.mark.parametrize(("status", "attempts"), [(502, 2), (504, 2), (500, 1), (422, 1)])
def test_only_answers_that_may_become_better_are_repeated(status: int, attempts: int) -> None:
    with scripted({GET: in_turn(Response(status, b"proxy"), Response(body=DATASET))}) as server:
        with client_of(server.url) as client:
            if attempts == 1:
                with pytest.raises(ServiceProblem, match=f"answers {status} .* proxy"):
                    client.dataset("digits")
            else:
                client.dataset("digits")
        assert len(server.sent("GET")) == attempts


def test_a_lost_connection_is_opened_again() -> None:
    whole = Response(body=DATASET)
    with scripted({GET: in_turn(Response(body=DATASET, cut_at=20), whole)}) as server:
        with client_of(server.url) as client:
            assert client.dataset("digits").id == "digits"
        assert len(server.sent("GET")) == 2


def test_a_deletion_whose_answer_was_lost_has_succeeded() -> None:
    lost = Response(200, b"deleted", cut_at=2)
    with scripted({"DELETE /v1/networks/n": in_turn(lost, problem(404, "not-found"))}) as server:
        with client_of(server.url) as client:
            client.delete_network("n")
        assert len(server.sent("DELETE")) == 2
        with client_of(server.url) as client, pytest.raises(ServiceProblem):
            client.delete_network("other")


def test_no_service_is_said_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    started = time.monotonic()
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(NoConnection, match="is the service running"):
        client.service()
    assert time.monotonic() - started < 10


def test_a_silent_service_is_said() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        client_of(
            f"http://127.0.0.1:{listener.getsockname()[1]}", 0.1, timeouts=Timeouts(receive_seconds=0.2)
        ) as client,
        pytest.raises(NoConnection, match="did not answer in time"),
    ):
        client.service()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (Response(body=b"<html>Welcome to nginx</html>", headers={"Content-Type": "text/html"}), "not as a bitbudget"),
        (Response(body={"name": "other", "version": "1"}), "not as a bitbudget"),
        (Response(301, b"", {"Location": "https://elsewhere/"}), "redirection to https://elsewhere/; give the URL"),
    ],
)
def test_something_else_at_the_url_is_said(index: Response, message: str) -> None:
    with (
        scripted({"GET /": index}) as server,
        client_of(server.url) as client,
        pytest.raises(NotBitbudget, match=message),
    ):
        client.dataset("digits")


def test_the_key_is_sent_and_a_refusal_names_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = problem(401, "unauthorized", "the key is not known", **{"X-Request-ID": "r-1"})
    with scripted({GET: refusal}) as server:
        monkeypatch.setenv("BITBUDGET_SERVER", server.url)
        monkeypatch.setenv("BITBUDGET_API_KEY", "bb_id_secret")
        with Client() as client, pytest.raises(ServiceProblem, match="the key is not known") as caught:
            client.dataset("digits")
        assert server.requests[-1].headers["authorization"] == "Bearer bb_id_secret"
        assert (caught.value.status, caught.value.request_id) == (401, "r-1")
        again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # made here
        assert (str(again), again.request_id) == (str(caught.value), "r-1")
        assert "secret" not in repr(client)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "ftp://host", "http://", "http://host:port", "http://host/?a=1", "http://u:p@host"]
)
def test_what_is_no_url_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BITBUDGET_SERVER", raising=False)
    with pytest.raises(RequestError, match="URL of the service"):
        Client(url)


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(RequestError, match="key of the service"):
        Client("http://127.0.0.1:1", key="bb_a b\n")


def test_a_service_behind_a_path() -> None:
    answers = {"GET /fit/": INDEX, "GET /fit/v1/datasets/digits": Response(body=DATASET)}
    with scripted(answers) as server, client_of(f"{server.url}/fit/") as client:
        assert client.dataset("digits").id == "digits"


def test_fields_that_a_newer_service_sends_are_passed_over() -> None:
    newer = Response(body={"name": "bitbudget", "version": "9.0.0", "links": {}, "motto": "new"})
    answers = {"GET /": newer, GET: Response(body=DATASET | {"colour": {"of": "samples"}})}
    with scripted(answers) as server, client_of(server.url) as client:
        assert client.dataset("digits").classes == 10
        assert client.service().version == "9.0.0"


def test_what_an_older_service_lacks_is_said() -> None:
    older = Response(body={"name": "bitbudget", "version": "0.0.1", "links": {}})
    lacking = {name: value for name, value in DATASET.items() if name not in {"classes", "name"}}
    with scripted({"GET /": older, GET: Response(body=lacking)}) as server, client_of(server.url) as client:
        with pytest.raises(VersionMismatch, match=f"'name'.*bitbudget 0.0.1, this client {version()}: update"):
            client.dataset("digits")
        server.answers[GET] = Response(body=lacking | {"name": "digits"})
        assert client.dataset("digits").classes is None  # it can be null, and an older service does not have it
        with pytest.raises(ServiceProblem, match=f"the service is bitbudget 0.0.1, this client {version()}"):
            client.dataset("unknown")


def test_lists_come_page_by_page() -> None:
    pages = {None: (["a", "b"], "next one/"), "next one/": (["c"], "last"), "last": ([], None)}

    def page(request: Request) -> Response:
        (cursor,) = request.query.get("cursor", [None])
        ids, following = pages[cursor]
        return Response(body={"items": [DATASET | {"id": each} for each in ids], "next_cursor": following})

    with scripted({"GET /v1/datasets": page}) as server, client_of(server.url) as client:
        datasets = client.datasets()
        assert next(datasets).id == "a"
        assert len(server.sent("GET")) == 1  # a page is not asked for before it is needed
        assert [each.id for each in datasets] == ["b", "c"]
        assert [each.query["limit"] for each in server.sent("GET")] == [["100"]] * 3


def test_threads_share_a_client() -> None:
    with scripted({GET: Response(body=DATASET)}) as server, client_of(server.url) as client:
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(client.dataset("digits").id)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == ["digits"] * 16
        assert len([each for each in server.requests if each.path == "/"]) == 1


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert retry_after_seconds("7") == 7
    assert 25 < (retry_after_seconds(format_datetime(soon, usegmt=True)) or 0) <= 30
    assert retry_after_seconds("soon") is None
    assert retry_after_seconds(None) is None


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_cannot_change_the_path(name: str) -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(RequestError, match="identifier"):
        client.dataset(name)
