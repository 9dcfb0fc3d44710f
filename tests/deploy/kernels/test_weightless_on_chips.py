"""Layers without weights on emulated chips: the self-test of emitted networks of all kinds of them, with any bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deploy.arithmetic import Requantization
from deploy.building.build import build
from deploy.building.checking import run_check
from deploy.emission import emit
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerLayer,
    IntegerMaxPool,
    IntegerNetwork,
    IntegerPad,
)
from network.allocation import BITS, Bits
from network.kernel_sizes.tables import Optimization
from network.kernels import IN_PLACE_KERNELS
from network.layers import Axis, Flattening, Padding, Shape
from network.memory.deployed import DeployedAccounting
from tests.deploy.building.small_firmware import core_or_skip
from tests.deploy.emission.chip_networks import on_chip
from tests.deploy.random_networks import Builder

KINDS = (IntegerAdd, IntegerAveragePool, IntegerConcat, IntegerMaxPool, IntegerPad)


def weightless(seed: int, channels: int, bits: Bits | None = None) -> IntegerNetwork:
    """A network of all kinds of layers without weights; with given bits, many of its codes stay as they are."""
    generator = np.random.default_rng(seed)
    builder = Builder(generator, Shape(channels, 6, 5), bits or BITS[generator.integers(3)])
    source = builder.inputs[0]
    active = builder.add(source)
    both = builder.add(source, active)
    more = builder.add(source, active, both)
    padded = builder.pad(both, Padding(1, 1, 1, 1), 0, 0)
    wider = builder.pad(more, Padding(0, 1, 1, 0), 3, 2)
    small = builder.pool(padded, (2, 2), (2, 2))
    large = builder.pool(wider, (3, 2), (2, 1), Padding(1, 0, 0, 1))
    mean = builder.pool(small, (2, 2), (1, 1), Padding(1, 1, 1, 1), average=True)
    deep = builder.concat(padded, builder.pad(more, Padding(1, 1, 1, 1), 0, 0))
    tall = builder.concat(padded, padded, axis=Axis.HEIGHT)
    wide = builder.concat(small, small, axis=Axis.WIDTH)
    whole = builder.pool(deep, (8, 7), average=True)
    flat = builder.concat(mean, large, flattening=Flattening.CHANNELS_LAST)
    first = builder.concat(wide, builder.pool(tall, (3, 3), (5, 3)), flattening=Flattening.CHANNELS_FIRST)
    builder.fully_connected(builder.concat(flat, first, whole, flattening=Flattening.CHANNELS_LAST), 3)
    network = builder.network()
    if bits is None:
        return on_chip(network, seed)
    tensors = {name: replace(each, bits=bits, zero_point=1) for name, each in network.tensors.items()}
    return on_chip(replace(network, tensors=tensors, layers=tuple(map(_copying, network.layers))), seed)


def _copying(layer: IntegerLayer) -> IntegerLayer:
    if not isinstance(layer, IntegerConcat | IntegerMaxPool | IntegerPad):
        return layer
    count = len(layer.inputs)
    return replace(layer, requantization=Requantization(np.full(count, 2**30, np.int32), np.full(count, 30, np.int8)))


def check_on_chip(core_name: str, network: IntegerNetwork, directory: Path, optimization: Optimization) -> None:
    assert {type(layer) for layer in network.layers} >= set(KINDS)
    core = core_or_skip(core_name, is_run=True)
    files = emit(network, name="weightless", accounting=DeployedAccounting(in_place=IN_PLACE_KERNELS))
    run = run_check(build(files, core, optimization=optimization, directory=directory))
    assert run.wrong == ""


@pytest.mark.parametrize(("core_name", "channels", "bits"), [("cortex-m0", 3, None), ("cortex-m4", 8, 8)])
def test_layers_without_weights(core_name: str, channels: int, bits: Bits | None, tmp_path: Path) -> None:
    check_on_chip(core_name, weightless(channels, channels, bits), tmp_path, Optimization.SPEED)


@pytest.mark.long
@pytest.mark.parametrize("core_name", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imac"])
@pytest.mark.parametrize("channels", [1, 2, 5, 8, 33])
@pytest.mark.parametrize("bits", [None, *BITS])
@pytest.mark.parametrize("optimization", [Optimization.SPEED, Optimization.SIZE])
def test_layers_without_weights_on_each_core(
    core_name: str, channels: int, bits: Bits | None, optimization: Optimization, tmp_path: Path
) -> None:
    check_on_chip(core_name, weightless(channels + 10, channels, bits), tmp_path, optimization)
