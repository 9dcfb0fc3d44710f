"""Builds of the depthwise kernels with their harness, for the host and for chips that QEMU emulates, and their runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from deploy.kernels import kernel_source, kernels_header
from tests.deploy.kernels.depthwise_cases import Case, check, stream

HERE: Final = Path(__file__).parent

WARNINGS: Final = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-Wno-unused-function")
"""The inline functions that these two kernels do not use are unused here."""

SANITIZERS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")

MACHINES: Final = {
    "mps2-an385": ("-mcpu=cortex-m3",),
    "mps2-an386": ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
    "mps2-an500": ("-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-mfloat-abi=hard"),
    "mps3-an547": ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
}
"""Machine of QEMU -> options of its core."""

TICKS_OF_AN_INSTRUCTION: Final = {"mps2-an385": 1.6, "mps2-an386": 1.6, "mps2-an500": 1.6, "mps3-an547": 2.048}

SCRIPT: Final = """
SECTIONS {
  . = 0; .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
  . = 0x20000000; .data : { *(.data*) *(.bss*) *(COMMON) }
  . = ALIGN(8); stack_end = . + 0x4000;
  /DISCARD/ : { *(.ARM.exidx*) *(.comment) }
}
"""


def require(*programs: str) -> None:
    """Skip the test if a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def build_for_host(folder: Path, compiler: str, *options: str) -> Path:
    """Compile kernels and harness with sanitizers and warnings as errors."""
    require(compiler)
    program = folder / f"depthwise-{compiler}"
    command = [compiler, *WARNINGS, *SANITIZERS, "-O1", *options, str(_source(folder)), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def build_for_chip(folder: Path, machine: str, *options: str, compiler: str = "arm-none-eabi-gcc") -> Path:
    """Compile kernels and harness for a machine of QEMU."""
    require(compiler, "arm-none-eabi-gcc", "qemu-system-arm")
    core = ("-mthumb", *MACHINES[machine], "-ffreestanding", "-fno-tree-loop-distribute-patterns")
    script = folder / "chip.ld"
    script.write_text(SCRIPT)
    objects = []
    for source in (_source(folder), HERE / "depthwise_chip.c"):
        objects.append(str(folder / f"{source.stem}.o"))
        target = ("--target=thumbv7em-none-eabi",) if compiler == "clang" else ()
        only_gcc = tuple(each for each in core if compiler != "clang" or each != "-fno-tree-loop-distribute-patterns")
        subprocess.run(
            [compiler, *target, "-std=gnu99", "-O2", *only_gcc, *options, "-c", str(source), "-o", objects[-1]],
            check=True,
        )
    program = folder / f"depthwise-{machine}.elf"
    link = ["arm-none-eabi-gcc", *core, "-nostdlib", "-T", str(script), *objects, "-lgcc", "-o", str(program)]
    subprocess.run(link, check=True)
    return program


def run_on_host(program: Path, folder: Path, cases: Sequence[Case]) -> None:
    """Run cases on the host and check their arenas."""
    (folder / "cases.bin").write_bytes(stream(cases))
    done = subprocess.run([str(program)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check(cases, (folder / "results.bin").read_bytes())


def run_on_chip(program: Path, folder: Path, machine: str, cases: Sequence[Case]) -> list[float]:
    """Run cases on an emulated chip, check their arenas, and return the number of instructions of each."""
    (folder / "cases.bin").write_bytes(stream(cases))
    command = [
        "qemu-system-arm", "-M", machine, "-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=6",
        "-semihosting-config", "enable=on,target=native", "-kernel", str(program),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, (done.returncode, done.stderr)
    ticks = check(cases, (folder / "results.bin").read_bytes())
    return [each / TICKS_OF_AN_INSTRUCTION[machine] for each in ticks]


def _source(folder: Path) -> Path:
    source = folder / "depthwise.c"
    harness = (HERE / "depthwise_harness.c").read_text()
    source.write_text(kernels_header() + kernel_source(["bb_depthwise", "bb_depthwise_3x3"]) + harness)
    return source
