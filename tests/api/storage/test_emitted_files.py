"""A tree of emitted files replaces only what was emitted, and is finished after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.storage.emitted_files import MANIFEST_FILE, write_emitted
from network.errors import RequestError

FIRST = {"src/a.c": b"first a", "src/b.c": b"first b", "main.c": b"first main"}
SECOND = {"src/a.c": b"second a", "src/c.c": b"second c", "main.c": b"first main"}


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != MANIFEST_FILE
    }


def test_an_earlier_emission_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    assert write_emitted(FIRST, out, {"name": "net"}) == sorted([*FIRST, MANIFEST_FILE])
    assert contents(out) == FIRST
    assert json.loads((out / MANIFEST_FILE).read_text())["name"] == "net"
    (out / "build").mkdir()
    (out / "build" / "cache").write_bytes(b"of a build")
    write_emitted(SECOND, out, {"name": "net"})
    assert contents(out) == SECOND | {"build/cache": b"of a build"}


@pytest.mark.parametrize("path", ["src/a.c", "src/b.c", "src/c.c"])
def test_a_file_of_somebody_else_is_not_replaced(path: str, tmp_path: Path) -> None:
    """Changed and replaced, changed and no longer emitted, or never emitted."""
    write_emitted(FIRST, tmp_path, {})
    (tmp_path / path).write_bytes(b"of the user")
    before = contents(tmp_path)
    with pytest.raises(RequestError, match=f"{path}' was changed after it was emitted, or comes from elsewhere"):
        write_emitted(SECOND, tmp_path, {})
    assert contents(tmp_path) == before


def test_a_folder_or_link_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "main.c").mkdir()
    with pytest.raises(RequestError, match="comes from elsewhere"):
        write_emitted(FIRST, tmp_path, {})
    other = tmp_path / "other"
    other.mkdir()
    (other / "main.c").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RequestError, match="comes from elsewhere"):
        write_emitted(FIRST, other, {})
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RequestError, match="is a file; expected a directory"):
        write_emitted(FIRST, tmp_path / "file", {})


def test_an_interrupted_emission_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_emitted(FIRST, tmp_path, {})
    written: list[Path] = []

    def fails_at_the_second(path: Path, content: bytes | str) -> None:
        if written:
            raise OSError(28, "No space left on device")
        written.append(path)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    monkeypatch.setattr("api.storage.emitted_files.write_atomically", fails_at_the_second)
    with pytest.raises(RequestError, match="No space left on device"):
        write_emitted(SECOND, tmp_path, {})
    monkeypatch.undo()
    assert contents(tmp_path) == FIRST | {"src/a.c": b"second a"}
    write_emitted(SECOND, tmp_path, {})
    assert contents(tmp_path) == SECOND


@pytest.mark.parametrize("files", [{"../x": ""}, {"/etc/x": ""}, [], {"": ""}], ids=str)
def test_a_manifest_with_paths_outside_is_rejected(files: object, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_FILE).write_text(json.dumps({"files": files}))
    with pytest.raises(RequestError, match=MANIFEST_FILE):
        write_emitted(FIRST, tmp_path, {})
    assert contents(tmp_path) == {}
