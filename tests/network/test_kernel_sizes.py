"""Tests of the tables of code and stack of the C functions by core."""

import pytest

from network.kernel_functions import FUNCTIONS
from network.kernel_sizes.tables import FunctionSize, KernelSizes, Optimization, measured_cores, sizes_for


@pytest.mark.parametrize("core", measured_cores())
@pytest.mark.parametrize("optimization", list(Optimization))
def test_every_table_has_plausible_figures_of_every_function(core: str, optimization: Optimization) -> None:
    sizes = sizes_for(core, optimization)
    assert sizes.core == core
    assert set(sizes.with_calls(FUNCTIONS)) == set(sizes.functions)
    for each in sizes.functions.values():
        assert each.code_bytes > 0
        assert each.code_bytes % 4 == 0
        assert each.stack_bytes >= 0
    assert max(map(sizes.stack_bytes, FUNCTIONS)) < 2048


@pytest.mark.parametrize(
    ("core", "table"), [("cortex-m99", "cortex-m4"), ("xtensa-lx7", "rv32imac"), (None, "cortex-m4")]
)
def test_other_cores_have_the_figures_of_the_nearest_as_estimates(core: str | None, table: str) -> None:
    sizes = sizes_for(core)
    assert sizes.is_estimate
    assert sizes.core == (table if table in measured_cores() else "cortex-m4")


def test_a_table_that_lacks_a_function_is_refused() -> None:
    functions = {name: FunctionSize(4, 0) for name in FUNCTIONS}
    with pytest.raises(ValueError, match="by hand at -Os lack the function '__divide'; write them again"):
        KernelSizes("by hand", Optimization.SIZE, functions | {"bb_add": FunctionSize(4, 0, ("__divide",))})
    functions.pop("bb_pad")
    with pytest.raises(ValueError, match="lack the function 'bb_pad'"):
        KernelSizes("by hand", Optimization.SIZE, functions)
