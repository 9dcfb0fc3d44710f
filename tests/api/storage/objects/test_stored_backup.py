"""Backup and restore of a service with a store, which is also the way from a data directory into a store and back."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.schemas.job_state import JobState
from api.services.networks import Networks
from api.settings import Settings
from api.storage.backup.archive import BackupError
from api.storage.backup.making import make_backup
from api.storage.backup.restoring import restore_backup
from api.storage.database import Store
from api.storage.objects.errors import StoreUnavailable
from api.storage.objects.object_store import ObjectStore
from api.storage.objects.opening import opened_store
from api.storage.objects.stored_attempts import StoredAttempts
from network.errors import RequestError
from tests.api.http.test_weight_files import form, saved
from tests.api.local_service import local_service
from tests.api.s3_server import S3Server, reaching
from tests.api.small_files import tiny_dataset

JOB = "a" * 32


@pytest.fixture
def url(s3: S3Server) -> Iterator[str]:
    with reaching(s3):
        yield s3.new_store()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path]:
    """Return the settings and a backup of a data directory with a network, a dataset, and a job with a checkpoint."""
    folder = tmp_path_factory.mktemp("filled")
    settings = Settings(data_directory=folder / "data")
    with local_service(settings.data_directory) as (_, client):
        network = client.post("/v1/networks", files=form(saved(folder / "saved")))
        dataset = client.post("/v1/datasets", files={"file": ("data.npz", tiny_dataset())})
        assert (network.status_code, dataset.status_code) == (201, 201)
    store = Store(settings.database)
    store.add_job(JOB, {"network_id": network.json()["id"], "dataset": dataset.json()["id"]}, None)
    store.change_job(JOB, [JobState.QUEUED], state=JobState.RUNNING, attempt=3)
    store.close()
    checkpoint = settings.jobs_directory / JOB / "attempt-3" / "checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "epoch").write_text("7")
    (settings.jobs_directory / JOB / "log.txt").write_text("output")
    make_backup(settings, folder / "first.tar")
    return settings, folder / "first.tar"


def entries(backup: Path) -> set[str]:
    """Return the SHA-256 of each content of a backup that is no record."""
    with tarfile.open(backup) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        found: list[dict[str, Any]] = json.load(manifest)["entries"]
    return {f"{each['name']} {each['sha256']}" for each in found if not each["name"].startswith("database/")}


def test_from_a_data_directory_into_a_store_and_back(
    tmp_path: Path, s3: S3Server, url: str, filled: tuple[Settings, Path]
) -> None:
    first, backup = filled
    with pytest.raises(RequestError, match="has the files of a service without a store; make a backup"):
        opened_store(Settings(data_directory=first.data_directory, store_url=url))
    second = Settings(data_directory=tmp_path / "second", store_url=url)
    assert restore_backup(backup, second).files == 2
    names = {str(path.relative_to(second.data_directory)) for path in second.data_directory.rglob("*")}
    assert names == {"bitbudget.sqlite", "jobs", f"jobs/{JOB}", f"jobs/{JOB}/log.txt"}
    assert {name.partition("/")[0] for name in s3.objects(url)} == {"networks", "datasets", "jobs"}
    assert StoredAttempts(ObjectStore(str(second.store_url)), JOB).numbers() == [3]
    with pytest.raises(BackupError, match=r"store 's3://.*' is not empty"):
        restore_backup(backup, Settings(data_directory=tmp_path / "other", store_url=url))
    make_backup(second, tmp_path / "second.tar")
    assert entries(tmp_path / "second.tar") == entries(backup)
    third = Settings(data_directory=tmp_path / "third")
    restore_backup(tmp_path / "second.tar", third)
    for path in first.data_directory.rglob("*"):
        name = path.relative_to(first.data_directory)
        if path.is_file() and name.parts[0] in {"networks", "datasets", "jobs"} and name.name != "lock":
            assert (third.data_directory / name).read_bytes() == path.read_bytes()
    store = Store(second.database)
    (network,) = store.files("network")
    assert Networks(store, second).with_weights(network.id).name == "model"
    store.close()
    with pytest.raises(RequestError, match="is that of a service with a store; give its URL by BITBUDGET_STORE"):
        opened_store(Settings(data_directory=second.data_directory))


def test_a_restore_without_the_store_changes_nothing(
    tmp_path: Path, s3: S3Server, url: str, filled: tuple[Settings, Path]
) -> None:
    second = Settings(data_directory=tmp_path / "second", store_url=url)
    s3.proxy.cut()
    try:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            restore_backup(filled[1], second)
    finally:
        s3.proxy.restore()
    assert s3.objects(url) == {}
    assert not second.data_directory.exists()
    assert restore_backup(filled[1], second).jobs == 1


def test_what_is_missing_in_the_store_is_a_warning(
    tmp_path: Path, s3: S3Server, url: str, filled: tuple[Settings, Path]
) -> None:
    settings = Settings(data_directory=tmp_path / "data", store_url=url)
    restore_backup(filled[1], settings)
    for name in s3.objects(url):
        if name.startswith("networks"):
            s3.change(url, name, b"damaged")
    summary = make_backup(settings, tmp_path / "data.tar")
    assert (summary.files, summary.jobs) == (1, 1)
    (warning,) = summary.warnings
    assert warning.startswith("the file of the network ")
    assert warning.endswith(" is missing or damaged; upload it again")
