"""Benchmark of the byte accounting against the linker: predicted and linked bytes, budgets filled to the last byte.

    python -m benchmarks.linked [--networks NAME ...] [--cores CORE ...] [--write]

For each network and each of four budgets of flash, the solver chooses bits. The network is calibrated (not trained),
converted and emitted, and linked into regions of exactly the size that the solver counted before there was an
integer-only network, with the stack reserved in them; then into regions with one byte less, which the linker must
refuse. The program runs the self-test on the emulated chip and measures its stack by painting.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from benchmarks.chip import RIVALS
from benchmarks.markdown import markdown
from deploy.building.build import BuildReport, build
from deploy.building.checking import run_check
from deploy.building.comparison import compare
from deploy.building.cores import core_named
from deploy.building.predicted import predicted_memory
from deploy.emission import emit
from deploy.structure import forms_of
from network.budget import Budget
from network.kernel_functions import Form
from network.kernel_sizes.tables import Optimization, sizes_for
from network.kernels import IN_PLACE_KERNELS
from network.memory.deployed import DeployedAccounting
from network.memory.report import Region
from network.network import Network
from network.reading import read_network
from network.sensitivity.from_weights import weight_sensitivity
from qat.conversion import convert
from qat.prepare import prepare
from solver.fit import fit
from solver.question import Question
from solver.solution import Solution

PAGE: Final = Path("docs/benchmarks/linked.md")
BEGIN: Final = "<!-- table: python -m benchmarks.linked --write -->"
SHARED: Final = Path("../shared")
FILES: Final[Mapping[str, Path]] = {
    **{name: SHARED / rival.file for name, rival in RIVALS.items()},
    "digits": Path("examples/digits/digits.onnx"),
}
SHARES: Final = (0.9, 0.75, 0.6, 0.45)
"""Budgets of flash, as shares of what the network takes between the fewest bits (0) and the most (1)."""
CALIBRATION_SAMPLES: Final = 16
UNLIMITED_BYTES: Final = 2**30


@dataclass(frozen=True, slots=True)
class Row:
    """What one network takes at one budget.

    Attributes:
        solver: Flash and RAM that the solver counted, in bytes.
        linked: Flash and RAM that the linker placed, in bytes.
        differences: Number of layers, functions and totals whose linked bytes are not the predicted ones.
        fits_exactly: Whether the network links into regions of the solver's size, and not with one byte less.
        bound_stack_bytes: Number of bytes of the deepest stack by the frames of the functions.
        painted_stack_bytes: Number of bytes of stack that a run has used.
        wide_layers: Number of layers with wide constants, which the solver does not count.
        is_right: Whether the self-test passes.
    """

    solver: Budget
    linked: Budget
    differences: int
    fits_exactly: bool
    bound_stack_bytes: int
    painted_stack_bytes: int
    wide_layers: int
    is_right: bool


def row(network: Network, share: float, core_name: str) -> Row:
    """Choose bits for a share of a network's flash, and link and run the result.

    Args:
        network: The network, with weights.
        share: Budget of flash, as in `SHARES`.
        core_name: Name of the core.
    """
    book = DeployedAccounting(sizes_for(core_name, Optimization.SPEED), IN_PLACE_KERNELS)
    ends = (Budget(1, UNLIMITED_BYTES), Budget(UNLIMITED_BYTES, UNLIMITED_BYTES))
    least, most = (_solved(network, each, book).memory.flash_bytes for each in ends)
    solution = _solved(network, Budget(round(least + share * (most - least)), UNLIMITED_BYTES), book)
    if solution.allocation is None:
        raise SystemExit(f"{network.name} does not fit into {share:.0%} of its flash")
    counted = Budget(int(solution.memory.flash_bytes), int(solution.memory.ram_bytes))
    shape = (CALIBRATION_SAMPLES, *network.only_input.format.dims)
    samples = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    integers = convert(prepare(solution.network, solution.allocation, samples).eval())
    memory = predicted_memory(integers, book)
    (stack,) = [each.size_bytes for each in memory.shared if each.region is Region.RAM]
    files = emit(integers, accounting=book)
    with TemporaryDirectory() as directory:

        def built(budget: Budget) -> BuildReport:
            return build(files, core_named(core_name), budget, stack_bytes=stack, directory=Path(directory))

        refused = [
            bool(built(smaller).excess_bytes)
            for smaller in (
                Budget(counted.flash_bytes - 1, counted.ram_bytes),
                Budget(counted.flash_bytes, counted.ram_bytes - 1),
            )
        ]
        report = built(counted)
        differences = len(compare(report, memory, [layer.name for layer in integers.layers]).differences)
        check = run_check(report, timeout_seconds=600)
    return Row(
        counted,
        Budget(report.flash_bytes, report.ram_bytes),
        differences,
        not report.excess_bytes and all(refused),
        report.stack.stack_bytes,
        check.painted_stack_bytes,
        sum(form is Form.WIDE for form in forms_of(integers).values()),
        check.wrong == "",
    )


def main() -> None:
    """Link all networks at all budgets, print the table, and write it to the page if that is asked for."""
    parser = argparse.ArgumentParser(description="Predicted and linked bytes of real networks.")
    parser.add_argument("--networks", nargs="+", choices=tuple(FILES), default=tuple(FILES))
    parser.add_argument("--cores", nargs="+", default=["cortex-m4"])
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE}")
    arguments = parser.parse_args()
    lines = []
    for name in arguments.networks:
        network = read_network(FILES[name].read_bytes(), FILES[name].stem)
        for core in arguments.cores:
            for share in SHARES:
                found = row(network, share, core)
                lines.append(_line(name, core, share, found))
                print(*lines[-1], flush=True)
    table = markdown(COLUMNS, lines)
    print(table)
    if arguments.write:
        before, _, _ = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n")


COLUMNS: Final = (
    "network", "core", "budget", "flash: solver", "linked", "RAM: solver", "linked", "other figures that differ",
    "links into exactly that, not into a byte less", "stack: bound", "painted", "wide layers", "self-test",
)  # fmt: skip


def _line(name: str, core: str, share: float, found: Row) -> tuple[str, ...]:
    return (
        name, core, f"{share:.0%}", f"{found.solver.flash_bytes:,}", f"{found.linked.flash_bytes:,}",
        f"{found.solver.ram_bytes:,}", f"{found.linked.ram_bytes:,}", f"{found.differences}",
        "yes" if found.fits_exactly else "no", f"{found.bound_stack_bytes}", f"{found.painted_stack_bytes}",
        f"{found.wide_layers}", "passes" if found.is_right else "fails",
    )  # fmt: skip


def _solved(network: Network, budget: Budget, book: DeployedAccounting) -> Solution:
    table = weight_sensitivity(network)
    return fit(Question(network=network, budget=budget, accounting=book, sensitivity=table))


if __name__ == "__main__":
    main()
