"""The store of objects: the same promises of a bucket of S3 and of a folder, and errors that say what to do."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from api.storage.objects.bundles import Bundles, Entry
from api.storage.objects.errors import DamagedObject, ObjectMissing, StoreUnavailable
from api.storage.objects.object_store import ObjectStore
from network.errors import RequestError
from tests.api.s3_server import S3Server, reaching


@pytest.fixture(params=["s3", "folder"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "folder":
        yield ObjectStore(f"file://{tmp_path / 'store'}")
        return
    server: S3Server = request.getfixturevalue("s3")
    with reaching(server):
        yield ObjectStore(server.new_store())


def test_an_object_is_written_listed_read_and_deleted(objects: ObjectStore, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 80_000)  # 20 MB: sent in pieces
    objects.check()
    assert objects.names("jobs") == []
    objects.write("jobs/1/a", b"small")
    objects.upload("jobs/1/b", large)
    objects.write("jobs/10/a", b"other")
    assert objects.names("jobs/1") == ["jobs/1/a", "jobs/1/b"]
    assert objects.read("jobs/1/a") == b"small"
    objects.write("jobs/1/a", b"new")
    assert objects.read("jobs/1/a") == b"new"
    objects.download("jobs/1/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == large.read_bytes()
    with pytest.raises(ObjectMissing, match="no object 'jobs/2/a'"):
        objects.read("jobs/2/a")
    with pytest.raises(ObjectMissing):
        objects.download("jobs/2/a", tmp_path / "none")
    objects.delete("jobs/1")
    objects.delete("jobs/1")
    assert objects.names("jobs") == ["jobs/10/a"]


def test_a_bundle_appears_with_its_manifest_and_is_checked(objects: ObjectStore, tmp_path: Path) -> None:
    bundles = Bundles(objects)
    for name in ("first", "second"):
        (tmp_path / name).write_text(name)
    with pytest.raises(ObjectMissing):
        bundles.manifest("networks/1")
    bundles.write("networks/1", {"n": tmp_path / "first", "folder/w": tmp_path / "second"})
    manifest = bundles.manifest("networks/1")
    digest = hashlib.sha256(b"second").hexdigest()
    assert manifest.entry("folder/w") == Entry(name="folder/w", size_bytes=6, sha256=digest)
    bundles.fetch("networks/1", manifest.entry("folder/w"), tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "second"
    objects.write(f"networks/1/{digest}", b"sec0nd")
    with pytest.raises(DamagedObject, match="does not have its SHA-256"):
        bundles.fetch("networks/1", manifest.entry("folder/w"), tmp_path / "copy")
    replaced = bundles.write("networks/1", {"n": tmp_path / "first"})
    bundles.delete_others("networks/1", replaced)
    assert len(objects.names("networks/1")) == 2
    objects.write("networks/1/manifest.json", b"{")
    with pytest.raises(DamagedObject, match="manifest of 'networks/1' in the store is damaged"):
        bundles.manifest("networks/1")


@pytest.mark.parametrize("name", ["../up", "a/../b", "/root", ".hidden", "a//b", "a/.b", "back\\slash", ""])
def test_a_manifest_cannot_name_a_file_outside_its_bundle(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Entry(name=name, size_bytes=1, sha256="0" * 64)


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3://key:secret@bucket/a",
        "http://host/bucket",
        "file://host/folder",
        "file:///",
        "bucket",
        "s3://b?x=1",
    ],
)
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(RequestError, match="expected s3://BUCKET/PREFIX") as refused:
        ObjectStore.of(Settings(store_url=url))
    assert "secret" not in str(refused.value)


def test_a_store_that_cannot_be_used_is_refused_at_the_start(s3: S3Server) -> None:
    with reaching(s3):
        with pytest.raises(RequestError, match="bucket does not exist; create the bucket"):
            ObjectStore("s3://missing-bucket/a").check()
        store = ObjectStore(s3.new_store())
        store.check()
        s3.proxy.cut()
        try:
            with pytest.raises(RequestError, match="check the URL, the endpoint"):
                store.check()
            with pytest.raises(StoreUnavailable, match="try again later") as refused:
                store.names("jobs")
        finally:
            s3.proxy.restore()
        assert refused.value.headers == {"Retry-After": "10"}
        store.check()
        with s3.demanding_keys(), pytest.raises(RequestError, match="check the keys"):
            store.check()


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(RequestError, match=r"pip install 'bitbudget\[s3\]'"):
        ObjectStore("s3://bucket/prefix")
