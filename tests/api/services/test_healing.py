"""A stored file that is damaged or missing is healed by a new upload of the same content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from api.services.datasets import Datasets
from api.services.networks import Networks
from api.services.stored_content import damage_of
from api.settings import Settings
from network.content_identity import content_id
from network.errors import DatasetError, UnreadableFile
from tests.api.local_service import local_service
from tests.api.small_files import tiny_dataset, tiny_json


@pytest.mark.parametrize("kind", ["networks", "datasets"])
def test_a_new_upload_heals_the_stored_file(tmp_path: Path, kind: str) -> None:
    content, name = (tiny_json(), "tiny.json") if kind == "networks" else (tiny_dataset(), "data.npz")
    with local_service(tmp_path) as (_, client):
        first = client.post(f"/v1/{kind}", files={"file": (name, content)})
        assert first.status_code == 201
        (stored,) = (path for path in (tmp_path / kind).iterdir() if path.is_file())
        assert stored.read_bytes() == content
        for fault in ("damaged", "missing"):
            stored.unlink()
            if fault == "damaged":
                stored.write_bytes(b"zeros")
            again = client.post(f"/v1/{kind}", files={"file": (name, content)})
            assert again.status_code == 200
            assert again.json() == first.json()
            assert stored.read_bytes() == content
        assert client.delete(f"/v1/{kind}/{first.json()['id']}").status_code == 204
        assert not stored.exists()


def test_a_job_does_not_use_damaged_files(tmp_path: Path) -> None:
    saved = {"model.onnx": b"network", "w1": b"weights", "w2": b"more"}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in saved.items()}
    for name, content in saved.items():
        (tmp_path / name).write_bytes(content)
    network, weights = tmp_path / "model.onnx", {name: tmp_path / name for name in ("w2", "w1")}
    identity = content_id(digests["model.onnx"], [(name, digests[name]) for name in weights])
    assert damage_of(identity, network, weights) is None
    assert damage_of(digests["model.onnx"], network) is None
    for name, content in saved.items():
        (tmp_path / name).write_bytes(content[:-1] + b"x")
        assert "is damaged: its content does not have its SHA-256" in str(damage_of(identity, network, weights))
        (tmp_path / name).unlink()
        assert "is missing; upload the same content again" in str(damage_of(identity, network, weights))
        (tmp_path / name).write_bytes(content)
    assert damage_of(identity, network, weights) is None


def test_a_damaged_upload_is_refused_by_the_worker(tmp_path: Path) -> None:
    settings = Settings(data_directory=tmp_path)
    with local_service(tmp_path) as (service, client):
        network = client.post("/v1/networks", files={"file": ("tiny.json", tiny_json())}).json()["id"]
        scaled = {"input_mean": "0.5", "input_scale": "0.25"}
        other = client.post("/v1/networks", files={"file": ("tiny.json", tiny_json())}, params=scaled).json()["id"]
        dataset = client.post("/v1/datasets", files={"file": ("data.npz", tiny_dataset())}).json()["id"]
        networks, datasets = Networks(service.store, settings), Datasets(service.store, settings)
        assert other != network
        assert networks.with_weights(other).name == networks.with_weights(network).name
        assert datasets.load(dataset).name == "data"
        for folder in ("networks", "datasets"):
            for path in (tmp_path / folder).iterdir():
                path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
        with pytest.raises(UnreadableFile, match="is damaged"):
            networks.with_weights(network)
        with pytest.raises(DatasetError, match="is damaged"):
            datasets.load(dataset)
