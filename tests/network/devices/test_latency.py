"""Cycles of small networks by hand, and what is refused of a table of one's own."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest

from network.allocation import BITS, Allocation
from network.devices.core_speed_json import core_speed_of, core_speed_to_json
from network.devices.core_speeds import SPEEDS, speed_of_core
from network.devices.latency import CoreSpeed, Latency, layer_cycles, network_cycles
from network.errors import RequestError
from network.kernel_sizes.tables import Optimization
from network.kernels import KERNELS_WITHOUT_WEIGHTS, WEIGHT_KERNELS
from network.layers import Add, AveragePool, Concat, Convolution, FullyConnected, Padding, Shape
from tests.builders import mobilenet_v1, network_of

NETWORK = network_of(
    [
        Convolution(
            name="a", inputs=("input",), output="a", output_channels=4, kernel=(3, 3), padding=Padding(1, 1, 1, 1)
        ),
        Convolution(name="p", inputs=("a",), output="p", output_channels=4, kernel=(1, 1)),
        Add(name="sum", inputs=("a", "p"), output="sum"),
        Concat(name="joined", inputs=("a", "sum"), output="joined"),
        AveragePool(name="pool", inputs=("joined",), output="pool", kernel=(3, 3)),
        FullyConnected(name="fc", inputs=("pool",), output="fc", output_channels=5),
    ],
    Shape(2, 3, 3),
)
SPEED = CoreSpeed(
    "core",
    {
        ("convolution", 8, 8): 1.0,
        ("pointwise_convolution", 4, 2): 0.4,
        ("fully_connected", 8, 4): 0.5,
    },
    {"add": 0.5, "concat": 1.0, "average_pool": 0.25},
    "by hand",
)


def test_cycles_by_hand() -> None:
    allocation = Allocation(
        {"a": 8, "p": 2, "fc": 4}, {"input": 8, "a": 4, "p": 8, "sum": 2, "joined": 8, "pool": 8, "fc": 8}, {}
    )
    bits = allocation.activation_bits
    cycles = [
        layer_cycles(NETWORK, layer, bits[layer.inputs[0]], allocation.weight_bits.get(layer.name), SPEED)
        for layer in NETWORK.layers
    ]
    assert cycles == [
        9 * (4 * 2 * 9),  # 9 places, 4 channels of 2 x 3 x 3 products
        9 * 4 * 4 * 5 // 2,  # 2.5 cycles each
        2 * (36 + 36),  # both inputs are read, 2 cycles an element
        36 + 36,
        4 * 8 * 9,  # 8 channels, one window of 9
        5 * 8 * 2,
    ]
    assert network_cycles(NETWORK, allocation, SPEED) == sum(cycles)


def test_cycles_are_whole() -> None:
    layer = NETWORK.layers[2]
    third = CoreSpeed("core", {}, {"add": 5.0}, "by hand")
    assert layer_cycles(NETWORK, layer, 8, None, third) == 15  # 72 / 5, rounded up


def test_a_rate_that_is_missing_is_named() -> None:
    message = r"'core' have no rate for convolution with 2-bit activations and 8-bit weights, which layer 'a' needs"
    with pytest.raises(RequestError, match=message):
        layer_cycles(NETWORK, NETWORK.layers[0], 2, 8, SPEED)
    with pytest.raises(RequestError, match=r"no rate for average_pool, which layer 'pool' needs"):
        layer_cycles(NETWORK, NETWORK.layers[4], 8, None, CoreSpeed("core", {}, {}, ""))


@pytest.mark.parametrize("core", sorted(SPEEDS))
def test_every_core_has_every_rate(core: str) -> None:
    speed = speed_of_core(core)
    assert set(speed.by_optimization) == {Optimization.SIZE, Optimization.UNROLLED}
    for rates in (speed.rates, *speed.by_optimization.values()):
        assert set(rates.multiply_accumulates_per_cycle) == {
            (kernel, activation, weight) for kernel in WEIGHT_KERNELS for activation in BITS for weight in BITS
        }
        assert set(rates.elements_per_cycle) == set(KERNELS_WITHOUT_WEIGHTS)
    assert not any(speed.is_estimate(*key) for key in speed.multiply_accumulates_per_cycle)


@pytest.mark.parametrize(
    ("core", "kernel", "least", "most"),
    [
        # instructions of one multiply-accumulate with 8 bits are between 1 and those of the slowest published kernels
        ("cortex-m4", "pointwise_convolution", 1.2, 2.1),
        ("cortex-m4", "depthwise_convolution", 1.6, 8.0),
        ("cortex-m7", "pointwise_convolution", 1.0, 2.1),
        ("cortex-m55", "pointwise_convolution", 0.2, 0.7),
        ("cortex-m0", "pointwise_convolution", 4.0, 12.0),
        ("rv32imac", "pointwise_convolution", 3.0, 8.0),
    ],
)
def test_rates_are_plausible(core: str, kernel: str, least: float, most: float) -> None:
    assert least < 1 / speed_of_core(core).multiply_accumulates_per_cycle[kernel, 8, 8] < most


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m33"])
@pytest.mark.parametrize("kernel", ["pointwise_convolution", "convolution", "fully_connected"])
def test_fewer_weight_bits_cost_no_time(core: str, kernel: str) -> None:
    rates = speed_of_core(core).multiply_accumulates_per_cycle
    assert rates[kernel, 8, 4] >= rates[kernel, 8, 8]
    assert rates[kernel, 8, 2] >= rates[kernel, 8, 8]


@pytest.mark.parametrize("core", sorted(SPEEDS))
def test_a_mobilenet_is_not_faster_if_it_is_compiled_for_size(core: str) -> None:
    network = mobilenet_v1(0.25, 96)
    allocation = Allocation({layer.name: 8 for layer in network.weight_layers}, dict.fromkeys(network.tensors, 8), {})
    fast, small = (
        network_cycles(network, allocation, SPEEDS[core].compiled(each))
        for each in (Optimization.SPEED, Optimization.SIZE)
    )
    assert fast <= small < 1.5 * fast


def test_a_mobilenet_takes_about_as_many_instructions_as_products() -> None:
    network = mobilenet_v1(1.0, 224)
    allocation = Allocation({layer.name: 8 for layer in network.weight_layers}, dict.fromkeys(network.tensors, 8), {})
    products = sum(layer.multiply_accumulates(network.input_shapes(layer)) for layer in network.weight_layers)
    assert 1.2 < network_cycles(network, allocation, SPEEDS["cortex-m4"]) / products < 2.5


def test_an_unknown_core() -> None:
    with pytest.raises(
        RequestError,
        match=r"speeds of core 'z80' are not known; choose one of the cores cortex-m0, cortex-m0plus, cortex-m3",
    ):
        speed_of_core("z80")


OWN: dict[str, Any] = {
    "core": "mine",
    "source": "measured",
    "multiply_accumulates_per_cycle": {"pointwise_convolution": {"8/4": 0.5, "2/8": 1}},
    "elements_per_cycle": {"add": 0.1},
}


def test_a_table_of_ones_own() -> None:
    speed = core_speed_of(OWN)
    assert speed.core == "mine"
    assert speed.multiply_accumulates_per_cycle == {
        ("pointwise_convolution", 8, 4): 0.5,
        ("pointwise_convolution", 2, 8): 1.0,
    }
    assert speed.elements_per_cycle == {"add": 0.1}
    assert not speed.is_estimate("pointwise_convolution", 8, 4)


def test_rates_of_code_for_size() -> None:
    """Rates that a flag does not list are the general ones; a table without flags has the same rates for all."""
    at_size = {"multiply_accumulates_per_cycle": {"pointwise_convolution": {"8/4": 0.25}}, "elements_per_cycle": {}}
    given = {**OWN, "optimizations": {"Os": at_size}}
    speed = core_speed_of(given)
    assert core_speed_to_json(speed) == {**given, "multiply_accumulates_per_cycle": ANY}
    assert core_speed_of(core_speed_to_json(speed)) == speed
    small = speed.compiled(Optimization.SIZE)
    assert small.multiply_accumulates_per_cycle == {
        ("pointwise_convolution", 8, 4): 0.25,
        ("pointwise_convolution", 2, 8): 1.0,
    }
    assert small.elements_per_cycle == {"add": 0.1}
    for optimization in (None, Optimization.SPEED, Optimization.UNROLLED):
        fast = speed.compiled(optimization)
        assert fast.multiply_accumulates_per_cycle == speed.multiply_accumulates_per_cycle
    old = core_speed_of(OWN)
    assert old.compiled(Optimization.SIZE) == old
    assert "optimizations" not in core_speed_to_json(old)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({**OWN, "optimizations": {"O1": {}}}, "unknown optimization flag 'O1'; expected one of O2, Os, O3"),
        ({**OWN, "optimizations": {"Os": {}}}, "the table of speeds at -Os lacks the key 'elements_per_cycle'"),
        ([], "the table of speeds is a list of 0; expected a JSON object"),
        ({**OWN, "more": 1}, "has the unknown key 'more'"),
        (
            {key: OWN[key] for key in ("core", "source", "elements_per_cycle")},
            "lacks the key 'multiply_accumulates_per_cycle'",
        ),
        ({**OWN, "core": "a\nb"}, "as its core; expected printable text"),
        ({**OWN, "source": 3}, "the number 3 as its source"),
        ({**OWN, "multiply_accumulates_per_cycle": {"gemm": {}}}, "unknown kernel 'gemm'; expected one of convolution"),
        ({**OWN, "multiply_accumulates_per_cycle": {"convolution": {"8/3": 1}}}, "weight bits of convolution '8/3'"),
        ({**OWN, "multiply_accumulates_per_cycle": {"convolution": 3}}, "expected a JSON object"),
        ({**OWN, "multiply_accumulates_per_cycle": {"convolution": {"8/8": 0}}}, "convolution at 8/8 bits is '0'"),
        ({**OWN, "elements_per_cycle": {"add": True}}, "the rate of add is 'True'"),
        ({**OWN, "elements_per_cycle": {"add": float("nan")}}, "the rate of add is 'nan'"),
        (
            {**OWN, "elements_per_cycle": {"add": 1e9}},
            "expected a number of elements per cycle from 0.000001 to 1000000",
        ),
        ({**OWN, "elements_per_cycle": {"convolution": 1}}, "unknown kernel without weights 'convolution'"),
    ],
)
def test_tables_that_are_refused(given: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        core_speed_of(given)


@pytest.mark.parametrize("most_cycles", [0, -1, True, 1.5, 2**60])
def test_ceilings_that_are_refused(most_cycles: Any) -> None:
    with pytest.raises(RequestError, match="the latency ceiling is"):
        Latency(SPEED, most_cycles)
