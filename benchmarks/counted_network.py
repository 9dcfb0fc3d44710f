"""Counts of the generated C of a network on an emulated chip: instructions and modelled cycles of each layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from deploy.building.compiling import compile_files
from deploy.building.cores import Core
from deploy.building.cycles import Count, count_cycles
from deploy.building.linking import Placement, link
from deploy.building.toolchains import toolchain_for
from deploy.emission import emit
from deploy.integer_network import IntegerNetwork
from network.errors import BuildError
from network.kernel_sizes.tables import Optimization
from network.memory.deployed import DeployedAccounting

NAME: Final = "counted"
STACK_BYTES: Final = 4096

MAIN: Final = f"""
#include "chip.h"
#include "{NAME}.h"
#include "{NAME}_tables.h"
#include "{NAME}_selftest.h"

static uint32_t arena[({NAME.upper()}_ARENA_BYTES + 3u) / 4u];

int main(void) {{
    uint8_t *bytes = (uint8_t *)arena;
    const {NAME}_step *step = {NAME}_steps;
    if ({NAME}_selftest(bytes) != 0) {{ return 1; }}
    for (; step->run != 0; step++) {{
        chip_mark();
        step->run(step->layer, bytes);
    }}
    chip_mark();
    return 0;
}}
"""


@dataclass(frozen=True, slots=True)
class CountedNetwork:
    """Counts of one inference of a network.

    Attributes:
        layers: Count of each layer by its name, in schedule order.
    """

    layers: dict[str, Count]

    @property
    def total(self) -> Count:
        """Count of the whole inference."""
        return reduce(Count.__add__, self.layers.values())


def counted(
    network: IntegerNetwork,
    core: Core,
    *,
    optimization: Optimization = Optimization.SPEED,
    accounting: DeployedAccounting | None = None,
    timeout_seconds: float = 600,
) -> CountedNetwork:
    """Emit a network, build it for a core, run it once on the emulated chip, and count each layer.

    The self-test runs before, so the counted code is known to compute the interpreter's integers.

    Args:
        network: The integer-only network.
        core: The core.
        optimization: Optimization of all files.
        accounting: Rules that plan the arena; None for the default.
        timeout_seconds: Seconds after which the emulator is stopped.

    Raises:
        BuildError: if the C does not build, does not run, or differs from the interpreter.
    """
    files = emit(network, name=NAME, accounting=accounting)
    files["main.c"] = MAIN.encode()
    toolchain = toolchain_for(core)
    sources = [f"{NAME}.c", f"{NAME}_kernels.c"]
    largest = max(core.machines, key=lambda machine: machine.ram_bytes)
    with TemporaryDirectory() as directory:
        objects = compile_files(
            toolchain, Path(directory), files, sources, ["main.c", f"{NAME}_selftest.c"], optimization=optimization
        )
        elf = link(toolchain, objects, Placement(largest, budget=None, stack_bytes=STACK_BYTES))
        run = count_cycles(elf, core, machine=largest, timeout_seconds=timeout_seconds)
    if len(run.intervals) != len(network.layers):
        raise BuildError(f"{len(run.intervals)} layers were counted; expected {len(network.layers)}")
    return CountedNetwork(dict(zip((layer.name for layer in network.layers), run.intervals, strict=True)))
