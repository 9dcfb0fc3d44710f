"""A file is replaced as a whole or not at all, and no temporary file is left."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from deploy.atomic_write import replacing, write_atomically


@pytest.mark.parametrize(("content", "expected"), [(b"\x00\xff", b"\x00\xff"), ("é", b"\xc3\xa9"), ("", b"")])
def test_creates_and_replaces(tmp_path: Path, content: bytes | str, expected: bytes) -> None:
    path = tmp_path / "file"
    for _ in range(2):
        write_atomically(path, content)
        assert path.read_bytes() == expected
        assert list(tmp_path.iterdir()) == [path]


def test_file_and_directory_are_synced_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append(f"{name}, {'renamed' if path.exists() else 'not renamed'}")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_atomically(path, b"content")
    assert synced == [f".file.{os.getpid()}.partial, not renamed", f"{tmp_path.name}, renamed"]


def test_a_failure_keeps_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half of the ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "nowhere" / "file", b"new")
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_the_only_writer_overwrites_what_a_killed_process_left(tmp_path: Path) -> None:
    (tmp_path / ".file.partial").write_bytes(b"left by a process that was killed")
    with replacing(tmp_path / "file", is_only_writer=True) as temporary:
        temporary.write_bytes(b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"new"}


@pytest.mark.parametrize(("code", "is_error"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_does_not_sync_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, is_error: bool
) -> None:
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(code, "directory")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    if is_error:
        with pytest.raises(OSError, match="directory"):
            write_atomically(tmp_path / "file", b"new")
    else:
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
