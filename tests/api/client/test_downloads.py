"""Downloads: verified, continued by ranges, and all at once in their folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.client.address import Address
from api.client.connection import Connection
from api.client.downloads import content_of, download
from api.client.errors import DamagedDownload, NoConnection
from api.client.retries import Timeouts
from api.schemas.reports import Artifact
from network.errors import RequestError
from tests.api.client.scripted_server import Request, Response, ScriptedServer, in_turn, scripted

CONTENT = {"report.json": b'{"fits": true}\n', "weights.safetensors": bytes(range(256)) * 2000, "empty.txt": b""}
JOB = "0123456789abcdef0123456789abcdef"


def artifact(name: str, content: bytes) -> Artifact:
    return Artifact(name=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


ARTIFACTS = [artifact(name, content) for name, content in CONTENT.items()]


def answering(content: bytes, *, knows_ranges: bool = True) -> Callable[[Request], Response]:
    """Return a function that answers a file, whole or from the byte that is asked for."""

    def answer(request: Request) -> Response:
        asked = request.headers.get("range")
        if asked is None or not knows_ranges:
            return Response(body=content)
        assert request.headers["if-range"] == f'"{hashlib.sha256(content).hexdigest()}"'
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        return Response(206, content[start:])

    return answer


@contextmanager
def connected(server: ScriptedServer, retry_seconds: float = 5.0) -> Iterator[Connection]:
    connection = Connection(Address(server.url, None), Timeouts(), retry_seconds)
    try:
        yield connection
    finally:
        connection.close()


def path_in_service(name: str) -> str:
    return f"GET /v1/jobs/{JOB}/artifacts/{name}"


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_arrive_all_at_once_and_replace_an_earlier_result(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    answers = {path_in_service(name): answering(content) for name, content in CONTENT.items()}
    with scripted(answers) as server, connected(server) as connection:
        download(connection, JOB, ARTIFACTS, folder)
        assert files_in(folder) == CONTENT
        (folder / "report.json").write_text("old")
        (folder / "old-c.zip").write_text("old")
        download(connection, JOB, ARTIFACTS, folder)
        assert files_in(folder) == CONTENT
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    refused = pytest.raises(RequestError, match="files other than an earlier result")
    with scripted({}) as server, connected(server) as connection, refused:
        download(connection, JOB, ARTIFACTS, tmp_path)
    assert files_in(tmp_path) == {"thesis.txt": b"mine"}


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_download_is_continued(knows_ranges: bool) -> None:
    content = CONTENT["weights.safetensors"]
    first = [Response(body=content, cut_at=300_000)]
    after = answering(content, knows_ranges=knows_ranges)
    answers = {path_in_service("weights.safetensors"): lambda request: first.pop() if first else after(request)}
    with scripted(answers) as server, connected(server) as connection:
        assert content_of(connection, JOB, artifact("weights.safetensors", content)) == content
        whole, rest = (each.headers.get("range") for each in server.sent("GET"))
        assert whole is None
        assert rest == "bytes=300000-"


def test_a_later_download_continues_an_interrupted_one(tmp_path: Path) -> None:
    name, content = "weights.safetensors", CONTENT["weights.safetensors"]
    folder, broken = tmp_path / "out", Response(206, content[400_000:], cut_at=0)
    with scripted({path_in_service(name): in_turn(Response(body=content, cut_at=400_000), broken)}) as server:
        with connected(server, 0.1) as connection, pytest.raises(NoConnection):
            download(connection, JOB, [artifact(name, content)], folder)
        assert not folder.exists()
        server.requests.clear()
        server.answers[path_in_service(name)] = answering(content)
        with connected(server) as connection:
            download(connection, JOB, [artifact(name, content)], folder)
        (request,) = server.sent("GET")
        assert request.headers["range"] == "bytes=400000-"
    assert files_in(folder) == {name: content}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_download_leaves_nothing(tmp_path: Path) -> None:
    name, content = "report.json", CONTENT["report.json"]
    named = artifact("../evil", b"")  # refused after the first file has arrived
    with scripted({path_in_service(name): answering(content)}) as server, connected(server) as connection:
        with pytest.raises(DamagedDownload):
            download(connection, JOB, [artifact(name, content), named], tmp_path / "out")
        with pytest.raises(RequestError, match="cannot write into the directory"):
            download(connection, JOB, [artifact(name, content)], tmp_path / "none" / "out")
    assert [*tmp_path.iterdir()] == []


def test_a_changed_file_is_not_kept(tmp_path: Path) -> None:
    name, content = "report.json", CONTENT["report.json"]
    wrong = Response(body=b'{"fits": nope}\n')
    with scripted({path_in_service(name): wrong}) as server, connected(server) as connection:
        with pytest.raises(DamagedDownload, match="SHA-256"):
            download(connection, JOB, [artifact(name, content)], tmp_path / "out")
        with pytest.raises(DamagedDownload, match="SHA-256"):
            content_of(connection, JOB, artifact(name, content))
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b", ".hidden", "a\\b", "", "x\n"])
def test_a_file_cannot_leave_its_folder(name: str, tmp_path: Path) -> None:
    refused = pytest.raises(DamagedDownload, match="plain name")
    with scripted({}) as server, connected(server) as connection, refused:
        download(connection, JOB, [artifact(name, b"x")], tmp_path / "out")
    assert not (tmp_path / "out").exists()
