"""Large datasets in pieces: the service puts them together, and a lost connection costs one piece."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.client import uploads
from api.client.client import Client
from api.client.errors import NoConnection, ServiceProblem
from tests.api.client.scripted_server import Request, Response, problem, scripted
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_dataset

PIECE_BYTES = 3000
UPLOAD = "/v1/uploads/u1"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(uploads, "PIECE_BYTES", PIECE_BYTES)
    path = tmp_path / "large.npz"
    path.write_bytes(tiny_dataset(samples=151))
    assert path.stat().st_size > 4 * PIECE_BYTES
    return path


class Receiver:
    """The other side of the protocol: `faults` has what goes wrong with each piece, in turn."""

    def __init__(self, size_bytes: int, faults: list[str]) -> None:
        self.content = b""
        self.size_bytes = size_bytes
        self.faults = faults

    @property
    def dataset_id(self) -> str | None:
        return hashlib.sha256(self.content).hexdigest() if len(self.content) == self.size_bytes else None

    def state(self, _: Request) -> Response:
        expires_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        state: dict[str, Any] = {"id": "u1", "name": "", "length_bytes": self.size_bytes, "expires_at": expires_at}
        return Response(body=state | {"received_bytes": len(self.content), "dataset_id": self.dataset_id})

    def append(self, request: Request) -> Response:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "lost before":
            return Response(body=b"lost", cut_at=0)
        if int(request.headers["upload-offset"]) != len(self.content):
            return problem(409, "upload-offset")
        algorithm, checksum = request.headers["upload-checksum"].split()
        assert (algorithm, base64.b64decode(checksum)) == ("sha256", hashlib.sha256(request.body).digest())
        self.content += request.body
        return Response(body=b"lost", cut_at=0) if fault == "lost after" else Response(204, b"")


def answers_of(receiver: Receiver, dataset: dict[str, Any], whole: bytes) -> dict[str, Any]:
    def kept(_: Request) -> Response:
        return Response(body=dataset) if receiver.content == whole else problem(404, "not-found")

    return {
        "POST /v1/uploads": receiver.state,
        f"GET {UPLOAD}": receiver.state,
        f"PATCH {UPLOAD}": receiver.append,
        f"GET /v1/datasets/{hashlib.sha256(whole).hexdigest()}": kept,
    }


def test_the_service_puts_the_pieces_together(service: LiveService, path: Path) -> None:
    with Client(service.url) as client:
        stored = client.upload_dataset(path)
        assert (stored.id, stored.name) == (hashlib.sha256(path.read_bytes()).hexdigest(), "large")
        assert stored.train_samples == 151
        assert client.upload_dataset(path) == stored
        client.delete_dataset(stored)


@pytest.mark.parametrize(
    "faults", [[], ["", "lost before"], ["", "lost after"], ["lost before", "lost before", "lost after"]]
)
def test_a_lost_connection_costs_one_piece(faults: list[str], service: LiveService, path: Path) -> None:
    whole = path.read_bytes()
    dataset: dict[str, Any] = service.http.get("/v1/datasets/digits").json()
    receiver = Receiver(len(whole), list(faults))
    with scripted(answers_of(receiver, dataset, whole)) as server, Client(server.url, retry_seconds=5) as client:
        assert client.upload_dataset(path).id == "digits"
        pieces = server.sent("PATCH")
        assert len(pieces) == -(-len(whole) // PIECE_BYTES) + faults.count("lost before")
        assert pieces[0].headers["content-type"] == "application/offset+octet-stream"
    assert receiver.content == whole


def test_an_upload_ends_if_the_service_is_gone_or_refuses(path: Path) -> None:
    whole = path.read_bytes()
    receiver = Receiver(len(whole), ["", *["lost before"] * 1000])
    with scripted(answers_of(receiver, {}, whole)) as server, Client(server.url, retry_seconds=0.5) as client:
        with pytest.raises(NoConnection):
            client.upload_dataset(path)
        server.answers[f"PATCH {UPLOAD}"] = problem(422, "invalid-dataset", "not a dataset")
        with pytest.raises(ServiceProblem, match="not a dataset"):
            client.upload_dataset(path)


def test_a_service_without_pieces_gets_the_whole_file(service: LiveService, path: Path) -> None:
    dataset: dict[str, Any] = service.http.get("/v1/datasets/digits").json()
    answers = {"POST /v1/datasets": Response(201, dataset)}
    with scripted(answers) as server, Client(server.url) as client:
        assert client.upload_dataset(path).id == "digits"
        assert path.read_bytes() in server.sent("POST")[-1].body
