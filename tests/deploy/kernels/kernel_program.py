"""Compilation of the kernels with kernel_program.c, and its runs on cases."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from deploy.kernels import kernel_functions, kernel_source, kernels_header
from tests.deploy.kernels.kernel_cases import Case

WARNINGS: Final = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-pedantic", "-Werror")
SANITIZERS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def write_kernels(folder: Path) -> Path:
    """Write the header and all kernels as two files; return the path of the kernels."""
    (folder / "kernels.h").write_text(kernels_header(), encoding="utf-8")
    source = folder / "kernels.c"
    source.write_text('#include "kernels.h"\n\n' + kernel_source(kernel_functions()), encoding="utf-8")
    return source


def build(folder: Path, compiler: str, *flags: str) -> Path:
    """Compile the kernels under sanitizers and link them with kernel_program.c; return the path of the program."""
    source = write_kernels(folder)
    program = folder / f"kernels_{compiler}"
    main = Path(__file__).with_name("kernel_program.c")
    command = [compiler, "-O1", "-g", *WARNINGS, *SANITIZERS, *flags, f"-I{folder}"]
    done = subprocess.run(
        [*command, str(source), str(main), "-o", str(program)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return program


def check(program: Path, cases: Sequence[Case]) -> None:
    """Run cases and compare each byte of their arenas with the interpreter's."""
    given, found = program.with_suffix(".cases"), program.with_suffix(".results")
    given.write_bytes(b"".join(np.uint32(len(case.words)).tobytes() + case.words.tobytes() for case in cases))
    done = subprocess.run([str(program), str(given), str(found)], check=False, capture_output=True, text=True)
    results, offset = np.frombuffer(found.read_bytes(), dtype=np.uint8), 0
    for case in cases:
        result = results[offset : offset + len(case.expected)]
        offset += len(case.expected)
        assert len(result) == len(case.expected), f"{case.name}: {done.stderr}"
        wrong = np.flatnonzero((result != case.expected) & case.compared)
        assert not len(wrong), f"{case.name}: bytes {wrong} are {result[wrong]}, expected {case.expected[wrong]}"
    assert done.returncode == 0, done.stderr
