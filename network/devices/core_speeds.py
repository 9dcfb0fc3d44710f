"""Speeds of microcontroller cores: multiply-accumulates and elements per clock cycle of the generated C.

The rates are in `core_speeds.json`, which `python -m benchmarks.kernel_speeds` writes from counts of executed
instructions under an emulator, with the code compiled at -O2, -Os and -O3. For the Cortex-M3, M4 and M33 they are
cycles by a model of the core without flash wait states; for the others, each instruction counts as one cycle, although
a Cortex-M7 can start two at once and a Cortex-M55 needs up to two cycles for a vector instruction.
`docs/benchmarks/cycles.md` has the error of the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final

from network.devices.core_speed_json import core_speed_of
from network.devices.latency import CoreSpeed
from network.errors import RequestError
from network.kernels import KERNELS_WITHOUT_WEIGHTS, WEIGHT_KERNELS, require_rows
from network.names import shown


def _speeds() -> Mapping[str, CoreSpeed]:
    """Return the table of speeds by core; a kernel without a rate is an error here, not in a solver."""
    table = json.loads(resources.files("network.devices").joinpath("core_speeds.json").read_bytes())
    speeds = {speed.core: speed for speed in map(core_speed_of, table["speeds"])}
    for core, speed in speeds.items():
        for rates in (speed.rates, *speed.by_optimization.values()):
            kernels = {kernel for kernel, _, _ in rates.multiply_accumulates_per_cycle}
            require_rows(kernels, WEIGHT_KERNELS, f"the table of speeds of {core}")
            require_rows(rates.elements_per_cycle, KERNELS_WITHOUT_WEIGHTS, f"the table of speeds of {core}")
    return MappingProxyType(speeds)


SPEEDS: Final[Mapping[str, CoreSpeed]] = _speeds()
"""Name of each known core -> its speed."""


def speed_of_core(core: str) -> CoreSpeed:
    """Return the speed of the microcontroller core that has the given name.

    Args:
        core: Name of the core, e.g. "cortex-m4".

    Raises:
        RequestError: if there is no table for that core.
    """
    if core not in SPEEDS:
        raise RequestError(
            f"the kernel speeds of core '{shown(core)}' are not known; choose one of the cores {', '.join(SPEEDS)}, "
            "or your own table of speeds"
        )
    return SPEEDS[core]
