"""Writing of the table of kernel speeds, by which the solver estimates latency.

    python -m benchmarks.kernel_speeds [--cores CORE ...]

Each kernel runs one layer of `benchmarks.single_layers` on the emulated chip, at every combination of bits, compiled
with each optimization flag for which the solver counts bytes: -O2 is the main table, the others are beside it. Rates
of the Cortex-M4, M3 and M33 are by the cycle model (docs/benchmarks/cycles.md); for other cores, each executed
instruction is counted as one cycle. The table is `network/devices/core_speeds.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from benchmarks.counted_network import counted
from benchmarks.single_layers import WEIGHTED, WEIGHTLESS, weighted
from deploy.building.cores import CORES, Core
from deploy.building.cycles import Count
from network.allocation import BITS
from network.devices.core_speed_json import core_speed_to_json
from network.devices.latency import CoreSpeed, Key, Rates
from network.kernel_sizes.tables import Optimization

TABLE: Final = Path("network/devices/core_speeds.json")

TABLED: Final = (
    "cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imac",
)  # fmt: skip
"""Cores of the table."""

MODELLED: Final = frozenset({"cortex-m3", "cortex-m4", "cortex-m33"})
"""Cores whose cycles are modelled as those of a Cortex-M4, which has the same pipeline or one that is close to it."""

DIGITS: Final = 4


def speed_of(core: Core) -> CoreSpeed:
    """Count every kernel on a core, with every optimization, and return its speed."""
    kind = (
        "cycles of the Cortex-M4 by a model of executed instructions (docs/benchmarks/cycles.md)"
        if core.name in MODELLED
        else "executed instructions, one counted as one cycle"
    )
    main, others = rates_of(core, Optimization.SPEED), [each for each in Optimization if each is not Optimization.SPEED]
    return CoreSpeed(
        core.name,
        main.multiply_accumulates_per_cycle,
        main.elements_per_cycle,
        f"the generated C at -{Optimization.SPEED} under QEMU: {kind}",
        by_optimization={each: rates_of(core, each) for each in others},
    )


def rates_of(core: Core, optimization: Optimization) -> Rates:
    """Count every kernel on a core, compiled with an optimization flag."""
    rates: dict[Key, float] = {}
    for kernel, shape in WEIGHTED.items():
        for activation in BITS:
            for weight in BITS:
                network = weighted(shape, activation, weight)
                count = counted(network, core, optimization=optimization).layers["layer"]
                rates[kernel, activation, weight] = rate = _rate(shape.multiply_accumulates, count, core)
                print(core.name, optimization, kernel, f"{activation}/{weight}", rate, flush=True)
    elements = {}
    for kernel, (build, count_read) in WEIGHTLESS.items():
        elements[kernel] = _rate(count_read, counted(build(8), core, optimization=optimization).layers["layer"], core)
        print(core.name, optimization, kernel, elements[kernel], flush=True)
    return Rates(rates, elements)


def main() -> None:
    """Count the cores and replace their rows in the table."""
    parser = argparse.ArgumentParser(description="Write the table of kernel speeds.")
    parser.add_argument("--cores", nargs="+", choices=TABLED, default=TABLED)
    arguments = parser.parse_args()
    rows: dict[str, Any] = {}
    if TABLE.exists():
        rows = {row["core"]: row for row in json.loads(TABLE.read_text())["speeds"]}
    for name in arguments.cores:
        rows[name] = core_speed_to_json(speed_of(CORES[name]))
        ordered = [rows[each] for each in TABLED if each in rows]
        TABLE.write_text(json.dumps({"speeds": ordered}, indent=1) + "\n")


def _rate(work: int, count: Count, core: Core) -> float:
    """Return how much of the work is done in a cycle, with `DIGITS` significant digits."""
    cycles = count.cycles if core.name in MODELLED else count.instructions
    return float(f"{work / cycles:.{DIGITS}g}")


if __name__ == "__main__":
    main()
