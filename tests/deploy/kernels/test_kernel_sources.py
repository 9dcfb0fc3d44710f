"""The sources of the kernels: what the loader puts together, and what compilers and static analysers say of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from deploy.kernels import kernel_functions, kernel_source, kernels_header
from tests.deploy.kernels.kernel_program import WARNINGS, write_kernels

CORES: Final = {
    "cortex-m0": ("arm-none-eabi", ("-mthumb", "-mcpu=cortex-m0")),
    "cortex-m4": ("arm-none-eabi", ("-mthumb", "-mcpu=cortex-m4")),
    "riscv": ("riscv64-unknown-elf", ("-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs")),
}
ROOT: Final = Path(__file__).parents[3]
MISRA_PAGE: Final = ROOT / "docs" / "misra.md"
COMMENT: Final = re.compile(r"^[ \t]*/\*.*?\*/", re.MULTILINE | re.DOTALL)
"""A comment that starts its line, with the indentation."""

COMMENT_WIDTH: Final = 120
BUILD: Final = ("-ffunction-sections", "-fdata-sections", "-fno-tree-loop-distribute-patterns", "-c")

MULTIPLIES_IN_64_BITS: Final = re.compile(
    r"bb_(add_wide|average_pool|max_pool|concat|pad|dot\d_wide_\d|depthwise|depthwise_3x3)$"
)
"""Functions that need the product of two 32-bit numbers, which a core without this instruction computes by a call."""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


@pytest.mark.parametrize("folder", ["deploy", "tests", "benchmarks"])
def test_comments_of_c_files_have_at_most_120_characters_a_line(folder: str) -> None:
    files = sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in {".c", ".h"})
    assert files
    long = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in files
        for comment in COMMENT.findall(path.read_text(encoding="utf-8"))
        for line in comment.split("\n")
        if len(line) > COMMENT_WIDTH
    ]
    assert long == []


def test_only_the_given_functions_are_taken() -> None:
    source = kernel_source(["bb_pointwise", "bb_widen_8"])
    assert set(re.findall(r"BB_KERNEL [a-z0-9_]+ (\w+)\(", source)) == {"bb_pointwise", "bb_widen_8"}
    assert kernel_source(["bb_widen_8", "bb_pointwise", "bb_widen_8"]) == source


def test_parts_of_dot_products_come_with_those_of_the_same_columns() -> None:
    one, two = kernel_source(["bb_dot1_4"]), kernel_source(["bb_dot2_4"])
    assert ("BB_DOT1_START(" in one, "BB_DOT2_START(" in one) == (True, False)
    assert ("BB_DOT1_START(" in two, "BB_DOT2_START(" in two) == (False, True)
    assert "BB_ENTRY(" in one
    assert "BB_ENTRY(" in two


def test_a_function_without_source_is_refused() -> None:
    with pytest.raises(ValueError, match="no source of bb_missing; expected names of bb_add, bb_add_wide, "):
        kernel_source(["bb_missing", "bb_add"])


def test_each_source_has_the_function_of_its_name() -> None:
    assert kernel_functions()
    for function in kernel_functions():
        assert f" {function}(" in kernels_header() or f"({function})" in kernels_header(), function
        assert re.search(rf"^BB_KERNEL [a-z0-9_]+ {function}\(", kernel_source([function]), re.MULTILINE), function


def test_every_name_can_be_replaced_by_its_prefix() -> None:
    """All types, functions and macros begin with bb_ or BB_, so that two networks link into one program."""
    text = kernels_header() + kernel_source(kernel_functions())
    names = re.findall(r"^#define (\w+)|^\} (\w+);|^(?:BB_INLINE|BB_KERNEL)[^(;]* (\w+)\(", text, re.MULTILINE)
    found = {name for names_of_kind in names for name in names_of_kind if name}
    assert len(found) > 50
    assert [name for name in found if not name.lower().startswith("bb_")] == []


@pytest.mark.parametrize("optimization", ["-Os", "-O2", pytest.param("-O3", marks=pytest.mark.long)])
@pytest.mark.parametrize("core", CORES)
def test_kernels_compile_for_chips(core: str, optimization: str, tmp_path: Path) -> None:
    """No warning, no data, no call of a library but 64-bit products where the core has no instruction for them."""
    prefix, flags = CORES[core]
    need(f"{prefix}-gcc")
    target = tmp_path / "kernels.o"
    done = run(f"{prefix}-gcc", *WARNINGS, *BUILD, optimization, *flags, write_kernels(tmp_path), "-o", target)
    assert done.returncode == 0, done.stderr
    undefined = run(f"{prefix}-nm", "-u", target).stdout.split()[1::2]
    assert undefined == (["__aeabi_lmul"] if core == "cortex-m0" else [])
    sizes = re.findall(r"^(\.\S+)\s+(\d+)", run(f"{prefix}-size", "-A", target).stdout, re.MULTILINE)
    assert {
        name for name, size in sizes if int(size) and name.startswith((".data", ".bss", ".sdata", ".sbss"))
    } == set()
    code = run(f"{prefix}-objdump", "-dr", target).stdout
    callers = set()
    for line in code.splitlines():
        if label := re.match(r"[0-9a-f]+ <(\w+)>:", line):
            function = label[1]
        elif "__aeabi_lmul" in line:
            callers.add(function)
    assert [name for name in sorted(callers) if not MULTIPLIES_IN_64_BITS.match(name)] == []


@pytest.mark.parametrize("level", ["0", "1"])
def test_cppcheck_finds_nothing(level: str, tmp_path: Path) -> None:
    need("cppcheck")
    # objectIndex: cppcheck takes a pointer in a struct for an array of one element
    done = run(
        "cppcheck", "--enable=warning,portability", "--std=c99", "--platform=unix32", "-q", "--error-exitcode=3",
        "--suppress=objectIndex", f"-DBB_LEVEL={level}", write_kernels(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("level", ["0", "1"])
def test_the_deviations_from_misra_are_listed(level: str, tmp_path: Path) -> None:
    need("cppcheck")
    done = run(
        "cppcheck", "--addon=misra", "--std=c99", "--platform=unix32", "-q", f"-DBB_LEVEL={level}",
        write_kernels(tmp_path),
    )  # fmt: skip
    if "Did not find addon" in done.stderr:
        pytest.skip("cppcheck has no addon for MISRA")
    found = set(re.findall(r"\[misra-c2012-([\d.]+)\]", done.stderr))
    page = MISRA_PAGE.read_text(encoding="utf-8")
    listed = {rule for cell in re.findall(r"^\| ([\d., ]+) \|", page, re.MULTILINE) for rule in cell.split(", ")}
    assert "17.8" in found
    assert found - listed == set()


@pytest.mark.long
def test_clang_tidy_finds_nothing(tmp_path: Path) -> None:
    need("clang-tidy", "arm-none-eabi-gcc")
    checks = (
        "-*,bugprone-*,-bugprone-easily-swappable-parameters,clang-analyzer-*,cert-*,misc-*,performance-*,portability-*"
    )
    done = run(
        "clang-tidy", "--quiet", "--warnings-as-errors=*", f"--checks={checks}", write_kernels(tmp_path), "--",
        "-std=c99", "--target=thumbv7m-none-eabi", "-mcpu=cortex-m3", "-isystem", "/usr/include/newlib",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
