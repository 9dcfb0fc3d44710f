"""Comparison of the modelled cycles of a Cortex-M4 with cycles that others measured on a board.

    python -m benchmarks.cycle_model [--write]

BakeNN 1.0.0 publishes cycles of three programs that it generates, measured on an nRF52840 (Cortex-M4, 64 MHz): a
network 32 -> 16 -> 4 by Arm's CMSIS-NN and by its own C, and a 3x3 convolution of 4x4 pixels by its own C. This program
generates the same C, builds it, and counts its cycles by `deploy.building.cycles`. The flags and the compiler of the
measurements are not published: the figures for -O2 and -Os are both given.

BakeNN is not in the project's lock file: install it in addition with `pip install --no-deps bakenn==1.0.0`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch

from benchmarks.markdown import markdown
from deploy.building.compiling import compile_files
from deploy.building.cores import CORES
from deploy.building.cycles import Count, count_cycles
from deploy.building.linking import Placement, link
from deploy.building.toolchains import toolchain_for
from network.kernel_sizes.tables import Optimization

PAGE: Final = Path("docs/benchmarks/cycles.md")
BEGIN: Final = "<!-- table: python -m benchmarks.cycle_model --write -->"

OPTIMIZATIONS: Final = (Optimization.SPEED, Optimization.SIZE)

MAIN: Final = """
#include "chip.h"
#include "bknn_{name}.h"
static _Alignas(16) uint8_t arena[64];
static int8_t input[64], output[64];
int main(void) {{
    for (int at = 0; at < 64; at++) {{ input[at] = (int8_t)(at * 37); }}
    chip_mark();
    bknn_{name}_infer(arena, input, output);
    chip_mark();
    return 0;
}}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A program whose cycles were published.

    Attributes:
        title: Description of the program.
        name: Name of the network, "fc" or "conv".
        uses_cmsis_nn: Whether BakeNN calls CMSIS-NN's kernels.
        measured_cycles: Published number of cycles on the board.
    """

    title: str
    name: str
    uses_cmsis_nn: bool
    measured_cycles: int


CASES: Final = (
    Case("32 -> 16 -> 4 by CMSIS-NN, called by BakeNN", "fc", uses_cmsis_nn=True, measured_cycles=3786),
    Case("32 -> 16 -> 4 by BakeNN's own C", "fc", uses_cmsis_nn=False, measured_cycles=8706),
    Case("3x3 convolution, 4x4x1 -> 4x4x2, by BakeNN's own C", "conv", uses_cmsis_nn=False, measured_cycles=24610),
)


def main() -> None:
    """Count the cycles of all cases, print them as a table, and write it to the page if that is asked for."""
    parser = argparse.ArgumentParser(description="Modelled cycles of a Cortex-M4 beside published measurements.")
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE}")
    arguments = parser.parse_args()
    if importlib.util.find_spec("bakenn") is None:
        parser.exit(2, "BakeNN is not installed; install it with: pip install --no-deps bakenn==1.0.0\n")
    lines = []
    for case in CASES:
        with TemporaryDirectory() as directory:
            files = _generated(case, Path(directory))
        counts = {optimization: _count(case, files, optimization) for optimization in OPTIMIZATIONS}
        lines.append(
            (
                case.title,
                f"{case.measured_cycles:,}",
                *(
                    f"{count.cycles:,} ({count.cycles / case.measured_cycles - 1:+.0%})"
                    for count in (counts[each] for each in OPTIMIZATIONS)
                ),
                " / ".join(f"{counts[each].instructions:,}" for each in OPTIMIZATIONS),
            )
        )
    table = markdown(("program", "measured cycles", "model, -O2", "model, -Os", "instructions, -O2 / -Os"), lines)
    print(table)
    if arguments.write:
        before, _, _ = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n")


def _generated(case: Case, directory: Path) -> Mapping[str, bytes]:
    """Return the C files that BakeNN generates for a case, without their directories: name -> content."""
    bakenn: Any = importlib.import_module("bakenn")
    quantization: Any = importlib.import_module("bakenn.quantization.ptq_graph")
    torch.manual_seed(0)
    if case.name == "fc":
        layers: tuple[torch.nn.Module, ...] = (torch.nn.Linear(32, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
        samples = [torch.randn(1, 32) for _ in range(32)]
    else:
        layers = (torch.nn.Conv2d(1, 2, 3, padding=1),)
        samples = [torch.randn(1, 1, 4, 4) for _ in range(32)]
    bakenn.compile_torch_ptq(
        torch.nn.Sequential(*layers).eval(),
        samples[0],
        samples,
        str(directory),
        name=case.name,
        target="cortex-m4",
        ptq_options=quantization.PTQOptions(linear_weight_granularity=quantization.LinearWeightGranularity.PER_TENSOR),
        backend_options=bakenn.CBackendOptions(
            kernel_policy=bakenn.KernelPolicy.STATIC_PRIORITY if case.uses_cmsis_nn else bakenn.KernelPolicy.PORTABLE,
            enable_cmsis_nn=case.uses_cmsis_nn,
        ),
    )
    return {each.name: each.read_bytes() for each in directory.rglob("*") if each.suffix in (".c", ".h")}


def _count(case: Case, files: Mapping[str, bytes], optimization: Optimization) -> Count:
    core = CORES["cortex-m4"]
    toolchain = toolchain_for(core)
    files = {**files, "main.c": MAIN.format(name=case.name).encode()}
    sources = [name for name in files if name.endswith(".c") and name != "main.c"]
    with TemporaryDirectory() as directory:
        objects = compile_files(
            toolchain, Path(directory), files, sources, ["main.c"], optimization=optimization,
            more_flags=("-std=gnu11", "-fhosted"),
        )  # fmt: skip
        elf = link(toolchain, objects, Placement(core.machines[0], budget=None, stack_bytes=2048))
        (interval,) = count_cycles(elf, core).intervals
    return interval


if __name__ == "__main__":
    main()
