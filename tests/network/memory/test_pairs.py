"""Pairs of 2-bit codes are multiplied if both tensors have 2 bits, and if the code fits."""

from __future__ import annotations

from network.allocation import Allocation, Bits, Folding, Scheme, WeightScheme
from network.budget import Budget
from network.kernel_functions import Form
from network.kernel_sizes.tables import sizes_for
from network.layers import Convolution, FullyConnected, Shape
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.pairs import with_pairs
from tests.builders import network_of

NETWORK = network_of(
    [
        Convolution(name="a", inputs=("input",), output="a", output_channels=4, kernel=(1, 1)),
        Convolution(name="dw", inputs=("a",), output="dw", output_channels=4, kernel=(3, 3), groups=4),
        Convolution(name="b", inputs=("dw",), output="b", output_channels=4, kernel=(1, 1)),
        FullyConnected(name="fc", inputs=("b",), output="fc", output_channels=5),
    ],
    Shape(3, 6, 6),
)
SCHEME = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)
BOOK = DeployedAccounting(sizes_for("cortex-m4"))
MUCH = Budget(10**6, 10**6)


def allocation(weights: dict[str, Bits], activations: dict[str, Bits]) -> Allocation:
    schemes = {layer.name: SCHEME for layer in NETWORK.weight_layers}
    return Allocation(
        {layer.name: weights.get(layer.name, 8) for layer in NETWORK.weight_layers},
        {tensor: activations.get(tensor, 8) for tensor in NETWORK.tensors},
        schemes,
    )


NARROW = allocation({"a": 2, "dw": 2, "b": 2, "fc": 2}, {"a": 2, "dw": 2, "b": 4})
"""The depthwise layer and `b` read and have 2 bits; `a` reads 8 bits, `fc` 4."""


def test_only_layers_with_2_bits_twice_multiply_pairs() -> None:
    found = with_pairs(NETWORK, NARROW, BOOK, MUCH)
    assert dict(found.forms) == {"b": Form.PAIRS}
    codes, before = ({each.part for each in measure(NETWORK, NARROW, book).shared} for book in (found, BOOK))
    # `a` still needs dot2_2; no other layer widens 2 bits
    assert codes - before == {"kernel code: widen_2x2", "kernel code: dot2_2x2"}
    assert before - codes == {"kernel code: widen_2"}
    assert with_pairs(NETWORK, allocation({}, {}), BOOK, MUCH) is BOOK


def test_a_network_that_would_no_longer_fit_keeps_its_functions() -> None:
    taken = measure(NETWORK, NARROW, with_pairs(NETWORK, NARROW, BOOK, MUCH))
    flash_bytes, ram_bytes = int(taken.flash_bytes), int(taken.ram_bytes)
    assert flash_bytes > measure(NETWORK, NARROW, BOOK).flash_bytes
    assert with_pairs(NETWORK, NARROW, BOOK, Budget(flash_bytes, ram_bytes)) is not BOOK
    assert with_pairs(NETWORK, NARROW, BOOK, Budget(flash_bytes - 1, ram_bytes)) is BOOK


def test_wide_layers_stay_wide() -> None:
    wide = BOOK.with_forms({"b": Form.WIDE})
    assert with_pairs(NETWORK, NARROW, wide, MUCH) is wide


def test_every_tap_of_a_convolution_has_whole_groups_of_16_codes() -> None:
    def found(channels: int, groups: int, kernel: tuple[int, int]) -> dict[str, Form]:
        network = network_of(
            [
                Convolution(name="a", inputs=("input",), output="a", output_channels=channels, kernel=(1, 1)),
                Convolution(name="b", inputs=("a",), output="b", output_channels=8, kernel=kernel, groups=groups),
            ],
            Shape(3, 6, 6),
        )
        bits = Allocation({"a": 8, "b": 2}, {"input": 8, "a": 2, "b": 8}, {"a": SCHEME, "b": SCHEME})
        return dict(with_pairs(network, bits, BOOK, MUCH).forms)

    assert found(16, 1, (3, 3)) == found(32, 2, (3, 3)) == found(4, 1, (1, 1)) == {"b": Form.PAIRS}
    assert found(12, 1, (3, 3)) == found(32, 4, (3, 3)) == found(6, 1, (1, 1)) == {}
