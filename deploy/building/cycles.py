"""Executed instructions and modelled cycles of a program on an emulated chip, between marks and by function.

A plugin of QEMU (`plugin/cycles.c`, compiled here for this machine when it is first needed) counts every instruction.
The cycles are those of a Cortex-M4 by its Technical Reference Manual, for memory without wait states; for other
cores, only the instructions are meaningful. `docs/benchmarks/cycles.md` compares the model with published cycles.

The program calls the function `MARK` where a count shall be split:

    chip_mark();  NAME_run(arena);  chip_mark();          two marks, one interval
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from deploy.building.cores import Core, Machine
from deploy.building.emulation import DEFAULT_SECONDS, run_elf
from network.errors import BuildError

MARK: Final = "chip_mark"
"""Name of the function whose calls divide a program into intervals."""

_HOST_COMPILER: Final = "gcc"
_COMPILE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Count:
    """What a part of a program costs.

    Attributes:
        instructions: Number of executed instructions.
        cycles: Number of cycles by the model of the Cortex-M4.
    """

    instructions: int
    cycles: int

    def __add__(self, other: Count) -> Count:
        """Return the sum of two counts."""
        return Count(self.instructions + other.instructions, self.cycles + other.cycles)

    def __sub__(self, other: Count) -> Count:
        """Return the difference of two counts."""
        return Count(self.instructions - other.instructions, self.cycles - other.cycles)


@dataclass(frozen=True, slots=True)
class CountedRun:
    """Counts of a program that ran on an emulated chip.

    Attributes:
        total: Count from the reset to the end.
        intervals: Count from each mark to the next one, in the order of execution.
        functions: Count of each function by its name, over the whole run.
    """

    total: Count
    intervals: tuple[Count, ...]
    functions: Mapping[str, Count]


def count_cycles(
    elf: Path, core: Core, *, machine: Machine | None = None, timeout_seconds: float = DEFAULT_SECONDS
) -> CountedRun:
    """Run an ELF file on an emulated chip and count its instructions and modelled cycles.

    Args:
        elf: The ELF file, linked for the machine, with its symbols.
        core: The core.
        machine: The emulated machine; None for the first of the core.
        timeout_seconds: Seconds after which the emulator is stopped.

    Raises:
        BuildError: if the host compiler or the emulator is missing, the program does not end in time, or it ends with
            another exit code than 0.
    """
    functions = _functions(elf)
    marks = [address for address, _, name in functions if name == MARK]
    with TemporaryDirectory() as directory:
        output = Path(directory) / "counts"
        options = f"{_plugin()},output={output}" + (f",marker={marks[0]:x}" if marks else "")
        done = run_elf(elf, core, machine=machine, timeout_seconds=timeout_seconds, more=("-plugin", options))
        if done.exit_code != 0:
            raise BuildError(
                f"the program ended with exit code {done.exit_code} on the emulated {core.name}; expected 0: "
                f"{done.output[-200:]!r}"
            )
        return _read(output.read_text(), functions)


def _read(text: str, functions: list[tuple[int, int, str]]) -> CountedRun:
    """Return the counts that the plugin wrote (the lines are described at the top of its source)."""
    marks: list[Count] = []
    total = Count(0, 0)
    by_function: dict[str, Count] = {}
    for line in text.splitlines():
        kind, *fields = line.split()
        if kind == "B":
            address = int(fields[0], 16)
            instructions, cycles, executions, refill_cycles = map(int, fields[1:])
            count = Count(instructions * executions, cycles * executions + refill_cycles)
            name = next((name for start, end, name in functions if start <= address < end), "?")
            by_function[name] = by_function.get(name, Count(0, 0)) + count
            continue
        count = Count(*map(int, fields))
        if kind == "M":
            marks.append(count)
        else:
            total = count
    intervals = tuple(later - earlier for earlier, later in pairwise(marks))
    return CountedRun(total, intervals, by_function)


def _functions(elf: Path) -> list[tuple[int, int, str]]:
    """Return the address, the address behind, and the name of each function of an ELF file."""
    with elf.open("rb") as file:
        tables = [each for each in ELFFile(file).iter_sections() if isinstance(each, SymbolTableSection)]
        return [
            (symbol["st_value"] & ~1, (symbol["st_value"] & ~1) + symbol["st_size"], symbol.name)  # bit 0: Thumb
            for table in tables
            for symbol in table.iter_symbols()
            if symbol["st_info"]["type"] == "STT_FUNC"
        ]


@cache
def _plugin() -> Path:
    """Compile the plugin for this machine once in a process, and return its path."""
    compiler = shutil.which(_HOST_COMPILER)
    if compiler is None:
        raise BuildError(f"{_HOST_COMPILER} was not found on PATH; install it to count cycles (the package gcc)")
    directory = Path(_directory().name)
    source, plugin = directory / "cycles.c", directory / "cycles.so"
    source.write_bytes(resources.files("deploy.building").joinpath("plugin/cycles.c").read_bytes())
    command = [compiler, "-std=c99", "-O2", "-shared", "-fPIC", str(source), "-o", str(plugin)]
    done = subprocess.run(  # noqa: S603  # the compiler that was found on PATH, with our own source
        command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
    )
    if done.returncode != 0:
        raise BuildError(f"{_HOST_COMPILER} cannot compile the plugin that counts cycles: {done.stderr[:300]}")
    return plugin


@cache
def _directory() -> TemporaryDirectory[str]:
    """Return the directory of the compiled plugin, which is removed when the process ends."""
    return TemporaryDirectory(prefix="bitbudget-plugin-")
