"""Log of a job: bounded, the newest part is kept, and its last lines are readable in an error message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.execution import log_writer
from api.execution.log_tail import MAX_CHARACTERS, MAX_LINES, last_lines
from api.execution.log_writer import CHUNK_BYTES, NOTE

LIMIT_BYTES = 4 * CHUNK_BYTES


def write(log: Path, content: bytes, before: str = "") -> int:
    """Send an output to a log writer, as a worker does, and return the largest size of the log while it was written."""
    writer = subprocess.Popen(
        ["/bin/bash", "-c", f'{before} exec "$0" "$@"', sys.executable, "-I", "-S", log_writer.__file__, str(log),
         str(LIMIT_BYTES)],
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert writer.stdin is not None
    largest = 0
    for start in range(0, len(content), CHUNK_BYTES):
        writer.stdin.write(content[start : start + CHUNK_BYTES])
        largest = max(largest, log.stat().st_size if log.exists() else 0)
    writer.stdin.close()
    assert writer.wait(20) == 0
    return max(largest, log.stat().st_size)


def test_an_output_is_copied_byte_by_byte_and_appended(tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    write(tmp_path / "log.txt", content)
    write(tmp_path / "log.txt", b"second attempt")
    assert (tmp_path / "log.txt").read_bytes() == content + b"second attempt"


def test_an_endless_output_fills_no_disk_and_its_newest_lines_are_kept(tmp_path: Path) -> None:
    lines = [f"line {number}\n".encode() for number in range(300_000)]
    content = b"".join(lines)
    assert len(content) > 10 * LIMIT_BYTES
    assert write(tmp_path / "log.txt", content) <= LIMIT_BYTES
    kept = (tmp_path / "log.txt").read_bytes()
    assert kept.startswith(NOTE)
    assert content.endswith(kept.removeprefix(NOTE))
    assert kept.removeprefix(NOTE).splitlines(keepends=True)[0] in lines, "it starts with a whole line"
    assert len(kept) > LIMIT_BYTES // 2 - CHUNK_BYTES


def test_a_log_that_cannot_be_written_stops_no_worker(tmp_path: Path) -> None:
    """The limit on the size of files stands for a full disk: the writer reads on, so that the worker never waits."""
    log = tmp_path / "log.txt"
    write(log, b"x\n" * CHUNK_BYTES, before="ulimit -f 16; trap '' XFSZ;")
    assert 0 < log.stat().st_size <= 16 * 1024


@pytest.mark.parametrize("content", [b"", b"no line break", b"a" * 100_000, "ä\n".encode() * 50_000])
def test_the_last_lines_are_short_and_printable(tmp_path: Path, content: bytes) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(content)
    shown = last_lines(log)
    assert len(shown) <= MAX_CHARACTERS
    assert len(shown.splitlines()) <= MAX_LINES
    assert content.decode().strip().endswith(shown)


def test_control_characters_of_a_log_are_not_shown(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"first\n\x1b[31mred\x00\xff\nlast\n")
    assert last_lines(log) == "first\n [31mred \ufffd\nlast"
    assert last_lines(tmp_path / "missing") == ""


def test_a_writer_needs_no_package(tmp_path: Path) -> None:
    """The writer must start where the packages of bitbudget are not importable, and leave no file open."""
    code = f"import runpy, sys; sys.argv = ['', '{tmp_path / 'log.txt'}', '{LIMIT_BYTES}']; "
    code += f"runpy.run_path({log_writer.__file__!r}, run_name='__main__'); print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], input=b"words", capture_output=True, check=True, cwd=os.sep
    )
    assert not {"numpy", "api", "logging"} & set(done.stdout.decode().split())
    assert (tmp_path / "log.txt").read_bytes() == b"words"
