"""The sizes of the constant structs, beside those that a compiler for 32-bit cores finds in the kernels' header."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from network.layers import AveragePool, Concat, Convolution, Padding, Shape
from network.memory.descriptors import STRUCT_BYTES, descriptor_bytes

HEADER = Path(__file__).parents[3] / "deploy" / "kernels" / "kernels.h"
COMPILERS = {
    "arm-none-eabi-gcc": ("-mthumb", "-mcpu=cortex-m0"),
    "riscv64-unknown-elf-gcc": ("-march=rv32imac", "-mabi=ilp32"),
}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_structs_have_the_sizes_that_a_compiler_gives_them(compiler: str) -> None:
    path = shutil.which(compiler)
    if path is None:
        pytest.skip(f"{compiler} is not installed")
    checks = "".join(f'_Static_assert(sizeof({name}) == {size}u, "{name}");\n' for name, size in STRUCT_BYTES.items())
    run = subprocess.run(
        [
            path,
            *COMPILERS[compiler],
            "-std=c11",
            "-ffreestanding",
            "-fsyntax-only",
            "-I",
            HEADER.parent,
            "-x",
            "c",
            "-",
        ],
        input=f'#include "kernels.h"\n{checks}',
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    assert run.returncode == 0


def test_every_struct_of_the_header_is_counted() -> None:
    names = re.findall(r"^\} (bb_\w+);", HEADER.read_text(encoding="utf-8"), flags=re.MULTILINE)
    one_line = re.findall(r"^typedef struct \{.*\} (bb_\w+);", HEADER.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {*names, *one_line} == set(STRUCT_BYTES)


def test_descriptors_by_hand() -> None:
    convolution = Convolution(name="c", inputs=("x",), output="y", output_channels=8, kernel=(3, 3), groups=2)
    assert descriptor_bytes(convolution, Shape(4, 8, 8)) == 8 + 56 + 2 * 24
    assert descriptor_bytes(Concat(name="c", inputs=("a", "b", "c"), output="y"), Shape(4)) == 8 + 24 + 3 * 20
    around = Padding(1, 1, 1, 1)
    pool = AveragePool(name="p", inputs=("x",), output="y", kernel=(3, 3), padding=around)
    # windows of 4, 6 and 9 elements; of 9 only, if padding counts
    assert descriptor_bytes(pool, Shape(4, 8, 8)) == 8 + 40 + 3 * 12
    counted = AveragePool(
        name="p", inputs=("x",), output="y", kernel=(3, 3), padding=around, count_includes_padding=True
    )
    assert descriptor_bytes(counted, Shape(4, 8, 8)) == 8 + 40 + 12
