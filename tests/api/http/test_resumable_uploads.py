"""Datasets that arrive in pieces by the protocol tus: interruptions, checksums, limits and expiry."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Thread
from typing import Any, Final

import httpx
import pytest

from api.http.service import Service
from api.storage.partial_uploads import PartialUploads
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.local_service import local_service
from tests.api.small_files import tiny_dataset

VERSION: Final = {"tus-resumable": "1.0.0"}
LIMIT_BYTES: Final = 2_000_000


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, httpx.Client]]:
    with local_service(tmp_path_factory.mktemp("pieces") / "data", max_dataset_bytes=LIMIT_BYTES) as service:
        yield service


@pytest.fixture
def client(opened: tuple[Service, httpx.Client]) -> httpx.Client:
    return opened[1]


def created(client: httpx.Client, content: bytes, name: str = "pieces.npz") -> str:
    metadata = f"filename {base64.b64encode(name.encode()).decode()},filetype"
    headers = VERSION | {"upload-length": str(len(content)), "upload-metadata": metadata}
    response = client.post("/v1/uploads", headers=headers)
    assert response.status_code == 201, response.text
    assert response.headers["tus-resumable"] == "1.0.0"
    return str(response.headers["location"])


def append(client: httpx.Client, path: str, offset: int, piece: bytes, **headers: str) -> httpx.Response:
    given = VERSION | {"content-type": "application/offset+octet-stream", "upload-offset": str(offset)}
    return client.patch(path, content=piece, headers=given | headers)


def offset_of(client: httpx.Client, path: str) -> int:
    response = client.head(path, headers=VERSION)
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    return int(response.headers["upload-offset"])


def checksum(name: str, piece: bytes) -> str:
    return f"{name} {base64.b64encode(hashlib.new(name, piece).digest()).decode()}"


def test_a_dataset_arrives_in_pieces(client: httpx.Client) -> None:
    content = tiny_dataset(50)
    path = created(client, content, "with spaces & ü.npz")
    middle = len(content) // 2
    first = append(client, path, 0, content[:middle])
    assert (first.status_code, first.headers["upload-offset"]) == (204, str(middle))
    assert parsedate_to_datetime(first.headers["upload-expires"]).timestamp() > time.time() + 23 * 3600
    last = append(client, path, middle, content[middle:])
    assert (last.status_code, last.headers["upload-offset"]) == (204, str(len(content)))
    dataset = client.get(last.headers["content-location"]).json()
    assert dataset["id"] == hashlib.sha256(content).hexdigest()
    assert (dataset["name"], dataset["train_samples"], dataset["size_bytes"]) == ("with spaces & ü", 50, len(content))
    state = client.get(path).json()
    assert (state["dataset_id"], state["received_bytes"]) == (dataset["id"], len(content))
    assert offset_of(client, path) == len(content)
    assert append(client, path, len(content), b"").status_code == 204, "the answer was lost, and the client asks again"
    assert client.delete(path, headers=VERSION).status_code == 204
    assert client.get(f"/v1/datasets/{dataset['id']}").is_success


def test_the_service_says_what_it_can_do(client: httpx.Client) -> None:
    response = client.options("/v1/uploads")
    assert response.status_code == 204
    assert response.headers["tus-version"] == "1.0.0"
    assert response.headers["tus-max-size"] == str(LIMIT_BYTES)
    assert set(response.headers["tus-extension"].split(",")) == {"creation", "expiration", "checksum", "termination"}
    assert "sha1" in response.headers["tus-checksum-algorithm"].split(",")


def test_a_killed_service_loses_nothing(tmp_path: Path) -> None:
    data, content = tmp_path / "data", tiny_dataset(60)
    service = LiveService(data)
    path = created(service.http, content)
    assert append(service.http, path, 0, content[:1000]).status_code == 204
    service.end(signal.SIGKILL)
    with LiveService(data) as again:
        assert offset_of(again.http, path) == 1000
        end = append(again.http, path, 1000, content[1000:])
        assert end.status_code == 204
        assert end.headers["content-location"] == f"/v1/datasets/{hashlib.sha256(content).hexdigest()}"
        assert not list((data / "incoming").iterdir())


def unfinished(client: httpx.Client, path: str, length: int, beginning: bytes) -> socket.socket:
    """Return a connection over which only the beginning of a piece has been sent."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port or 0))
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: {client.base_url.netloc.decode()}\r\nTus-Resumable: 1.0.0\r\n"
        f"Upload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\n\r\n"
    )
    connection.sendall(head.encode() + beginning)
    return connection


def test_what_arrived_before_the_connection_broke_is_kept(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.http.resumable_uploads._BUFFER_BYTES", 1)
    content = tiny_dataset(70)
    path = created(client, content)
    with unfinished(client, path, len(content), content[:2000]):
        give_up_at = time.monotonic() + 20
        while offset_of(client, path) < 2000 and time.monotonic() < give_up_at:
            time.sleep(0.02)
    assert offset_of(client, path) == 2000
    assert append(client, path, 2000, content[2000:]).headers["content-location"]


def test_a_later_request_takes_the_upload_over(opened: tuple[Service, httpx.Client]) -> None:
    """A client that lost its connection continues, although the service still waits for the rest of the first piece."""
    service, client = opened
    content = tiny_dataset(71)
    path = created(client, content)
    with unfinished(client, path, len(content), b"") as hanging:
        while not service.appending:
            time.sleep(0.01)
        end = append(client, path, 0, content)
        assert end.status_code == 204, end.text
        assert b"HTTP/1.1 409" in hanging.recv(4096)


@pytest.mark.parametrize("name", ["sha256", "sha1", "md5"])
def test_a_piece_with_a_checksum_counts_as_a_whole(client: httpx.Client, name: str) -> None:
    content = tiny_dataset(80)
    path = created(client, content)
    assert append(client, path, 0, content[:500], **{"upload-checksum": checksum(name, content[:500])}).is_success
    spoilt = append(client, path, 500, content[500:900], **{"upload-checksum": checksum(name, content[501:900])})
    assert_problem(spoilt, 460, "checksum-mismatch")
    assert offset_of(client, path) == 500
    rest = append(client, path, 500, content[500:], **{"upload-checksum": checksum(name, content[500:])})
    assert rest.headers["content-location"]


def test_a_wrong_offset_is_refused(client: httpx.Client) -> None:
    content = tiny_dataset(81)
    path = created(client, content)
    append(client, path, 0, content[:100])
    for offset in (0, 99, 101, len(content)):
        assert "100 bytes have arrived" in assert_problem(append(client, path, offset, b"x"), 409, "upload-conflict")
    assert offset_of(client, path) == 100


def test_the_last_byte_counts_when_the_dataset_is_stored(opened: tuple[Service, httpx.Client]) -> None:
    """The service was killed between the last byte and the answer: the client sends the byte again and gets it."""
    service, client = opened
    content = tiny_dataset(82)
    path = created(client, content)
    (service.settings.partial_directory / f"{path.rpartition('/')[2]}.bin").write_bytes(content)
    assert offset_of(client, path) == len(content) - 1
    assert append(client, path, len(content) - 1, content[-1:]).headers["upload-offset"] == str(len(content))


def test_what_is_not_a_dataset_is_refused_and_deleted(opened: tuple[Service, httpx.Client]) -> None:
    service, client = opened
    path = created(client, bytes(3000))
    assert append(client, path, 0, bytes(1500)).is_success
    assert_problem(append(client, path, 1500, bytes(1500)), 422, "invalid-dataset")
    assert_problem(client.get(path), 404, "not-found")
    assert path.rpartition("/")[2] not in {each.stem for each in service.settings.partial_directory.iterdir()}


def test_limits_are_kept(client: httpx.Client) -> None:
    headers = VERSION | {"upload-length": str(LIMIT_BYTES + 1)}
    assert_problem(client.post("/v1/uploads", headers=headers), 413, "too-large")
    for length in ("0", "-1", "many"):
        assert_problem(client.post("/v1/uploads", headers=VERSION | {"upload-length": length}), 422, "invalid-request")
    content = tiny_dataset(83)
    path = created(client, content)
    for extra in ({}, {"upload-checksum": checksum("sha1", content + b"more")}):
        assert_problem(append(client, path, 0, content + b"more", **extra), 413, "too-large")
        assert offset_of(client, path) < len(content)
    client.delete(path, headers=VERSION)


@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        ({"tus-resumable": "0.2.2"}, 412, "unsupported-version"),
        ({"content-type": "application/octet-stream"}, 415, "unsupported-media-type"),
        ({"upload-offset": "x"}, 422, "invalid-request"),
        ({"upload-checksum": "crc32 AAAA"}, 422, "invalid-request"),
        ({"upload-checksum": "sha1 ???"}, 422, "invalid-request"),
    ],
)
def test_a_request_of_another_form_is_refused(
    client: httpx.Client, headers: dict[str, str], status: int, slug: str
) -> None:
    path = created(client, b"xyz")
    response = append(client, path, 0, b"x", **headers)
    assert_problem(response, status, slug)
    if status == 412:
        assert response.headers["tus-version"] == "1.0.0"
    assert offset_of(client, path) == 0
    assert client.delete(path, headers=VERSION).status_code == 204
    assert_problem(client.delete(path, headers=VERSION), 404, "not-found")


@pytest.mark.parametrize("name", ["..%2fservice", "x" * 32, "0" * 32, "."])
def test_only_identifiers_are_looked_up(client: httpx.Client, name: str) -> None:
    assert client.head(f"/v1/uploads/{name}", headers=VERSION).status_code in {404, 405}


def test_an_upload_expires(tmp_path: Path) -> None:
    uploads = PartialUploads(tmp_path / "partial", lifetime_seconds=60)
    old, new = (uploads.create("default", 10, name) for name in ("old", "new"))
    os.utime(old.path, (time.time() - 61, time.time() - 61))
    assert uploads.find("default", old.id) is None
    uploads.delete_expired()
    assert {path.stem for path in (tmp_path / "partial").iterdir()} == {new.id}
    assert uploads.find("another project", new.id) is None
    assert uploads.count("default") == 1


def test_so_many_uploads_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.resumable_uploads.MAX_OPEN_UPLOADS", 2)
    with local_service(tmp_path / "data") as (_, client):
        first, _second = created(client, b"12"), created(client, b"12")
        refused = client.post("/v1/uploads", headers=VERSION | {"upload-length": "2"})
        assert_problem(refused, 429, "busy")
        assert int(refused.headers["retry-after"]) > 0
        client.delete(first, headers=VERSION)
        created(client, b"12")


def test_two_clients_at_the_same_time_store_the_content_once(client: httpx.Client) -> None:
    content = tiny_dataset(84)
    paths = [created(client, content) for _ in range(2)]
    answers: list[Any] = []

    def send(path: str) -> None:
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            answers.append(append(own, path, 0, content))

    threads = [Thread(target=send, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.status_code for each in answers] == [204, 204]
    assert len({each.headers["content-location"] for each in answers}) == 1
