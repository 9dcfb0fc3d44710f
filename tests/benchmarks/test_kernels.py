"""The benchmark of the kernels: its layers, its tables, and counts of a small layer on an emulated core."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kernel_counts import KernelCount, KernelMeasurement, measure_kernels
from benchmarks.kernel_layers import LAYERS, PEERS, KernelLayer
from benchmarks.kernels import sizes, table, with_block
from deploy.building.cores import core_named
from deploy.kernels import kernel_functions
from network.kernels import POINTWISE
from tests.deploy.building.small_firmware import core_or_skip

M4 = core_named("cortex-m4")


def test_every_function_of_the_layers_has_a_source() -> None:
    assert {each for layer in LAYERS for each in layer.functions} <= set(kernel_functions())


def test_layers_of_other_libraries_are_measured() -> None:
    measured = {(layer.kernel, layer.bits) for layer in LAYERS}
    assert {each for peers in PEERS.values() for each in peers} <= measured


def test_operations_of_a_layer() -> None:
    layer = KernelLayer("convolution", 8, 16, 32, 3, (8, 4, 8))
    assert (layer.taps, layer.operations, layer.shape) == (144, 8 * 8 * 32 * 144, "8x8x16 -> 32")
    assert layer.functions == ("bb_convolution", "bb_widen_8", "bb_dot2_4")
    assert KernelLayer("fully_connected", 1, 16, 32, 1, (2, 2, 2)).functions == (
        "bb_fully_connected", "bb_widen_2x2", "bb_dot1_2x2", "bb_pack_2",
    )  # fmt: skip


def test_tables() -> None:
    layer = next(each for each in LAYERS if each.bits == (8, 4, 8))
    measurement = KernelMeasurement((KernelCount(layer, layer.operations, 2 * layer.operations),), {"bb_widen_8": 1200})
    line = [cell.strip() for cell in table(measurement, M4).splitlines()[2].split("|")[1:-1]]
    assert line == [
        "pointwise convolution", "16x16x64 -> 64", "8 / 4 / 8", "1.000", "1.03", "2.00", "CMSIS-NN 3.73, CMix-NN 2.52",
    ]  # fmt: skip
    assert "| bb_widen_8 | 1,200 |" in sizes(measurement)


def test_the_block_of_a_core_is_replaced() -> None:
    page = "a\n<!-- cortex-m4 -->\nold\n<!-- end of cortex-m4 -->\nb\n"
    replaced = "a\n<!-- cortex-m4 -->\n\nnew\n\n<!-- end of cortex-m4 -->\nb\n"
    assert with_block(page, M4, "new") == replaced
    assert with_block(replaced, M4, "new") == replaced
    with pytest.raises(ValueError, match="add both comments"):
        with_block("a", M4, "new")


def test_counts_on_an_emulated_core(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4", is_run=True)
    layers = [KernelLayer(POINTWISE, 3, 64, 7, 1, bits) for bits in ((8, 8, 8), (8, 2, 8), (2, 2, 2))]
    (wide, narrow, packed) = measure_kernels(core, layers, tmp_path).counts
    assert 0.5 < packed.rate < narrow.rate < wide.rate < wide.portable_rate
