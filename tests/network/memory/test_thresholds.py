"""The `deployed` rule book with thresholds, by hand, and beside the book that it differs from."""

from __future__ import annotations

import pytest

from network.allocation import Allocation, Bits, Folding, Scheme, WeightScheme
from network.budget import Budget
from network.errors import RequestError
from network.layers import Add, Convolution, FullyConnected, Padding, Shape
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.paper import PaperAccounting
from network.memory.report import MemoryReport
from network.memory.thresholds import measure_thresholds
from tests.builders import network_of

NETWORK = network_of(
    [
        Convolution(
            name="a", inputs=("input",), output="a", output_channels=3, kernel=(3, 3), padding=Padding(1, 1, 1, 1)
        ),
        Add(name="sum", inputs=("a", "input"), output="sum"),
        FullyConnected(name="fc", inputs=("sum",), output="fc", output_channels=5),
    ],
    Shape(3, 4, 4),
)
PER_CHANNEL = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
PER_LAYER = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS)


def layers_bytes(report: MemoryReport) -> float:
    return sum(each.flash_bytes for each in report.layers)


@pytest.mark.parametrize(("output_bits", "thresholds"), [(2, 3), (4, 15), (8, 255)])
def test_every_byte_by_hand(output_bits: Bits, thresholds: int) -> None:
    allocation = Allocation(
        weight_bits={"a": 4, "fc": 8},
        activation_bits={"input": 8, "a": output_bits, "sum": 2, "fc": 8},
        schemes={"a": PER_CHANNEL, "fc": PER_LAYER},
    )
    book = DeployedAccounting(in_place=("add",), reuses_input=False)
    report = measure_thresholds(NETWORK, allocation, book, Budget(10**6, 10**6))
    # direction, offset and thresholds for each channel; 3 zero points in a word, or one in the descriptor; the
    # descriptors: step, layer and rows; step, layer and two inputs
    assert [(layer.layer, layer.parameter_bytes) for layer in report.layers] == [
        ("a", 3 * 4 * (2 + thresholds) + 4 + 8 + 56 + 24),
        ("sum", 8 + 28 + 2 * 12),
        ("fc", 5 * 4 * (2 + 255) + 8 + 56 + 24),
    ]
    multiplied = measure(NETWORK, allocation, book)
    # a word for each channel instead
    more = 3 * 4 * (2 + thresholds - 1) + 5 * 4 * (2 + 255 - 1)
    assert layers_bytes(report) - layers_bytes(multiplied) == more
    codes, other_codes = ({each.part for each in found.shared} for found in (report, multiplied))
    assert codes - other_codes == {"kernel code: dot2_thresholds_4", "kernel code: dot1_thresholds_8"}
    assert other_codes - codes == {"kernel code: dot2_4", "kernel code: dot1_8"}
    assert report.arena == multiplied.arena
    assert report.accounting == "deployed"


def test_a_network_that_no_longer_fits_is_refused() -> None:
    bits: dict[str, Bits] = {"input": 8, "a": 4, "sum": 4, "fc": 8}
    allocation = Allocation({"a": 4, "fc": 8}, bits, {"a": PER_CHANNEL, "fc": PER_LAYER})
    book = DeployedAccounting()
    taken = measure_thresholds(NETWORK, allocation, book, Budget(10**6, 10**6)).flash_bytes
    multiplied = measure(NETWORK, allocation, book).flash_bytes
    assert multiplied < taken - 1
    exactly = Budget(int(taken), 10**6)
    assert measure_thresholds(NETWORK, allocation, book, exactly).flash_bytes == taken
    with pytest.raises(
        RequestError, match=rf"needs {taken:.0f} bytes of flash, 1 more .* layer 'fc' .* 8 bits for its output"
    ):
        measure_thresholds(NETWORK, allocation, book, Budget(int(taken) - 1, 10**6))
    with pytest.raises(RequestError, match=r"the 'paper' accounting cannot count .* choose the 'deployed' accounting"):
        measure_thresholds(NETWORK, allocation, PaperAccounting(), exactly)


def test_a_layer_without_a_scheme_is_an_error() -> None:
    with pytest.raises(ValueError, match="layer 'fc' has weights, but no quantization scheme"):
        measure(
            NETWORK,
            Allocation({"a": 4, "fc": 8}, dict.fromkeys(NETWORK.tensors, 8), {"a": PER_CHANNEL}),
            DeployedAccounting(),
        )
