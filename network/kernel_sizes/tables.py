"""Code and stack in bytes of the functions of the generated C, by core and by the compiler's optimization.

`python -m benchmarks.kernel_sizes` compiles the functions and writes one JSON file for each core in this folder:

    {"core": "cortex-m4",
     "compiler": "arm-none-eabi-gcc 12.2.1",
     "flags": "-mthumb -mcpu=cortex-m4 ...",
     "functions": {"O2": {"bb_pack_4": {"code_bytes": 60, "stack_bytes": 8, "calls": []}, ...}, "Os": ..., "O3": ...}}

`code_bytes` includes the constants that the compiler adds, and is rounded up to the 4 bytes on which functions start.
`stack_bytes` is the function's own frame. `calls` names functions that it calls directly: those of the compiler's
library, such as 64-bit multiplications of cores that have none. They are functions of the table too.

A core without a file has the figures of the nearest core, as estimates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from network.kernel_functions import FUNCTIONS


class Optimization(StrEnum):
    """Optimization flags of the compiler, for which tables have figures."""

    SPEED = "O2"
    SIZE = "Os"
    UNROLLED = "O3"


@dataclass(frozen=True, slots=True)
class FunctionSize:
    """Code and stack in bytes of one C function.

    Attributes:
        code_bytes: Number of bytes of its code and of the constants that the compiler adds, a multiple of 4.
        stack_bytes: Number of bytes of its own stack frame.
        calls: Names of the functions that it calls directly.
    """

    code_bytes: int
    stack_bytes: int
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class KernelSizes:
    """Code and stack of all functions of the generated C on one core, with one optimization.

    Attributes:
        core: Name of the core whose figures these are.
        optimization: Optimization flag of the compiler.
        functions: Name of each C function -> its code and stack; library functions that it calls are included.
        is_estimate: Whether the figures are estimates, e.g. because they are those of another core.

    Raises:
        ValueError: if a function lacks figures, or calls a function that lacks them.
    """

    core: str
    optimization: Optimization
    functions: Mapping[str, FunctionSize]
    is_estimate: bool = False

    def __post_init__(self) -> None:
        needed = {*FUNCTIONS, *(called for each in self.functions.values() for called in each.calls)}
        missing = sorted(needed - set(self.functions))
        if missing:
            raise ValueError(
                f"the kernel sizes of {self.core} at -{self.optimization} lack the function {missing[0]!r}; write them "
                "again with python -m benchmarks.kernel_sizes"
            )

    def with_calls(self, functions: Iterable[str]) -> tuple[str, ...]:
        """Return the given functions and all functions that they call, directly or not, each once.

        Args:
            functions: Names of functions of the table.
        """
        found: dict[str, None] = {}
        waiting = list(functions)[::-1]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = None
                waiting += self.functions[name].calls[::-1]
        return tuple(found)

    def stack_bytes(self, function: str) -> int:
        """Return the number of bytes of the deepest stack of a function and of those that it calls directly.

        Args:
            function: Name of a function of the table; it does not call itself, directly or not.
        """
        own = self.functions[function]
        return own.stack_bytes + max((self.stack_bytes(called) for called in own.calls), default=0)


DEFAULT_CORE: Final = "cortex-m4"
"""Core whose figures are the estimates of ARM cores without a table, and of requests that name no device."""

_OTHER_CORE: Final = "rv32imac"
_NEAREST: Final[Mapping[str, str]] = {
    "cortex-m85": "cortex-m55", "cortex-m1": "cortex-m0", "cortex-m23": "cortex-m0plus",
}  # fmt: skip
"""Core without a table -> core with the most similar instructions; other ARM cores: the default core."""


def sizes_for(core: str | None, optimization: Optimization = Optimization.SPEED) -> KernelSizes:
    """Return the code and stack of the functions of the generated C on a core, as estimates if it has no table.

    Args:
        core: Name of the core, e.g. "cortex-m7"; None if it is not known.
        optimization: Optimization flag of the compiler.
    """
    tables = _cores()
    known = DEFAULT_CORE if core is None else core
    if known not in tables:
        fallback = DEFAULT_CORE if known.startswith("cortex-") else _OTHER_CORE
        known = next((each for each in (_NEAREST.get(known), fallback) if each in tables), DEFAULT_CORE)
    return _table(known, optimization, is_estimate=known != core)


@cache
def _cores() -> frozenset[str]:
    files = resources.files(__package__).iterdir()
    return frozenset(each.name.removesuffix(".json") for each in files if each.name.endswith(".json"))


@cache
def _table(core: str, optimization: Optimization, *, is_estimate: bool) -> KernelSizes:
    content: dict[str, Any] = json.loads(resources.files(__package__).joinpath(f"{core}.json").read_bytes())
    functions = {
        name: FunctionSize(each["code_bytes"], each["stack_bytes"], tuple(each["calls"]))
        for name, each in content["functions"][optimization].items()
    }
    return KernelSizes(
        core, optimization, MappingProxyType(functions), is_estimate=is_estimate or content["compiler"] is None
    )


def measured_cores() -> tuple[str, ...]:
    """Return the names of the cores that have a table of kernel sizes, sorted."""
    return tuple(sorted(_cores()))
