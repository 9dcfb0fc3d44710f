"""Programs on an emulated chip (QEMU): their output, their exit code, and exact counts of executed instructions.

QEMU runs with `-icount`, so that its clock advances by 2^shift nanoseconds for each instruction and every count is
reproducible. The firmware reads SysTick (ARM) or `minstret` (RISC-V); `Machine.counter_hz` converts ticks to
instructions:

    instructions = ticks / (counter_hz * 2^shift / 10^9)        exact to one tick
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.building.cores import Architecture, Core, Machine
from deploy.building.toolchains import command_path, emulator_command
from network.errors import BuildError

SHIFT: Final = {Architecture.ARM: 6, Architecture.RISCV: 0}
"""Architecture -> QEMU's icount shift: an instruction advances the clock by 2^shift nanoseconds."""

DEFAULT_SECONDS: Final = 120
"""Seconds after which the emulator is stopped."""

FAULT: Final = 99
"""Exit code of the start code if the core stops at an invalid instruction or address."""


@dataclass(frozen=True, slots=True)
class EmulatedRun:
    """What a program did on an emulated chip.

    Attributes:
        exit_code: Result of the program's `main`, 0 to 255; `FAULT` after a fault.
        output: Text that the program wrote.
    """

    exit_code: int
    output: str

    def number(self, name: str) -> int:
        """Return the number of the output's first line "NAME NUMBER".

        Args:
            name: Text before the number.

        Raises:
            BuildError: if the output has no such line.
        """
        for line in self.output.splitlines():
            before, _, after = line.rpartition(" ")
            if before == name and after.isdigit():
                return int(after)
        raise BuildError(
            f"the program on the emulated chip wrote no line '{name} NUMBER'; exit code {self.exit_code}, "
            f"output {self.output[-200:]!r}"
        )


def run_elf(
    elf: Path, core: Core, *, machine: Machine | None = None, timeout_seconds: float = DEFAULT_SECONDS
) -> EmulatedRun:
    """Run an ELF file on an emulated chip until it exits.

    Args:
        elf: The ELF file, linked for the machine.
        core: The core.
        machine: The emulated machine; None for the first of the core.
        timeout_seconds: Seconds after which the emulator is stopped.

    Raises:
        BuildError: if the emulator is missing, refuses the file, or does not end in time.
    """
    command = [
        str(command_path(emulator_command(core))),
        "-M",
        (machine or core.machines[0]).name,
        *(["-bios", "none"] if core.architecture is Architecture.RISCV else ()),
        *["-display", "none", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native"],
        "-icount",
        f"shift={SHIFT[core.architecture]}",
        "-kernel",
        str(elf),
    ]
    try:
        done = subprocess.run(  # noqa: S603  # the emulator that was found on PATH, with our own arguments
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(
            f"the program did not end within {timeout_seconds:g} seconds on the emulated {core.name}; expected it to "
            "return from main"
        ) from error
    output = done.stderr.decode("ascii", "replace")
    if done.returncode < 0 or output.startswith("qemu-system"):
        raise BuildError(f"the emulator of {core.name} failed with exit code {done.returncode}: {output[:300]}")
    return EmulatedRun(done.returncode, output)


def instructions_of(ticks: int, machine: Machine) -> int:
    """Return the number of instructions that a number of ticks of the firmware's counter stands for.

    Args:
        ticks: Number of ticks, as `chip_count` returns it.
        machine: The emulated machine that ran the program.
    """
    if machine.counter_hz == 0:
        return ticks
    nanoseconds_per_instruction = 1 << SHIFT[Architecture.ARM]
    return round(ticks * 10**9 / (machine.counter_hz * nanoseconds_per_instruction))
