"""The tables of code and stack of the C functions, beside what the compilers of this machine make."""

from __future__ import annotations

import pytest

from deploy.building.cores import CORES
from deploy.building.kernel_sizes import measure_functions
from deploy.building.toolchains import Toolchain, has_compiler, toolchain_for
from network.kernel_functions import FUNCTIONS, RUN_FUNCTION, functions_of
from network.kernel_sizes.tables import Optimization, sizes_for


def locked_or_skip(name: str) -> Toolchain:
    core = CORES[name]
    if not has_compiler(core):
        pytest.skip(f"{core.compiler} is not installed")
    toolchain = toolchain_for(core)
    if not toolchain.is_locked:
        pytest.skip(f"{core.compiler} {toolchain.version} is not the locked toolchain")
    return toolchain


def check_table(name: str, optimization: Optimization) -> None:
    measured = measure_functions(locked_or_skip(name), optimization)
    assert sizes_for(name, optimization).functions == measured, (
        "the kernels have changed: python -m benchmarks.kernel_sizes"
    )


@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4"])
def test_tables_are_those_of_the_kernels(name: str) -> None:
    check_table(name, Optimization.SPEED)


@pytest.mark.long
@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("optimization", Optimization)
def test_all_tables_are_those_of_the_kernels(name: str, optimization: Optimization) -> None:
    check_table(name, optimization)


@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4", "rv32imac"])
def test_a_function_is_equally_large_among_others_and_alone(name: str) -> None:
    """A network has only the functions that it calls, and the sum of their sizes is its code."""
    toolchain = locked_or_skip(name)
    table = sizes_for(name).functions
    few = functions_of("convolution", 8, 4, 2)
    measured = measure_functions(toolchain, Optimization.SPEED, few)
    assert {*few, RUN_FUNCTION} <= set(measured)
    assert all(table[function] == size for function, size in measured.items())


@pytest.mark.long
@pytest.mark.parametrize("function", sorted({*FUNCTIONS} - {RUN_FUNCTION}))
def test_each_function_is_equally_large_alone(function: str) -> None:
    measured = measure_functions(locked_or_skip("cortex-m4"), Optimization.UNROLLED, (function,))
    table = sizes_for("cortex-m4", Optimization.UNROLLED).functions
    assert all(table[name] == size for name, size in measured.items())
