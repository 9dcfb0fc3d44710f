"""Every layer kind is registered, and every table by kind or kernel has a row for it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

import network as network_package
from network.allocation import BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.devices.core_speeds import SPEEDS
from network.devices.latency import network_cycles
from network.errors import InvalidNetwork
from network.json_reading.description import _Unread  # it exists only while a description is read
from network.json_reading.layers import KINDS
from network.kernel_functions import functions_of
from network.kernels import (
    DEPTHWISE,
    IN_PLACE_KERNELS,
    KERNELS,
    KERNELS_WITHOUT_WEIGHTS,
    LAYER_KINDS,
    POINTWISE,
    WEIGHT_KERNELS,
    kernel_of,
    require_rows,
)
from network.layers import (
    Activation,
    Add,
    AveragePool,
    Concat,
    Convolution,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    Padding,
    Shape,
    WeightLayer,
)
from network.memory.accounting import Accounting, LayerBits
from network.memory.books import ACCOUNTINGS
from network.memory.measure import measure
from network.network import Network
from network.passes.temporary_layers import Obstructed, PerChannelAffine
from tests.builders import network_of

SCHEME = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
IMAGE = Shape(3, 4, 4)
AROUND = Padding(1, 1, 1, 1)

ROWS = 56 + 24

EXAMPLES: dict[str, tuple[Layer, int]] = {
    # kernel -> a layer of it that reads x (3x4x4), and the bytes of its constants and structs by hand: a word for each
    # output channel, and zero points in whole words
    "convolution": (
        Convolution(name="y", inputs=("x",), output="y", output_channels=2, kernel=(3, 3)),
        2 * 4 + 4 + 56 + 24,
    ),
    POINTWISE: (
        Convolution(name="y", inputs=("x",), output="y", output_channels=2, kernel=(1, 1)),
        2 * 4 + 4 + 56 + 24,
    ),
    DEPTHWISE: (
        Convolution(name="y", inputs=("x",), output="y", output_channels=3, kernel=(3, 3), groups=3),
        3 * 4 + 4 + 56,
    ),
    "fully_connected": (FullyConnected(name="y", inputs=("x",), output="y", output_channels=5), 28 + ROWS),
    "add": (Add(name="y", inputs=("x", "x"), output="y"), 28 + 2 * 12),
    "concat": (Concat(name="y", inputs=("x", "x"), output="y"), 24 + 2 * 20),
    "max_pool": (MaxPool(name="y", inputs=("x",), output="y", kernel=(2, 2)), 40 + 12),
    "average_pool": (AveragePool(name="y", inputs=("x",), output="y", kernel=(3, 3), padding=AROUND), 40 + 3 * 12),
    "pad": (Pad(name="y", inputs=("x",), output="y", padding=AROUND), 36),
    "activation": (Activation(name="y", inputs=("x",), output="y"), 28 + 12),
}
FIRST = Convolution(name="x", inputs=("input",), output="x", output_channels=3, kernel=(1, 1))


def network_with(*layers: Layer) -> Network:
    return network_of([FIRST, *layers], IMAGE)


def allocation_of(network: Network) -> Allocation:
    weights = [layer.name for layer in network.weight_layers]
    return Allocation(dict.fromkeys(weights, 8), dict.fromkeys(network.tensors, 8), dict.fromkeys(weights, SCHEME))


def subclasses(parent: Any) -> Iterator[type[Layer]]:
    for child in parent.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_concrete_layer_class_is_registered() -> None:
    for module in pkgutil.walk_packages(network_package.__path__, "network."):
        importlib.import_module(module.name)
    concrete = {
        each
        for each in subclasses(Layer)
        if hasattr(each, "kind") and not inspect.isabstract(each) and not each.__module__.startswith("tests")
    }
    while_reading = {each for each in concrete if issubclass(each, PerChannelAffine | Obstructed | _Unread)}
    assert len(while_reading) == 4
    assert concrete - while_reading == set(LAYER_KINDS.values())
    assert all(kind == each.kind for kind, each in LAYER_KINDS.items())


def test_every_kernel_has_an_example() -> None:
    assert set(EXAMPLES) == set(KERNELS) == {*WEIGHT_KERNELS, *KERNELS_WITHOUT_WEIGHTS}
    assert {layer.kind for layer, _ in EXAMPLES.values()} == set(LAYER_KINDS) == set(KINDS)
    assert IN_PLACE_KERNELS == ("activation", "add", DEPTHWISE)
    for kernel, (layer, _) in EXAMPLES.items():
        assert kernel_of(layer, IMAGE) == kernel
        assert KERNELS[kernel].has_weights == isinstance(layer, WeightLayer)


@pytest.mark.parametrize("kernel", sorted(EXAMPLES))
def test_every_kernel_is_counted_by_both_accountings(kernel: str) -> None:
    layer, constant_bytes = EXAMPLES[kernel]
    network = network_with(layer)
    allocation = allocation_of(network)
    reports = {name: measure(network, allocation, accounting) for name, accounting in ACCOUNTINGS.items()}
    taken = {name: {each.layer: each.parameter_bytes for each in report.layers} for name, report in reports.items()}
    assert set(taken) == {"deployed", "paper"}
    assert taken["deployed"]["y"] == constant_bytes + 8
    # the paper's formula for the last layer, per channel and ICN; it counts no layer without weights
    assert taken["paper"].get("y") == (7 * layer.output_channels + 4 if isinstance(layer, WeightLayer) else None)
    code = {each.part.removeprefix("kernel code: ") for each in reports["deployed"].shared}
    weight_bits: Bits | None = 8 if KERNELS[kernel].has_weights else None
    needed = functions_of(kernel, 8, weight_bits, 8, is_3x3=kernel == DEPTHWISE)
    assert {name.removeprefix("bb_") for name in needed} < code
    assert network_cycles(network, allocation, SPEEDS["cortex-m4"]) > 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Softplus(Layer):
    kind: ClassVar[str] = "softplus"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return inputs[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Transposed(WeightLayer):
    kind: ClassVar[str] = "transposed_convolution"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return replace_channels(inputs[0], self.output_channels)

    def weight_shape(self, inputs: tuple[Shape, ...]) -> tuple[int, ...]:
        return (self.output_channels, inputs[0].channels)


@dataclass(frozen=True, kw_only=True, eq=False)
class Disguised(Activation):
    """A class that keeps the kind of the class that it extends, and would be counted as that."""


def replace_channels(shape: Shape, channels: int) -> Shape:
    return Shape(channels, shape.height, shape.width)


UNKNOWN: list[tuple[Layer, str]] = [
    (Softplus(name="soft", inputs=("x",), output="y"), r"'soft' has the unknown kind 'softplus' \(class Softplus\)"),
    (Transposed(name="up", inputs=("x",), output="y", output_channels=4), "'up' has the unknown kind 'transposed_conv"),
    (
        Disguised(name="same", inputs=("x",), output="y"),
        r"'same' has the unknown kind 'activation' \(class Disguised\)",
    ),
]


@pytest.mark.parametrize(("layer", "said"), UNKNOWN)
@pytest.mark.parametrize("accounting", ACCOUNTINGS.values(), ids=ACCOUNTINGS)
def test_an_unregistered_layer_is_refused_by_name(layer: Layer, said: str, accounting: Accounting) -> None:
    network = network_with(layer)
    with pytest.raises(InvalidNetwork, match=said):
        measure(network, allocation_of(network), accounting)
    with pytest.raises(InvalidNetwork, match=said):
        accounting.parameter_bytes(network, layer, SCHEME, LayerBits(8, 8), is_last=False)


@pytest.mark.parametrize(("layer", "said"), UNKNOWN)
def test_an_unregistered_layer_has_no_cycles(layer: Layer, said: str) -> None:
    network = network_with(layer)
    with pytest.raises(InvalidNetwork, match=said):
        network_cycles(network, allocation_of(network), SPEEDS["cortex-m4"])


def test_tables_must_have_exactly_the_expected_rows() -> None:
    require_rows({"a": 1, "b": 2}, ("b", "a"), "the table")
    with pytest.raises(ValueError, match=r"the table lacks a row for 'b'; expected rows for \['a', 'b'\]"):
        require_rows({"a": 1}, ("a", "b"), "the table")
    with pytest.raises(ValueError, match="the table has a row for the unknown 'c'"):
        require_rows({"a": 1, "c": 3}, ("a",), "the table")


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("network.kernel_functions", "table of drivers in network/kernel_functions.py lacks a row for 'softplus'"),
        ("network.memory.descriptors", "structs of layers lacks a row for 'softplus'"),
        ("network.memory.scratch", "lacks a row for 'softplus'"),
        ("network.devices.latency", "elements that kernels read lacks a row for 'softplus'"),
        ("network.devices.core_speeds", "lacks a row for 'softplus'"),
        ("network.json_reading.layers", "JSON kinds lacks a row for 'softplus'"),
    ],
)
def test_a_registered_kind_without_its_rows_is_an_error_at_import(module: str, said: str) -> None:
    program = f"""
import network.kernels as kernels
from network.layers import Activation
class Softplus(Activation):
    kind = "softplus"
kernels.LAYER_KINDS["softplus"] = Softplus
kernels.KERNELS["softplus"] = kernels.KERNELS["activation"]
kernels.KERNELS_WITHOUT_WEIGHTS += ("softplus",)
import {module}
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert said in run.stderr.splitlines()[-1]


def test_constants_do_not_depend_on_activation_bits_without_thresholds() -> None:
    network = network_with(EXAMPLES["convolution"][0])
    layer = network.layers[-1]
    for accounting in ACCOUNTINGS.values():
        taken = {
            accounting.parameter_bytes(network, layer, SCHEME, LayerBits(bits, output), is_last=True)
            for bits in BITS
            for output in BITS
        }
        assert len(taken) == 1
