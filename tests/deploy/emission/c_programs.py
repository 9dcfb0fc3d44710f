"""Compilation and runs of generated C on the host, for the tests of the emission."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
"""The flags under which every generated file compiles without a warning."""

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs the compiler gcc")


def write(files: Mapping[str, bytes], directory: Path) -> Path:
    """Write files to a directory, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


def compiled(directory: Path, sources: Iterable[str], *, compiler: str = "gcc", flags: Iterable[str] = STRICT) -> Path:
    """Compile and link sources of a directory, and return the program."""
    program = directory / "program"
    command = [compiler, *flags, *sources, "-o", program.name]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return program


def sources_of(files: Iterable[str], main: str | None = "main.c") -> list[str]:
    """Return the names of the C sources of a network, with the given main program instead of the example."""
    return [*sorted(name for name in files if name.endswith(".c") and name != "main.c"), *([main] if main else [])]


def output_of(program: Path) -> bytes:
    """Run a program and return what it writes to the standard output."""
    done = subprocess.run([program], capture_output=True, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stdout!r} {done.stderr!r}"
    return done.stdout
