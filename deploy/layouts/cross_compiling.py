"""Tables of cores in the CMake toolchain files: compiler flags, and the simulated machine that runs the example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from deploy.building.cores import CORES, Architecture, Core

_SYMBOLS: Final[Mapping[Architecture, tuple[str, str, str, str]]] = {
    Architecture.ARM: ("SIMULATED_FLASH", "SIMULATED_FLASH_BYTES", "SIMULATED_RAM", "SIMULATED_RAM_BYTES"),
    Architecture.RISCV: ("__flash", "__flash_size", "__ram", "__ram_size"),
}
"""Symbols of the linker script for the start and the size of flash and of RAM: those of this tree, and of picolibc."""


def core_names(architecture: Architecture) -> Sequence[str]:
    """Return the names of the cores of an architecture, the smallest first."""
    return [core.name for core in CORES.values() if core.architecture is architecture]


def core_table(architecture: Architecture) -> str:
    """Return the branches that set the variables of the chosen core."""
    branches = [_branch(CORES[name]) for name in core_names(architecture)]
    return f"{'else'.join(branches)}endif()"


def core_values() -> Mapping[str, str]:
    """Return the values of the placeholders of the toolchain files."""
    arm, riscv = core_names(Architecture.ARM), core_names(Architecture.RISCV)
    return {
        "arm_cores": ", ".join(arm),
        "arm_table": core_table(Architecture.ARM),
        "riscv_core": riscv[0],
        "riscv_cores": ", ".join(riscv),
        "riscv_table": core_table(Architecture.RISCV),
    }


def _branch(core: Core) -> str:
    machine = core.machines[-1]  # the one with most memory: the example prints numbers, which takes some of it
    memory = (machine.code_origin, machine.code_bytes, machine.ram_origin, machine.ram_bytes)
    pairs = zip(_SYMBOLS[core.architecture], memory, strict=True)
    symbols = " ".join(f"-Wl,--defsym={symbol}={value:#x}" for symbol, value in pairs)
    return (
        f'if(CORE STREQUAL "{core.name}")\n'
        f'  set(CORE_FLAGS "{" ".join(core.flags)}")\n'
        f"  set(SIMULATED_MACHINE {machine.name})\n"
        f'  set(SIMULATED_MEMORY "{symbols}")\n'
    )
