"""Emitted networks on emulated chips: every integer is right, every predicted byte is linked, the stack is bounded."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from deploy.building.build import BuildReport, build
from deploy.building.checking import run_check
from deploy.building.comparison import compare
from deploy.building.cores import CORES
from deploy.building.predicted import predicted_memory
from deploy.emission.emitter import emit
from deploy.integer_network import IntegerNetwork
from deploy.structure import forms_of, structure_of
from network.allocation import BITS, NARROWEST_BITS, Bits
from network.budget import Budget
from network.errors import BuildError
from network.kernel_functions import Form
from network.kernel_sizes.tables import Optimization, sizes_for
from network.kernels import IN_PLACE_KERNELS
from network.layers import Flattening, Padding, Shape
from network.memory.deployed import DeployedAccounting
from network.memory.pairs import with_pairs
from network.memory.report import Region
from tests.deploy.building.small_firmware import core_or_skip
from tests.deploy.emission.chip_networks import on_chip
from tests.deploy.random_networks import Builder

AROUND = Padding(1, 1, 1, 1)

MOST_UNUSED_STACK_BYTES = 64
"""Number of bytes by which the reserved stack may exceed the painted one."""


@cache
def small_network(form: Form = Form.NARROW) -> IntegerNetwork:
    """A network with every kind of layer and all bits of weights."""
    builder = Builder(np.random.default_rng(3), Shape(5, 9, 8), 8)
    first = builder.convolution("input", 8, (3, 3), padding=AROUND, weight_bits=4)
    depthwise = builder.convolution(first, 8, (3, 3), padding=AROUND, groups=8, weight_bits=2)
    wide = builder.convolution(depthwise, 8, (5, 3), padding=Padding(2, 1, 2, 1), groups=8, weight_bits=8)
    left = builder.convolution(wide, 12, (1, 1), weight_bits=8)
    right = builder.convolution(first, 12, (3, 3), padding=AROUND, groups=4, weight_bits=2)
    both = builder.concat(builder.add(left, right), right)
    pooled = builder.pool(builder.pool(both, (2, 2), (2, 2)), (2, 2), average=True)
    padded = builder.pad(pooled, Padding(1, 0, 1, 0), 1, 2)
    builder.concat(builder.fully_connected(padded, 7, 4), pooled, flattening=Flattening.CHANNELS_LAST)
    return on_chip(builder.network("small"), 1, form)


def built(
    directory: Path,
    network: IntegerNetwork,
    core: str,
    optimization: Optimization = Optimization.SPEED,
    *,
    in_place: bool = False,
    pairs: bool = False,
) -> BuildReport:
    """Build a network with the predicted stack, and check that every prediction is exact."""
    kernels = IN_PLACE_KERNELS if in_place else ()
    accounting = DeployedAccounting(sizes_for(core, optimization), kernels)
    if pairs:
        structure, allocation = structure_of(network)
        accounting = with_pairs(structure, allocation, accounting.with_forms(forms_of(network)), Budget(10**7, 10**7))
        assert Form.PAIRS in accounting.forms.values()
    memory = predicted_memory(network, accounting)
    (stack,) = [each for each in memory.shared if each.region is Region.RAM]
    assert not stack.is_estimate
    report = build(
        emit(network, accounting=accounting), CORES[core], optimization=optimization, stack_bytes=stack.size_bytes,
        directory=directory,
    )  # fmt: skip
    assert report.linked.findings == ()
    if not report.toolchain.is_locked:
        pytest.skip(f"the compiler is version {report.toolchain.version}; predictions are exact for GCC 12.2")
    comparison = compare(report, memory, [layer.name for layer in network.layers])
    assert comparison.differences == ()
    assert comparison.is_kept
    assert report.flash_bytes == memory.flash_bytes
    assert report.ram_bytes == memory.ram_bytes
    return report


def checked(report: BuildReport) -> None:
    """Run the self-test, and check the painted stack against the bound and against the reserved bytes."""
    check = run_check(report)
    assert check.wrong == ""
    assert check.painted_stack_bytes <= report.stack.stack_bytes <= report.reserved_stack_bytes
    assert report.reserved_stack_bytes <= check.painted_stack_bytes + MOST_UNUSED_STACK_BYTES
    assert len(check.instructions) > 0
    assert min(check.instructions) > 20


@pytest.mark.parametrize("core", ["cortex-m4", "rv32imac"])
def test_a_network_runs_on_the_chip_and_every_byte_is_predicted(tmp_path: Path, core: str) -> None:
    core_or_skip(core, is_run=True)
    checked(built(tmp_path, small_network(), core))


@pytest.mark.long
@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("optimization", Optimization)
@pytest.mark.parametrize("core", CORES)
def test_every_core_runs_every_form(tmp_path: Path, core: str, optimization: Optimization, form: Form) -> None:
    core_or_skip(core, is_run=True)
    checked(built(tmp_path, small_network(form), core, optimization))


def chain_in_place() -> IntegerNetwork:
    """A depthwise convolution and an add that can overwrite their inputs: all tensors have the same bits."""
    builder = Builder(np.random.default_rng(5), Shape(8, 10, 9), 8)
    source = builder.convolution("input", 16, (1, 1))
    depthwise = builder.convolution(source, 16, (3, 3), padding=AROUND, groups=16)
    builder.pool(builder.add(depthwise, depthwise), (10, 9))
    tensors = {name: replace(each, bits=8) for name, each in builder.tensors.items()}
    return on_chip(replace(builder.network("chain"), tensors=tensors), 2, Form.NARROW)


def test_layers_overwrite_their_inputs_on_the_chip(tmp_path: Path) -> None:
    core_or_skip("cortex-m4", is_run=True)
    report = built(tmp_path / "in_place", chain_in_place(), "cortex-m4", in_place=True)
    apart = built(tmp_path / "apart", chain_in_place(), "cortex-m4")
    assert report.linked.arena_bytes < apart.linked.arena_bytes
    checked(report)


def mobile_network(bits: Bits) -> IntegerNetwork:
    """A small MobileNet: a convolution, pairs of depthwise and pointwise convolutions, and all tensors of some bits."""
    builder = Builder(np.random.default_rng(9), Shape(3, 24, 24), 8)
    last = builder.convolution("input", 8, (3, 3), stride=(2, 2), padding=AROUND, weight_bits=bits)
    for channels, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        inputs = builder.tensors[last].shape.channels
        last = builder.convolution(
            last, inputs, (3, 3), stride=(stride, stride), padding=AROUND, groups=inputs, weight_bits=bits
        )
        last = builder.convolution(last, channels, (1, 1), weight_bits=bits)
    last = builder.convolution(last, 32, (3, 3), padding=AROUND, weight_bits=bits)
    logits = builder.fully_connected(builder.pool(last, (3, 3), average=True), 10, weight_bits=bits)
    tensors = {
        name: replace(each, bits=bits, zero_point=min(each.zero_point, 2**bits - 1))
        for name, each in builder.tensors.items()
        if name not in {"input", logits}
    }
    return on_chip(replace(builder.network("mobile"), tensors=builder.tensors | tensors), 4, Form.NARROW)


@pytest.mark.long
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("optimization", Optimization)
@pytest.mark.parametrize("core", CORES)
def test_a_mobilenet_in_place(tmp_path: Path, core: str, optimization: Optimization, bits: Bits) -> None:
    core_or_skip(core, is_run=True)
    network = mobile_network(bits)
    report = built(tmp_path, network, core, optimization, in_place=True, pairs=bits == NARROWEST_BITS)
    checked(report)
    steps = predicted_memory(network, DeployedAccounting()).steps
    assert len([each for each in steps if each.overwrites is not None]) == 3  # depthwise convolutions of stride 1


def test_a_budget_is_filled_to_its_last_byte(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4")
    files = emit(chain_in_place())
    free = build(files, core, directory=tmp_path)
    assert free.is_good
    assert (free.linked.data_bytes, free.reserved_stack_bytes) == (0, free.stack.stack_bytes)
    flash, ram = free.flash_bytes, free.ram_bytes
    assert build(files, core, Budget(flash, ram), directory=tmp_path).excess_bytes == {}
    one_less = build(files, core, Budget(flash - 1, ram), directory=tmp_path)
    assert (one_less.excess_bytes, one_less.is_good) == ({Region.FLASH: 1}, False)
    assert build(files, core, Budget(flash, ram - 1), directory=tmp_path).excess_bytes == {Region.RAM: 1}


def test_a_flipped_bit_and_a_wrong_kernel_are_told_by_the_chip(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m3", is_run=True)
    files = emit(chain_in_place())
    words = re.search(rb"chain_weights_2\[\d+\] CHAIN_WEIGHTS_ATTRIBUTE = \{\s+0x(\w{8})", files["chain.c"])
    assert words is not None
    flipped = f"{int(words[1], 16) ^ 0x10:08x}".encode()
    place = slice(*words.span(1))
    changed = files["chain.c"][: place.start] + flipped + files["chain.c"][place.stop :]
    assert run_check(build({**files, "chain.c": changed}, core, directory=tmp_path)).wrong == "the constants of step 2"
    wrong = files["chain_kernels.c"].replace(b"step->run(step->layer, (uint8_t *)arena);", b"")
    assert wrong != files["chain_kernels.c"]
    # The self-test runs the steps itself; a network whose run does nothing has painted no driver's frame.
    report = build(files, core, directory=tmp_path / "right")
    idle = build({**files, "chain_kernels.c": wrong}, core, directory=tmp_path / "wrong")
    assert run_check(idle).painted_stack_bytes < run_check(report).painted_stack_bytes


@pytest.mark.parametrize("name", ["cortex-m4", "rv32imac"])
def test_a_stack_that_is_too_small_is_told(tmp_path: Path, name: str) -> None:
    core = core_or_skip(name, is_run=True)
    files = emit(chain_in_place())
    bound = build(files, core, directory=tmp_path).stack.stack_bytes
    report = build(files, core, stack_bytes=bound - 32, directory=tmp_path)
    assert not report.is_good
    assert bound - 32 < run_check(report).painted_stack_bytes <= bound


def test_a_network_that_no_emulated_chip_can_hold_is_judged_but_not_run(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m55")
    builder = Builder(np.random.default_rng(1), Shape(700), 8)
    builder.fully_connected("input", 800, 8)
    report = build(emit(on_chip(builder.network("large"), 1)), core, Budget(2**20, 2**16), directory=tmp_path)
    assert report.flash_bytes > 800 * 700
    assert (report.excess_bytes, report.fits_machine) == ({}, False)
    with pytest.raises(BuildError, match=r"too large for the emulated cortex-m55 \(mps3-an547\)"):
        run_check(report)


def test_files_of_no_network_are_refused(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4")
    with pytest.raises(BuildError, match=r"have 0 files NAME_kernels\.c; expected the files of one network"):
        build({"main.c": b""}, core, directory=tmp_path)
    with pytest.raises(BuildError, match=r"lack a\.c; expected the files of one network"):
        build({"a_kernels.c": b""}, core, directory=tmp_path)
