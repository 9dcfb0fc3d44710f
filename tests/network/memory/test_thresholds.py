"""The `deployed` rule book with thresholds, by hand, and beside the book that it differs from."""

from __future__ import annotations

import pytest

from network.allocation import Allocation, Bits, Folding, Scheme, WeightScheme
from network.budget import Budget
from network.errors import RequestError
from network.layers import Add, Convolution, FullyConnected, Padding, Shape
from network.memory.accounting import LayerBits
from network.memory.deployed import DeployedAccounting
from network.memory.kernel_table import CORTEX_M4
from network.memory.measure import measure
from network.memory.paper import PaperAccounting
from network.memory.thresholds import ThresholdAccounting, measure_thresholds
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


@pytest.mark.parametrize(("output_bits", "thresholds"), [(2, 3), (4, 15), (8, 255)])
def test_every_byte_by_hand(output_bits: Bits, thresholds: int) -> None:
    allocation = Allocation(
        weight_bits={"a": 4, "fc": 8},
        activation_bits={"input": 8, "a": output_bits, "sum": 2, "fc": 8},
        schemes={"a": PER_CHANNEL, "fc": PER_LAYER},
    )
    book = DeployedAccounting(in_place=("add",), reuses_input=False)
    report = measure(NETWORK, allocation, ThresholdAccounting(book))
    entry = CORTEX_M4.table_entry_bytes
    assert [(layer.layer, layer.parameter_bytes) for layer in report.layers] == [
        ("a", 3 * (4 * thresholds + 1) + 3 + entry["convolution"]),
        ("sum", 9 + entry["add"]),
        ("fc", 5 * (4 * 255 + 1) + 1 + entry["fully_connected"]),
    ]
    multiplied = measure(NETWORK, allocation, book)
    # bias 4, multiplier and shift 5 for each of 3 channels; bias 4 for each of 5 and one factor
    more = 3 * (4 * thresholds + 1 - 9) + 5 * (4 * 255 + 1 - 4) - 5
    assert report.flash_bytes - multiplied.flash_bytes == more
    assert report.ram_bytes == multiplied.ram_bytes
    assert report.arena == multiplied.arena
    assert report.accounting == "deployed"


def test_a_network_that_no_longer_fits_is_refused() -> None:
    bits: dict[str, Bits] = {"input": 8, "a": 4, "sum": 4, "fc": 8}
    allocation = Allocation({"a": 4, "fc": 8}, bits, {"a": PER_CHANNEL, "fc": PER_LAYER})
    book = DeployedAccounting()
    taken = measure(NETWORK, allocation, ThresholdAccounting(book)).flash_bytes
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
        ThresholdAccounting(DeployedAccounting()).parameter_bytes(
            NETWORK, NETWORK.weight_layers[-1], None, LayerBits(8, 8), is_last=True
        )
