"""Counts of the instructions that the kernels execute on an emulated core.

One program holds the kernels of the core's level and, under another prefix, the portable ones. It runs each layer by
both, counts with SysTick or `minstret`, and compares the output codes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from benchmarks.kernel_layers import KernelLayer
from deploy.building.compiling import compile_files
from deploy.building.cores import Core
from deploy.building.elf import read_elf
from deploy.building.emulation import instructions_of, run_elf
from deploy.building.linking import Placement, link
from deploy.building.toolchains import toolchain_for
from deploy.kernels import kernel_source, kernels_header
from network.errors import BuildError
from network.kernel_sizes.tables import Optimization

_FIRMWARE: Final = "benchmarks.kernel_firmware"
_PREFIX: Final = re.compile(r"\b(bb|BB)_")
_PORTABLE: Final = "ref"
_STACK_BYTES: Final = 1024
_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class KernelCount:
    """Instructions of a layer on a core.

    Attributes:
        layer: The layer.
        instructions: Number of instructions of the core's kernels, driver and requantization included.
        portable_instructions: Number of instructions of the portable kernels on the same core.
    """

    layer: KernelLayer
    instructions: int
    portable_instructions: int

    @property
    def rate(self) -> float:
        """Instructions for each multiply-accumulate operation."""
        return self.instructions / self.layer.operations

    @property
    def portable_rate(self) -> float:
        """Instructions of the portable kernels for each multiply-accumulate operation."""
        return self.portable_instructions / self.layer.operations


@dataclass(frozen=True, slots=True)
class KernelMeasurement:
    """Counts of layers on a core, and the size of the functions.

    Attributes:
        counts: One for each layer.
        code_bytes: Name of each function -> bytes of its code.
    """

    counts: tuple[KernelCount, ...]
    code_bytes: Mapping[str, int]


def measure_kernels(
    core: Core, layers: Sequence[KernelLayer], directory: Path, optimization: Optimization = Optimization.SPEED
) -> KernelMeasurement:
    """Build the kernels that layers need for a core, run the layers on its emulated machine and count.

    Args:
        core: The core.
        layers: The layers.
        directory: Existing directory that receives sources and object files.
        optimization: Optimization of all files.

    Raises:
        BuildError: if the toolchain is missing, or if output codes of a layer differ from the portable kernels'.
    """
    functions = sorted({each for layer in layers for each in layer.functions})
    sources = {
        "bb_kernels.h": kernels_header(),
        "bb_kernels.c": '#include "bb_kernels.h"\n' + kernel_source(functions),
        "bb_layers.c": _firmware("layers.c").replace("@SHAPES@", ",\n".join(map(_row, layers))),
    }
    network = [name for name in sources if name.endswith(".c")]
    portable = {_with_prefix(name): _with_prefix(text) for name, text in sources.items()}
    toolchain = toolchain_for(core)
    objects = compile_files(
        toolchain,
        directory,
        {name: text.encode("ascii") for name, text in {**sources, **portable, "main.c": _firmware("main.c")}.items()},
        [*network, *map(_with_prefix, network)],
        ["main.c"],
        optimization=optimization,
        definitions=[f"SHAPES={len(layers)}u", f"{_PORTABLE.upper()}_LEVEL=0"],
    )
    machine = core.machines[-1]
    elf = link(toolchain, objects, Placement(machine, None, _STACK_BYTES))
    run = run_elf(elf, core, machine=machine, timeout_seconds=_SECONDS)
    counts = []
    for index, layer in enumerate(layers):
        if run.number(f"different{index}") or not run.number(f"distinct{index}"):
            raise BuildError(
                f"the kernels of {core.name} give other codes than the portable ones for {layer.shape} at "
                f"{layer.bits} bits; run the tests of the kernels"
            )
        ticks = [instructions_of(run.number(f"{name}{index}"), machine) for name in ("kernels", "portable")]
        counts.append(KernelCount(layer, *ticks))
    symbols = read_elf(elf).in_sections(".network_code")
    return KernelMeasurement(
        tuple(counts), {symbol.name: symbol.size_bytes for symbol in symbols if symbol.name in functions}
    )


def _row(layer: KernelLayer) -> str:
    """Return the initializer of a layer's shape in layers.c."""
    driver, *called = layer.functions
    pointers = [driver, *called, *["NULL"] * (3 - len(called))]
    numbers = [layer.extent, layer.extent, layer.channels, layer.outputs, layer.kernel_size, *layer.bits, layer.shift]
    return "    {" + ", ".join([*pointers, *(f"{number}u" for number in numbers)]) + "}"


def _firmware(name: str) -> str:
    return files(_FIRMWARE).joinpath(name).read_text(encoding="ascii")


def _with_prefix(text: str) -> str:
    """Return a C source, or a file name, with the prefix of the portable kernels."""
    return _PREFIX.sub(lambda found: f"{_PORTABLE if found.group(1) == 'bb' else _PORTABLE.upper()}_", text)
