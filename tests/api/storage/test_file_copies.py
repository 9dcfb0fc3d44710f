"""Files of a folder are copied as a whole, and what is not finished is not copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.storage.file_copies import copies_of, write_copies


def test_a_folder_gets_the_files_of_another_one_and_no_more(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "points" / "100").mkdir(parents=True)
    (source / "checkpoint").write_bytes(b"new")
    (source / "points" / "100" / "report").write_bytes(b"\0\xff")
    (source / ".checkpoint.partial").write_bytes(b"unfinished")
    copies = copies_of(source)
    assert copies == {"checkpoint": b"new", "points/100/report": b"\0\xff"}
    target.mkdir()
    (target / "checkpoint").write_bytes(b"old")
    (target / "step").write_bytes(b"of the old one")
    write_copies(copies, target)
    assert copies_of(target) == copies
    assert sorted(path.name for path in target.rglob("*")) == ["100", "checkpoint", "points", "report"]


def test_a_folder_that_was_taken_over_is_not_made_again(tmp_path: Path) -> None:
    """The directory of an attempt is renamed by the next one: the earlier attempt must not find a place to write."""
    assert copies_of(tmp_path / "gone" / "checkpoint") == {}
    with pytest.raises(FileNotFoundError):
        write_copies({"checkpoint": b"late"}, tmp_path / "gone" / "checkpoint")
    assert not (tmp_path / "gone").exists()
