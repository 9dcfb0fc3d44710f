"""The firmware engineer's page: each of its commands runs as it stands there, and prints what the page shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "firmware.md"
TOOLS = ("bash", "cmake", "gcc", "arm-none-eabi-gcc", "qemu-system-arm")

BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```$(?:\n\n^```text\n(?P<shown>.*?)^```$)?", re.MULTILINE | re.DOTALL)


def assert_shown(shown: str, printed: str) -> None:
    """Check that each shown line begins a later line of the output than the one before; `...` stands for any lines."""
    lines = iter(printed.splitlines())
    for line in shown.splitlines():
        if line != "...":
            assert any(each.startswith(line) for each in lines), f"not printed: {line!r}\n{printed[-3000:]}"


def test_a_shown_line_must_be_printed() -> None:
    assert_shown("a\n...\nc", "a 1\nb\nc 2\n")
    with pytest.raises(AssertionError, match="not printed: 'a'"):
        assert_shown("c\na", "a 1\nb\nc 2\n")


@pytest.mark.long
@pytest.mark.skipif(any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}")
def test_the_commands_run_and_print_what_is_shown(tmp_path: Path) -> None:
    """In a folder with the examples; `bitbudget` is that of this Python."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "bitbudget").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bitbudget "$@"\n')
    (programs / "bitbudget").chmod(0o755)
    path = os.pathsep.join((str(programs), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    shell = shutil.which("bash") or ""
    blocks = list(BLOCK.finditer(PAGE.read_text(encoding="utf-8")))
    assert len(blocks) == 5
    for block in blocks:
        done = subprocess.run(
            [shell, "-e", "-c", block["commands"]], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{block['commands']}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert_shown(block["shown"] or "", done.stdout)
