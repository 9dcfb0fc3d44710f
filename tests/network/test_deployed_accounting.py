"""The `deployed` rule book on a network that is counted by hand."""

from __future__ import annotations

from network.allocation import Allocation, Folding, Scheme, WeightScheme
from network.deployed_accounting import DeployedAccounting
from network.kernel_table import CORTEX_M4
from network.layers import Add, Convolution, FullyConnected, Padding, Shape
from network.memory import Region, measure
from tests.builders import network_of

NETWORK = network_of(
    [
        Convolution(
            name="a", inputs=("input",), output="a", output_channels=3, kernel=(3, 3), padding=Padding(1, 1, 1, 1)
        ),
        Convolution(
            name="dw",
            inputs=("a",),
            output="dw",
            output_channels=3,
            kernel=(3, 3),
            padding=Padding(1, 1, 1, 1),
            groups=3,
        ),
        Add(name="sum", inputs=("a", "dw"), output="sum"),
        FullyConnected(name="fc", inputs=("sum",), output="fc", output_channels=5),
    ],
    Shape(3, 4, 4),
)
"""input 3x4x4 -> a 3x4x4 -> dw 3x4x4; a + dw -> sum 3x4x4 -> fc 5."""

PER_CHANNEL = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
FOLDED = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS)


def test_every_byte_by_hand() -> None:
    allocation = Allocation(
        weight_bits={"a": 4, "dw": 2, "fc": 8},
        activation_bits={"input": 8, "a": 4, "dw": 4, "sum": 2, "fc": 8},
        schemes={"a": PER_CHANNEL, "dw": PER_CHANNEL, "fc": FOLDED},
    )
    report = measure(NETWORK, allocation, DeployedAccounting())
    entry = CORTEX_M4.table_entry_bytes
    assert [(layer.layer, layer.weight_bytes, layer.parameter_bytes) for layer in report.layers] == [
        # 3 rows of 27 codes at 4 bits: 14 bytes each; bias 4, factor 5 and zero point 1 for each of 3 channels
        ("a", 3 * 14, 3 * 10 + entry["convolution"]),
        # depthwise: 9 rows of 3 codes at 2 bits, a byte each
        ("dw", 9, 3 * 10 + entry["depthwise_convolution"]),
        # two multipliers and a shift
        ("sum", 0, 9 + entry["add"]),
        # 5 rows of 48 bytes; 5 biases, one factor, one zero point
        ("fc", 240, 5 * 4 + 5 + 1 + entry["fully_connected"]),
    ]
    # A pixel of 3 channels takes 3, 2 and 1 bytes at 8, 4 and 2 bits; columns of `a`: 2 x 27 elements of 2 bytes.
    steps = [(s.layer, s.input_bytes, s.output_bytes, s.waiting_bytes, s.scratch_bytes) for s in report.steps]
    assert steps == [
        ("a", 48, 32, 0, 108),
        ("dw", 32, 32, 0, 0),
        ("sum", 64, 16, 0, 0),
        ("fc", 16, 5, 0, 0),
    ]  # fmt: skip
    assert report.arena is not None
    assert report.arena.arena_bytes == 48 + 32 + 108
    shared = {each.part: each.size_bytes for each in report.shared}
    kernels = CORTEX_M4.weight_kernel_bytes
    assert shared == {
        "kernel code: add": CORTEX_M4.kernel_bytes["add"],
        "runtime code": CORTEX_M4.runtime_bytes,
        "start-up data": CORTEX_M4.startup_bytes,
        "state": CORTEX_M4.state_bytes,
        "stack": CORTEX_M4.stack_bytes,
        "kernel code: convolution, 4-bit weights": kernels["convolution", 4],
        "kernel code: depthwise_convolution, 2-bit weights": kernels["depthwise_convolution", 2],
        "kernel code: fully_connected, 8-bit weights": kernels["fully_connected", 8],
        "kernel code: 4-bit activations": CORTEX_M4.activation_bits_bytes[4],
        "kernel code: 2-bit activations": CORTEX_M4.activation_bits_bytes[2],
    }
    assert all(each.is_estimate for each in report.shared)
    flash = [each.size_bytes for each in report.shared if each.region is Region.FLASH]
    assert report.flash_bytes == sum(layer.flash_bytes for layer in report.layers) + sum(flash)
    assert report.ram_bytes == 188 + CORTEX_M4.state_bytes + CORTEX_M4.stack_bytes


def test_a_chain_keeps_a_pools_own_bits() -> None:
    """Nothing is left out in a chain either, and no tensor shares another's bits."""
    assert DeployedAccounting().same_bits(NETWORK) == {tensor: tensor for tensor in NETWORK.tensors}
    assert [step.layer for step in DeployedAccounting().steps(NETWORK)] == ["a", "dw", "sum", "fc"]
