"""What a person sees: plain rows in a pipe; colours, and rows that fit, on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from api.cli.text.progress import progress_line
from qat.progress import Progress
from tests.api.live_service import ROOT
from tests.api.small_files import tiny_json

LONG_NAME = "a_layer_with_a_name_that_is_longer_than_a_line_of_a_terminal_" + "x" * 60
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.json"
    path.write_bytes(tiny_json().replace(b'"last"', f'"{LONG_NAME}"'.encode()))
    return path


def command(network_file: Path, flash: int = 6000) -> list[str]:
    return [sys.executable, "-m", "api.cli.main", "fit", str(network_file), f"--flash={flash}", "--ram=1kB"]


def piped(network_file: Path, **environment: str) -> str:
    done = subprocess.run(
        command(network_file), cwd=ROOT, env=os.environ | environment, capture_output=True, check=True
    )
    return done.stdout.decode(environment.get("PYTHONIOENCODING", "utf-8"))


def on_terminal(columns: int, arguments: list[str]) -> tuple[str, int]:
    """Return the output of a command on a terminal with a number of columns, and the exit code."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR", "CI"}}
    with subprocess.Popen(
        arguments, cwd=ROOT, env=environment | {"TERM": "xterm-256color"}, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        output = bytearray()
        while chunk := _read(main):
            output += chunk
    os.close(main)
    return output.decode(), process.returncode


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux reports this if the other end is closed
        return b""


def test_a_pipe_gets_one_line_for_each_row_without_control_characters(network_file: Path) -> None:
    text = piped(network_file, COLUMNS="80", TERM="xterm-256color")
    lines = text.splitlines()
    assert "\x1b" not in text
    assert "\r" not in text
    assert [line for line in lines if line != line.rstrip()] == []
    (row,) = [line for line in lines if line.startswith(LONG_NAME)]
    assert row.split()[1:3] == ["fully_connected", "8"]
    assert re.search(r" [█·]{20}", row)
    assert lines[-1] == "FITS"


def test_bars_are_ascii_where_the_output_is(network_file: Path) -> None:
    text = piped(network_file, PYTHONIOENCODING="ascii")
    assert re.search(r" [#.]{20}( peak)?\n", text)
    assert text.isascii()


@pytest.mark.parametrize("columns", [60, 80, 260])
def test_a_terminal_gets_colours_and_no_line_that_is_too_long(network_file: Path, columns: int) -> None:
    text, code = on_terminal(columns, command(network_file))
    plain = STYLE.sub("", text)
    assert code == 0
    assert max(map(len, plain.splitlines())) <= columns
    assert LONG_NAME in re.sub(r"\s", "", plain), "a name may continue on the next line; it is not cut"
    assert "…" not in plain
    assert "\x1b[1;32mFITS" in text, "bold and green"
    assert ("█" in plain.split("shared")[0]) is (columns == 260), "bars where there is room"


def test_what_does_not_fit_is_red(network_file: Path) -> None:
    text, code = on_terminal(100, command(network_file, flash=100))
    assert code == 1
    assert "\x1b[1;31mDOES NOT FIT" in text


def test_progress_is_a_line_for_each_stage_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_line(is_wanted=True) as report:
        for step in range(3):
            report(Progress("calibrating", step=step, steps=3))
        report(Progress("training", epoch=1, epochs=2))
    assert capsys.readouterr().err.splitlines() == ["calibrating", "training  epoch 1 of 2"]


def test_progress_is_a_bar_on_a_terminal_and_disappears() -> None:
    program = (
        "import time; from api.cli.text.progress import progress_line; from qat.progress import Progress\n"
        "with progress_line(is_wanted=True) as report:\n"
        "    for step in range(4):\n"
        "        report(Progress('training', step=step, steps=4)); time.sleep(0.11)\n"
        "print('done')"
    )
    text, code = on_terminal(80, [sys.executable, "-c", program])
    assert code == 0
    assert "training  step 3 of 4" in text
    assert "━" in text
    assert STYLE.sub("", text).rstrip().endswith("\x1b[2Kdone"), "the line of the bar is erased before the answer"
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1, "the cursor is shown again"
