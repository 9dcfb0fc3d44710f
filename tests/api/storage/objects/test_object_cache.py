"""The cache of objects on the local disk: filled once, bounded, and never emptied under somebody's hands."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from api.storage.objects.cache import ObjectCache


class Source:
    """Objects that count how often they are fetched."""

    def __init__(self) -> None:
        self.fetched: list[str] = []

    def hold(self, cache: ObjectCache, name: str, holds: ExitStack, *, is_checked: bool = False) -> Path:
        def fetch(target: Path) -> None:
            self.fetched.append(name)
            target.write_bytes(name.encode() * 10)

        digest = hashlib.sha256(name.encode() * 10).hexdigest()
        return cache.hold(name, fetch, holds, check_sha256=digest if is_checked else None)


def used_at(path: Path, seconds: float) -> None:
    os.utime(path, (seconds, seconds))


def test_an_object_is_fetched_once_and_the_least_recently_used_is_deleted(tmp_path: Path) -> None:
    cache, source = ObjectCache(tmp_path / "cache", max_bytes=25), Source()
    for number, name in enumerate("ab"):
        with ExitStack() as holds:
            path = source.hold(cache, name, holds)
            assert path.read_bytes() == name.encode() * 10
            used_at(path, 1000.0 + number)
    with ExitStack() as holds:
        source.hold(cache, "a", holds)  # from now on, b is the one that was used least recently
    with ExitStack() as holds:
        source.hold(cache, "c", holds)
    assert source.fetched == ["a", "b", "c"]
    assert sorted(each.name for each in (tmp_path / "cache").iterdir()) == ["a", "c"]


def test_a_copy_in_use_is_not_deleted(tmp_path: Path) -> None:
    cache, source = ObjectCache(tmp_path / "cache", max_bytes=0), Source()
    with ExitStack() as holds:
        first = source.hold(cache, "a", holds)
        other = ObjectCache(tmp_path / "cache", max_bytes=0)  # as another process has it
        second = source.hold(other, "b", holds)
        other.make_room()
        assert first.exists()
        assert second.exists()
    cache.make_room()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_copy_that_the_disk_has_damaged_is_fetched_again(tmp_path: Path) -> None:
    cache, source = ObjectCache(tmp_path / "cache", max_bytes=100), Source()
    with ExitStack() as holds:
        path = source.hold(cache, "a", holds)
        path.write_bytes(b"damage")
        assert source.hold(cache, "a", holds).read_bytes() == b"damage", "reading it each time would cost time"
        assert source.hold(cache, "a", holds, is_checked=True).read_bytes() == b"a" * 10
    assert source.fetched == ["a", "a"]


def test_a_failed_fetch_leaves_nothing(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "cache", max_bytes=100)

    def fetch(target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError("cut off")

    with ExitStack() as holds, pytest.raises(OSError, match="cut off"):
        cache.hold("a", fetch, holds)
    assert list((tmp_path / "cache").iterdir()) == []


def test_incomplete_copies_of_killed_processes_are_deleted(tmp_path: Path) -> None:
    old, new, upload = tmp_path / "cache" / ".a.1", tmp_path / "cache" / ".b.2", tmp_path / "upload"
    old.parent.mkdir()
    for path in (old, new, upload):
        path.write_bytes(b"bytes")
    used_at(old, 1000.0)
    ObjectCache(old.parent, max_bytes=100).add("c", upload)
    assert sorted(each.name for each in old.parent.iterdir()) == [".b.2", "c"]
