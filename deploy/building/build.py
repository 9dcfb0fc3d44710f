"""Build of a network's C files for a core: compiled, linked into regions of the budget's size, measured and audited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.building.compiling import Objects, check_program, compile_files
from deploy.building.cores import MIB, Core, Machine
from deploy.building.linked import LinkedNetwork, examine
from deploy.building.linking import Placement, RegionOverflow, link
from deploy.building.stack import StackBound, stack_bound
from deploy.building.toolchains import Toolchain, toolchain_for
from network.budget import Budget
from network.errors import BuildError
from network.kernel_sizes.tables import Optimization
from network.memory.report import Region

KERNELS_SUFFIX: Final = "_kernels.c"
UNLIMITED: Final = Budget(16 * MIB, 16 * MIB)
"""Flash and RAM that no network for a microcontroller needs, for programs that no emulated machine can hold."""

_EXPECTED: Final = "the files of one network, as 'bitbudget emit' writes them"
ELF_FILE: Final = "firmware.elf"
BUDGET_ELF_FILE: Final = "budget.elf"


@dataclass(frozen=True, slots=True)
class BuildReport:
    """A network's C files as a compiler has built them for a core.

    Attributes:
        name: Name of the C files.
        toolchain: The compiler.
        optimization: Optimization flag.
        machine: The emulated machine for which the program is linked.
        fits_machine: Whether the machine has enough memory to run the program.
        linked: Bytes, calls and findings of the linked network.
        stack: Largest stack of a run, by the frames along the deepest path of calls.
        reserved_stack_bytes: Number of bytes of RAM that are reserved for the stack.
        budget: Flash and RAM that the network may use, its stack included; None if there is no budget.
        excess_bytes: Kind of memory -> number of bytes that the linker found too many; empty if the network fits.
        elf: Path of the linked program, which runs the self-test.
    """

    name: str
    toolchain: Toolchain
    optimization: Optimization
    machine: Machine
    fits_machine: bool
    linked: LinkedNetwork
    stack: StackBound
    reserved_stack_bytes: int
    budget: Budget | None
    excess_bytes: Mapping[Region, int]
    elf: Path

    @property
    def flash_bytes(self) -> int:
        """Number of bytes of flash of the linked network."""
        return self.linked.flash_bytes

    @property
    def ram_bytes(self) -> int:
        """Number of bytes of RAM of the linked network: arena and reserved stack."""
        return self.linked.arena_bytes + self.linked.data_bytes + self.reserved_stack_bytes

    @property
    def is_good(self) -> bool:
        """Whether the network fits its budget, the audit has no finding, and the reserved stack suffices."""
        return (
            not self.excess_bytes and not self.linked.findings and self.stack.stack_bytes <= self.reserved_stack_bytes
        )


def build(
    files: Mapping[str, bytes],
    core: Core,
    budget: Budget | None = None,
    *,
    optimization: Optimization = Optimization.SPEED,
    stack_bytes: int | None = None,
    directory: Path,
) -> BuildReport:
    """Compile and link the C files of a network for a core, and read what the linker made of them.

    Args:
        files: Name of each C file and header that `deploy.emission.emit` returns -> its content.
        core: The core.
        budget: Flash and RAM that the network may use, its stack included: the linker checks both. None checks nothing.
        optimization: Optimization flag.
        stack_bytes: Number of bytes of RAM to reserve for the stack; None for the bound that follows from the frames.
        directory: Directory for the sources, object files and programs; it is created.

    Raises:
        BuildError: if the compiler is missing, or the files do not compile or link, or the stack has no bound.
    """
    toolchain = toolchain_for(core)
    name = network_name(files)
    directory.mkdir(parents=True, exist_ok=True)
    objects = _compiled(toolchain, directory, files, name, optimization)
    _, _, elf = _linked(toolchain, objects, core, 0)
    linked = examine(toolchain, objects, elf)
    bound = stack_bound(linked.graph, f"{name}_run")
    reserved = bound.stack_bytes if stack_bytes is None else stack_bytes
    machine, fits_machine, elf = _linked(toolchain, objects, core, reserved)
    return BuildReport(
        name=name,
        toolchain=toolchain,
        optimization=optimization,
        machine=machine,
        fits_machine=fits_machine,
        linked=examine(toolchain, objects, elf),
        stack=bound,
        reserved_stack_bytes=reserved,
        budget=budget,
        excess_bytes={} if budget is None else _excess(toolchain, objects, machine, budget, reserved),
        elf=elf,
    )


def network_name(files: Mapping[str, bytes]) -> str:
    """Return the name of a network's C files, by the file of its kernels.

    Args:
        files: Name of each file -> its content.

    Raises:
        BuildError: if there is not exactly one such file.
    """
    names = [file.removesuffix(KERNELS_SUFFIX) for file in files if file.endswith(KERNELS_SUFFIX)]
    if len(names) != 1:
        raise BuildError(f"the C files have {len(names)} files NAME{KERNELS_SUFFIX}; expected {_EXPECTED}")
    return names[0]


def _compiled(
    toolchain: Toolchain, directory: Path, files: Mapping[str, bytes], name: str, optimization: Optimization
) -> Objects:
    """Compile the network and the program that checks it."""
    check = f"{name}_check.c"
    selftest = f"{name}_selftest.c"
    network = (f"{name}.c", f"{name}{KERNELS_SUFFIX}")
    missing = next((each for each in (*network, selftest) if each not in files), None)
    if missing is not None:
        raise BuildError(
            f"the C files lack {missing}; expected the files of one network, as 'bitbudget emit' writes them"
        )
    sources = {file: content for file, content in files.items() if "/" not in file and file.endswith((".c", ".h"))}
    return compile_files(
        toolchain, directory, {**sources, check: check_program(name)}, network, (selftest, check),
        optimization=optimization,
    )  # fmt: skip


def _linked(toolchain: Toolchain, objects: Objects, core: Core, stack_bytes: int) -> tuple[Machine, bool, Path]:
    """Link for the first emulated machine of the core that has enough memory.

    Returns:
        The machine; whether it has enough memory, or else the largest is given, at whose addresses the program is
        linked without a limit; and the program.

    Raises:
        BuildError: if the files do not link.
    """
    for machine in core.machines:
        try:
            return machine, True, link(toolchain, objects, Placement(machine, None, stack_bytes), ELF_FILE)
        except BuildError:  # the network, or the vectors of its self-test, need a larger machine
            continue
    largest = core.machines[-1]
    return largest, False, link(toolchain, objects, Placement(largest, UNLIMITED, stack_bytes), ELF_FILE)


def _excess(
    toolchain: Toolchain, objects: Objects, machine: Machine, budget: Budget, stack_bytes: int
) -> dict[Region, int]:
    """Return the bytes that the linker finds too many in regions of the budget's sizes."""
    try:
        link(toolchain, objects, Placement(machine, budget, stack_bytes), BUDGET_ELF_FILE)
    except RegionOverflow as error:
        return dict(error.excess)
    return {}
