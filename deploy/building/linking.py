"""Linking of a network and the firmware around it into regions of exactly the budget's size.

The network's code and constants go to one region of flash, its arena and reserved stack to one region of RAM. With a
budget, these regions have its lengths, so that the linker refuses what is one byte too large; the firmware around the
network has regions of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.building.compiling import Objects, linker_script
from deploy.building.cores import KIB, MIB, Machine
from deploy.building.toolchains import Toolchain
from network.budget import Budget
from network.errors import BuildError
from network.memory.report import Region

STACK_ALIGNMENT_BYTES: Final = 16
"""Number of bytes of which the stack pointer is a multiple when a network is called: 16 on RISC-V, 8 on ARM."""

WORD_BYTES: Final = 4

FIRMWARE_RAM_BYTES: Final = 64 * KIB
"""Number of bytes of RAM of the firmware around the network, and of its stack; a quarter of the RAM if that is less."""

LARGE_FIRMWARE_BYTES: Final = 4 * MIB
"""Number of bytes of flash of the firmware in a program that is linked for its sizes and never run, because no machine
has the memory of the network; the vectors of its self-test may be large, too."""

_SCRIPT: Final = "chip.ld"
_OVERFLOW: Final = re.compile(r"region `(\w+)' overflowed by (\d+) bytes?")
_REGIONS: Final = {"NETWORK_FLASH": Region.FLASH, "NETWORK_RAM": Region.RAM}
_MEMORY: Final = {Region.FLASH: "flash", Region.RAM: "RAM"}
_ERROR_LINES: Final = 6


class RegionOverflow(BuildError):
    """Error of a network that is larger than the memory it may use, as the linker says.

    Attributes:
        excess: Kind of memory that is too small -> number of bytes that are missing.
    """

    def __init__(self, excess: Mapping[Region, int], available: Mapping[Region, int]) -> None:
        """Create the error with its message.

        Args:
            excess: Kind of memory that is too small -> number of bytes that are missing.
            available: Kind of memory -> number of bytes that the network may use.
        """
        self.excess = excess
        needs = " and ".join(
            f"{available[region] + more} bytes of {_MEMORY[region]}, {more} more than the {available[region]} available"
            for region, more in excess.items()
        )
        super().__init__(f"the linked network needs {needs}; choose fewer bits or a larger budget")


@dataclass(frozen=True, slots=True)
class Placement:
    """Memory of a chip that a link uses.

    Attributes:
        machine: The emulated machine whose addresses are used.
        budget: Flash and RAM of the network, its stack included; None for all that the machine has.
        stack_bytes: Number of bytes of RAM that are reserved for the network's stack.
    """

    machine: Machine
    budget: Budget | None
    stack_bytes: int

    def symbols(self) -> dict[str, int]:
        """Return the symbols that the linker script reads: name -> address or number of bytes."""
        machine = self.machine
        firmware_flash = machine.code_bytes // 4
        firmware_ram = min(FIRMWARE_RAM_BYTES, machine.ram_bytes // 4)
        flash = machine.code_bytes - firmware_flash
        ram = machine.ram_bytes - firmware_ram - STACK_ALIGNMENT_BYTES
        if self.budget is not None:
            flash, ram = self.budget.flash_bytes, self.budget.ram_bytes
            if flash > machine.code_bytes:
                firmware_flash = LARGE_FIRMWARE_BYTES
        return {
            "CHIP_FIRMWARE_FLASH": machine.code_origin,
            "CHIP_FIRMWARE_FLASH_BYTES": firmware_flash,
            "CHIP_NETWORK_FLASH": machine.code_origin + firmware_flash,
            "CHIP_NETWORK_FLASH_BYTES": flash,
            "CHIP_FIRMWARE_RAM": machine.ram_origin,
            "CHIP_FIRMWARE_RAM_BYTES": firmware_ram,
            "CHIP_NETWORK_RAM": machine.ram_origin + firmware_ram + -self.stack_bytes % STACK_ALIGNMENT_BYTES,
            "CHIP_NETWORK_RAM_BYTES": ram,
            "CHIP_NETWORK_STACK_BYTES": self.stack_bytes,
        }


def link(toolchain: Toolchain, objects: Objects, placement: Placement, name: str = "firmware.elf") -> Path:
    """Link object files into an ELF file, and return its path.

    Args:
        toolchain: The compiler.
        objects: The object files, in the directory that receives the ELF file.
        placement: Memory of the chip.
        name: Name of the ELF file.

    Raises:
        RegionOverflow: if the network is larger than its budget, or than the emulated machine.
        BuildError: if the files do not link, e.g. because a symbol is missing, or if the stack is not a multiple of 4.
    """
    if placement.stack_bytes % WORD_BYTES:
        raise BuildError(f"a stack of {placement.stack_bytes} bytes was given; expected a multiple of {WORD_BYTES}")
    (objects.directory / _SCRIPT).write_bytes(linker_script())
    symbols = placement.symbols()
    arguments = [
        *toolchain.core.flags,
        "-nostartfiles",
        "-nostdlib",
        "-Wl,--gc-sections",
        "-Wl,--no-warn-rwx-segments",
        *(f"-Wl,--defsym={symbol}={value:#x}" for symbol, value in symbols.items()),
        "-T",
        _SCRIPT,
        *objects.network,
        *objects.firmware,
        "-lm",
        "-lc",
        "-lgcc",
        f"-Wl,-Map={Path(name).stem}.map",
        "-o",
        name,
    ]
    done = toolchain.call(arguments, objects.directory)
    if done.returncode != 0:
        raise _refused(toolchain, done.stderr, symbols)
    return objects.directory / name


def _refused(toolchain: Toolchain, messages: str, symbols: dict[str, int]) -> BuildError:
    """Return the error that says what the linker refused."""
    excess = {_REGIONS[name]: int(more) for name, more in _OVERFLOW.findall(messages) if name in _REGIONS}
    if excess:
        return RegionOverflow(excess, {each: symbols[f"CHIP_{name}_BYTES"] for name, each in _REGIONS.items()})
    firmware = [int(more) for name, more in _OVERFLOW.findall(messages) if name == "FIRMWARE_FLASH"]
    if firmware:
        available = symbols["CHIP_FIRMWARE_FLASH_BYTES"]
        return BuildError(
            f"the self-test and its vectors need {available + firmware[0]} bytes of flash beside the network; expected "
            f"at most {available} on the emulated machine: give the self-test fewer vectors"
        )
    lines = [line for line in messages.splitlines() if "undefined reference" in line or "overflowed" in line]
    shown = lines or [line for line in messages.splitlines() if line]
    return BuildError(
        f"{toolchain.compiler.name} {toolchain.version} cannot link for {toolchain.core.name}: "
        + "; ".join(shown[:_ERROR_LINES])
    )
