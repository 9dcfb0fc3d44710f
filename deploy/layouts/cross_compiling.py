"""Table of cores in the CMake toolchain file: compiler flags, and the simulated machine that runs the example."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.building.cores import CORES, Architecture, Core


def core_names() -> Sequence[str]:
    """Return the names of the ARM cores, the smallest first."""
    return [core.name for core in CORES.values() if core.architecture is Architecture.ARM]


def core_table() -> str:
    """Return the branches that set the variables of the chosen core."""
    branches = [_branch(CORES[name]) for name in core_names()]
    return f"{'else'.join(branches)}endif()"


def _branch(core: Core) -> str:
    machine = core.machines[-1]  # the one with most memory: the example prints numbers, which takes some of it
    memory = {
        "FLASH": machine.code_origin,
        "FLASH_BYTES": machine.code_bytes,
        "RAM": machine.ram_origin,
        "RAM_BYTES": machine.ram_bytes,
    }
    symbols = " ".join(f"-Wl,--defsym=SIMULATED_{name}={value:#x}" for name, value in memory.items())
    return (
        f'if(CORE STREQUAL "{core.name}")\n'
        f'  set(CORE_FLAGS "{" ".join(core.flags)}")\n'
        f"  set(SIMULATED_MACHINE {machine.name})\n"
        f'  set(SIMULATED_MEMORY "{symbols}")\n'
    )
