"""Networks and datasets in a store of objects: uploaded, read, healed and deleted; what happens without the store."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Thread

import httpx
import pytest

from api.http.service import Service
from api.services.datasets import Datasets
from api.services.networks import Networks
from api.settings import Settings
from api.storage.database import Store
from api.storage.objects.deletions import Deletions
from api.storage.objects.object_store import ObjectStore
from network.errors import DatasetError, UnreadableFile
from tests.api.http.test_weight_files import form, saved
from tests.api.local_service import local_service
from tests.api.postgres_server import PostgresServer
from tests.api.s3_server import S3Server, reaching
from tests.api.small_files import tiny_dataset, tiny_json

BUDGET = {"flash": 400, "ram": 144, "method": "mixpc", "accounting": "paper"}


@dataclass(frozen=True)
class Running:
    """A service with a store, which the tests of this module share; each deletes what it has uploaded."""

    data: Path
    url: str
    service: Service
    client: httpx.Client


@pytest.fixture(scope="module")
def running(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("stored") / "data"
    with reaching(s3):
        url = s3.new_store()
        with local_service(data, store_url=url) as (service, client):
            yield Running(data, url, service, client)


def forget(data: Path) -> None:
    """Delete copies, and what was computed from them."""
    for name in ("cache", "derived"):
        shutil.rmtree(data / name, ignore_errors=True)


def upload(client: httpx.Client, kind: str, content: bytes, name: str = "tiny.json") -> httpx.Response:
    return client.post(f"/v1/{kind}", files={"file": (name, content)})


def contents(s3: S3Server, url: str) -> set[bytes]:
    """Return the contents in a store, without manifests."""
    return {content for name, content in s3.objects(url).items() if not name.endswith("manifest.json")}


def test_a_network_is_stored_fitted_elsewhere_healed_and_deleted(
    tmp_path: Path, s3: S3Server, running: Running
) -> None:
    files, client, url = saved(tmp_path / "saved"), running.client, running.url
    first = client.post("/v1/networks", files=form(files))
    assert first.status_code == 201, first.text
    place = f"networks/{first.json()['id']}"
    expected = {f"{place}/{hashlib.sha256(content).hexdigest()}": content for content in files.values()}
    stored = s3.objects(url)
    manifest = json.loads(stored.pop(f"{place}/manifest.json"))
    assert stored == expected
    assert {f"{place}/{entry['sha256']}" for entry in manifest["entries"]} == expected.keys()
    assert not (running.data / "networks").exists()
    forget(running.data)
    fitted = client.post(f"/v1/{place}/fit", json=BUDGET)
    assert fitted.status_code == 200, fitted.text
    assert {path.read_bytes() for path in (running.data / "cache").iterdir()} == set(files.values())
    for flash, fault in ((401, b"damaged"), (402, None)):
        for name in expected:
            s3.change(url, name, fault)
        forget(running.data)
        refused = client.post(f"/v1/{place}/fit", json={**BUDGET, "flash": flash})
        assert refused.status_code == 422
        assert ("is missing" if fault is None else "is damaged") in refused.json()["detail"]
        again = client.post("/v1/networks", files=form(files))
        assert (again.status_code, again.json()) == (200, first.json())
        assert client.post(f"/v1/{place}/fit", json={**BUDGET, "flash": flash}).status_code == 200
    assert client.delete(f"/v1/{place}").status_code == 204
    assert s3.objects(url) == {}


def test_a_worker_elsewhere_reads_and_checks_both(tmp_path: Path, s3: S3Server, running: Running) -> None:
    """It has the database and the store, and an empty data directory."""
    client, url = running.client, running.url
    network = upload(client, "networks", tiny_json()).json()["id"]
    dataset = upload(client, "datasets", tiny_dataset(), "data.npz").json()["id"]
    elsewhere = Settings(data_directory=tmp_path / "elsewhere", store_url=url)
    networks, datasets = Networks(running.service.store, elsewhere), Datasets(running.service.store, elsewhere)
    assert networks.with_weights(network).name == "tiny"
    assert datasets.load(dataset).name == "data"
    for path in (tmp_path / "elsewhere" / "cache").iterdir():
        path.write_bytes(b"damaged by the disk")
    assert networks.with_weights(network).name == "tiny"
    assert datasets.load(dataset).name == "data"
    forget(tmp_path / "elsewhere")
    for name, content in s3.objects(url).items():
        if not name.endswith("manifest.json"):
            s3.change(url, name, content[:-1])
    with pytest.raises(UnreadableFile, match="is damaged; upload the same content again, and retry the job"):
        networks.with_weights(network)
    with pytest.raises(DatasetError, match="is damaged; upload the same content again, and retry the job"):
        datasets.load(dataset)
    assert upload(client, "datasets", tiny_dataset(), "data.npz").status_code == 200
    assert datasets.load(dataset).name == "data"
    for place in (f"networks/{network}", f"datasets/{dataset}"):
        assert client.delete(f"/v1/{place}").status_code == 204
    assert s3.objects(url) == {}


def test_while_the_store_does_not_answer(s3: S3Server, running: Running) -> None:
    """Uploads are refused with a time after which to try again, and nothing of them is stored. Deleting works."""
    client, url = running.client, running.url
    network = upload(client, "networks", tiny_json()).json()["id"]
    gone = upload(client, "datasets", tiny_dataset(), "data.npz").json()["id"]
    back = upload(client, "datasets", tiny_dataset(samples=48), "data.npz").json()["id"]
    forget(running.data)
    s3.proxy.cut()
    try:
        for refused in (
            upload(client, "datasets", tiny_dataset(samples=24), "new.npz"),
            upload(client, "networks", tiny_json()),
            client.post(f"/v1/networks/{network}/fit", json={**BUDGET, "flash": 403}),
        ):
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
            assert refused.json()["type"] == "/problems/unavailable"
            assert "the store of the service does not answer" in refused.json()["detail"]
        for dataset in (gone, back):
            assert client.delete(f"/v1/datasets/{dataset}").status_code == 204
        listed = client.get("/v1/datasets").json()["items"]
        assert [each["id"] for each in listed] == ["digits"]
        assert client.get("/healthz").status_code == 200
    finally:
        s3.proxy.restore()
    assert upload(client, "datasets", tiny_dataset(samples=48), "data.npz").status_code == 201
    deletions = Deletions(running.service.settings, ObjectStore(str(running.service.settings.store_url)))
    deletions.work_off(running.service.store)
    assert contents(s3, url) == {tiny_json(), tiny_dataset(samples=48)}
    assert list((running.data / "deletions").iterdir()) == []
    assert client.post(f"/v1/networks/{network}/fit", json={**BUDGET, "flash": 403}).status_code == 200


@pytest.mark.long
def test_two_services_that_store_and_delete_the_same_content(
    tmp_path: Path, s3: S3Server, postgres: PostgresServer
) -> None:
    """Services on one database with a data directory each: a content with a record is in the store, always."""
    database, url = postgres.new_database(), s3.new_store()
    rounds, answers = 12, set()
    with (
        reaching(s3),
        local_service(tmp_path / "a", store_url=url, database_url=database) as (_, first),
        local_service(tmp_path / "b", store_url=url, database_url=database) as (_, second),
    ):
        network = upload(first, "networks", tiny_json()).json()["id"]
        assert second.get(f"/v1/networks/{network}").json()["id"] == network
        for _ in range(rounds):
            barrier = Barrier(2)

            def store(barrier: Barrier = barrier) -> None:
                barrier.wait()
                answers.add(upload(first, "networks", tiny_json()).status_code)

            thread = Thread(target=store)
            thread.start()
            barrier.wait()
            second.delete(f"/v1/networks/{network}")
            thread.join()
            is_there = first.get(f"/v1/networks/{network}").status_code == 200
            assert contents(s3, url) == ({tiny_json()} if is_there else set())
            if is_there:
                shutil.rmtree(tmp_path / "b" / "derived", ignore_errors=True)
                shutil.rmtree(tmp_path / "b" / "cache", ignore_errors=True)
                assert second.post(f"/v1/networks/{network}/fit", json=BUDGET).status_code == 200
            else:
                upload(second, "networks", tiny_json())
    assert answers <= {200, 201}


def test_a_lock_of_the_database_excludes_other_services(postgres: PostgresServer) -> None:
    database = postgres.new_database()
    first, second = Store(database), Store(database)
    seen: list[str] = []
    entered = Barrier(2)

    def wait() -> None:
        with second.locked(-7):
            seen.append("second")

    def other() -> None:
        with second.locked(8):
            seen.append("other")
            entered.wait()

    with first.locked(-7):
        waiting, free = Thread(target=wait), Thread(target=other)
        waiting.start()
        free.start()
        entered.wait(30)
        seen.append("first")
    waiting.join(30)
    free.join(30)
    assert seen == ["other", "first", "second"]
    with pytest.raises(RuntimeError, match="undone"), first.locked(-7):
        raise RuntimeError("undone")
    with second.locked(-7):
        seen.append("free again")
    first.close()
    second.close()
