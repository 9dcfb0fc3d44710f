"""The `deployed` rule book on a network that is counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from network.allocation import Allocation, Bits, Folding, Scheme, WeightScheme
from network.errors import RequestError
from network.kernel_functions import FUNCTIONS, Form
from network.kernel_sizes.tables import FunctionSize, KernelSizes, Optimization, sizes_for
from network.layers import Activation, Add, Convolution, FullyConnected, Layer, Padding, Shape
from network.memory.accounting import LayerBits
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.scratch import in_place_scratch_bytes, scratch_bytes
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


SIZES_BY_HAND = {
    "end of the steps": 8,
    "kernel code: run": 20,
    "kernel code: convolution": 100,
    "kernel code: fully_connected": 80,
    "kernel code: depthwise_3x3": 300,
    "kernel code: add": 60,
    "kernel code: widen_8": 24,
    "kernel code: widen_2": 32,
    "kernel code: dot2_4": 200,
    "kernel code: dot1_8": 160,
    "kernel code: pack_4": 28,
    "stack": 80,
}
FRAMES = {"bb_run": 8, "bb_convolution": 16, "bb_fully_connected": 20, "bb_dot2_8": 56, "bb_dot1_8": 48}
"""Stack frames in bytes; the others are 4."""


def sizes_by_hand() -> KernelSizes:
    """A table in which every function that NETWORK cannot use has 1,000 bytes."""
    functions = {
        name: FunctionSize(SIZES_BY_HAND.get(f"kernel code: {name[3:]}", 1000), FRAMES.get(name, 4))
        for name in FUNCTIONS
    }
    return KernelSizes("by hand", Optimization.SPEED, functions)


def test_every_byte_by_hand() -> None:
    allocation = Allocation(
        weight_bits={"a": 4, "dw": 2, "fc": 8},
        activation_bits={"input": 8, "a": 4, "dw": 4, "sum": 2, "fc": 8},
        schemes={"a": PER_CHANNEL, "dw": PER_CHANNEL, "fc": FOLDED},
    )
    report = measure(NETWORK, allocation, DeployedAccounting(sizes_by_hand()))
    assert [(layer.layer, layer.weight_bytes, layer.parameter_bytes) for layer in report.layers] == [
        # 3 rows of 27 codes at 4 bits: 4 words each; a word for each of 3 channels, 3 zero points in a word; the step,
        # the layer and its rows
        ("a", 3 * 16, 3 * 4 + 4 + 8 + 56 + 24),
        # depthwise: 9 rows of 3 codes at 2 bits, a byte each, in 3 words
        ("dw", 12, 3 * 4 + 4 + 8 + 56),
        # the step, the layer, two inputs
        ("sum", 0, 8 + 28 + 2 * 12),
        # 5 rows of 48 codes; 5 words; one zero point, in the descriptor
        ("fc", 240, 5 * 4 + 8 + 56 + 24),
    ]
    # A pixel of 3 channels takes 3, 2 and 1 bytes at 8, 4 and 2 bits. Scratch of `a`: windows of 27 codes, rounded to
    # 32: two columns of 2 bytes, one of codes, two of outputs. Scratch of `fc`: a column of 48 elements, its codes, and
    # 5 outputs, rounded up to 8.
    steps = [(s.layer, s.input_bytes, s.output_bytes, s.waiting_bytes, s.scratch_bytes) for s in report.steps]
    assert steps == [
        ("a", 48, 32, 0, 2 * 2 * 32 + 32 + 2 * 4),
        ("dw", 32, 32, 0, RING_OF_DW),
        ("sum", 64, 16, 0, 0),
        ("fc", 16, 8, 0, 2 * 48 + 48 + 8),
    ]  # fmt: skip
    assert report.arena is not None
    assert report.arena.arena_bytes == 32 + 32 + RING_OF_DW
    shared = {each.part: each.size_bytes for each in report.shared}
    # each function once: the input of `a` has 8 bits, that of `fc` 2, their weights 4 and 8, the output of `a` 4
    assert shared == SIZES_BY_HAND
    assert not any(each.is_estimate for each in report.shared)
    assert report.flash_bytes == (48 + 104) + (12 + 80) + 60 + (240 + 108) + sum(SIZES_BY_HAND.values()) - 80
    # run, then `a` with dot2_8, which its weights could have: 8 + 16 + 56
    assert report.ram_bytes == 32 + 32 + RING_OF_DW + 80


def test_a_chain_keeps_a_pools_own_bits() -> None:
    """Nothing is left out in a chain either, and no tensor shares another's bits."""
    assert DeployedAccounting().same_bits(NETWORK) == {tensor: tensor for tensor in NETWORK.tensors}
    assert [step.layer for step in DeployedAccounting().steps(NETWORK)] == ["a", "dw", "sum", "fc"]


# In place. Every tensor of IN_PLACE's chain is 3x4x4: 48 bytes at 8 bits, 32 at 4 (a pixel's 3 channels take 2 bytes).
IN_PLACE = network_of(
    [
        Convolution(name="a", inputs=("input",), output="a", output_channels=3, kernel=(1, 1)),
        Activation(name="r", inputs=("a",), output="r"),
        Convolution(
            name="dw",
            inputs=("r",),
            output="dw",
            output_channels=3,
            kernel=(3, 3),
            padding=Padding(1, 1, 1, 1),
            groups=3,
        ),
        Add(name="sum", inputs=("input", "dw"), output="sum"),
        Add(name="double", inputs=("sum", "sum"), output="double"),
    ],
    Shape(3, 4, 4),
)
ALL = ("activation", "add", "depthwise_convolution")
COLUMNS_OF_A = 2 * 2 * 16 + 2 * 4
RING_OF_DW = scratch_bytes(IN_PLACE.layers[2], Shape(3, 4, 4))
"""Of both depthwise layers; `test_depthwise_scratch.py` counts it by hand."""


StepFigures = tuple[str | None, float, float, float, int]


def steps_of(accounting: DeployedAccounting, bits: dict[str, Bits]) -> list[StepFigures]:
    weights: dict[str, Bits] = {layer.name: 8 for layer in IN_PLACE.weight_layers}
    schemes = dict.fromkeys(weights, PER_CHANNEL)
    activations: dict[str, Bits] = dict.fromkeys(IN_PLACE.tensors, 8)
    report = measure(IN_PLACE, Allocation(weights, activations | bits, schemes), accounting)
    return [(s.overwrites, s.input_bytes, s.output_bytes, s.waiting_bytes, s.scratch_bytes) for s in report.steps]


@pytest.mark.parametrize(
    ("in_place", "reuses_input", "bits", "expected"),
    [
        (
            ALL,
            True,
            {},
            [
                (None, 48, 48, 0, COLUMNS_OF_A),
                ("a", 48, 0, 48, 0),
                ("r", 48, 0, 48, RING_OF_DW),
                ("input", 96, 0, 0, 0),
                ("sum", 48, 0, 0, 0),
            ],
        ),
        (  # the input is kept: the add writes onto its second input, and the input waits to the end
            ALL,
            False,
            {},
            [
                (None, 48, 48, 0, COLUMNS_OF_A),
                ("a", 48, 0, 48, 0),
                ("r", 48, 0, 48, RING_OF_DW),
                ("dw", 96, 0, 0, 0),
                ("sum", 48, 0, 48, 0),
            ],
        ),
        (  # only at the same bits; `input` is the one that the add would overwrite, and has 8
            ALL,
            True,
            {"a": 4, "r": 4, "sum": 4},
            [
                (None, 48, 32, 0, COLUMNS_OF_A),
                ("a", 32, 0, 48, 0),
                (None, 32, 48, 48, RING_OF_DW),
                (None, 96, 32, 0, 0),
                (None, 32, 48, 0, 0),
            ],
        ),
        (  # only the depthwise layer; its ring is needed in any case
            ("depthwise_convolution",),
            True,
            {"r": 2, "dw": 2},
            [
                (None, 48, 48, 0, COLUMNS_OF_A),
                (None, 48, 16, 48, 0),
                ("r", 16, 0, 48, RING_OF_DW),
                (None, 64, 48, 0, 0),
                (None, 48, 48, 0, 0),
            ],
        ),
        (
            (),
            False,
            {},
            [
                (None, 48, 48, 0, COLUMNS_OF_A),
                (None, 48, 48, 48, 0),
                (None, 48, 48, 48, RING_OF_DW),
                (None, 96, 48, 0, 0),
                (None, 48, 48, 48, 0),
            ],
        ),
    ],
)
def test_steps_in_place_by_hand(
    in_place: tuple[str, ...],
    reuses_input: bool,
    bits: dict[str, Bits],
    expected: list[StepFigures],
) -> None:
    assert steps_of(DeployedAccounting(in_place=in_place, reuses_input=reuses_input), bits) == expected


def test_one_rectangle_for_what_lies_on_each_other() -> None:
    bits: dict[str, Bits] = dict.fromkeys(IN_PLACE.tensors, 8)
    plan = DeployedAccounting(in_place=ALL).arena(IN_PLACE, bits)
    assert plan is not None
    assert plan.offsets["a"] == plan.offsets["r"] == plan.offsets["dw"]
    assert plan.offsets["input"] == plan.offsets["sum"] == plan.offsets["double"]
    # what the input began lives to the end, what a began until the add; the largest step is the depthwise layer's
    assert plan.arena_bytes == plan.lower_bound_bytes == 48 + 48 + RING_OF_DW
    parted = DeployedAccounting(in_place=ALL).arena(IN_PLACE, bits | {"r": 4})
    assert parted is not None
    assert parted.arena_bytes == 48 + 48 + 32 + RING_OF_DW


def test_tensors_without_bits_are_not_placed() -> None:
    plan = DeployedAccounting(in_place=ALL).arena(IN_PLACE, {"input": 8, "a": 8, "dw": 8})
    assert plan is not None
    assert set(plan.offsets) == {"input", "a", "dw", "scratch of a", "scratch of dw"}


@pytest.mark.parametrize(("stride", "expected"), [((1, 1), 0), ((2, 2), None), ((1, 2), None)])
def test_a_depthwise_layer_of_stride_1_can_overwrite_its_input(stride: tuple[int, int], expected: int | None) -> None:
    layer = IN_PLACE.layers[2]
    assert isinstance(layer, Convolution)
    assert in_place_scratch_bytes(replace(layer, stride=stride), Shape(3, 4, 4)) == expected


def test_kernels_that_cannot_write_onto_their_input() -> None:
    with pytest.raises(
        RequestError, match=r"'concat' cannot overwrite an input; kernels that can are: activation, add"
    ):
        DeployedAccounting(in_place=("add", "concat"))


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        # 3 * 3 * 5 = 45 codes -> 48; 7 outputs -> 8
        (
            Convolution(name="c", inputs=("x",), output="y", output_channels=7, kernel=(3, 3)),
            Shape(5, 8, 8),
            5 * 48 + 16,
        ),
        # 2 groups: 3 * 3 * 4 = 36 -> 48; 3 outputs of a group -> 4
        (
            Convolution(name="c", inputs=("x",), output="y", output_channels=6, kernel=(3, 3), groups=2),
            Shape(8, 8, 8),
            5 * 48 + 8,
        ),
        # a pixel is widened where it is
        (
            Convolution(name="c", inputs=("x",), output="y", output_channels=10, kernel=(1, 1)),
            Shape(32, 8, 8),
            4 * 32 + 24,
        ),
        (
            Convolution(name="c", inputs=("x",), output="y", output_channels=10, kernel=(1, 1)),
            Shape(33, 8, 8),
            4 * 48 + 24,
        ),
        # pixels of 4 channels, and one pixel of any number, leave no gaps
        (FullyConnected(name="f", inputs=("x",), output="y", output_channels=10), Shape(4, 3, 3), 2 * 48 + 12),
        (FullyConnected(name="f", inputs=("x",), output="y", output_channels=10), Shape(37), 2 * 48 + 12),
        (FullyConnected(name="f", inputs=("x",), output="y", output_channels=10), Shape(5, 3, 3), 3 * 48 + 12),
    ],
)
def test_scratch_memory_by_hand(layer: Layer, shape: Shape, expected: int) -> None:
    assert scratch_bytes(layer, shape) == expected


def test_every_place_in_the_arena_is_a_multiple_of_4() -> None:
    """Pixels of 3 codes, and vectors of 5, would end within a word."""
    bits: dict[str, Bits] = {"input": 8, "a": 2, "dw": 4, "sum": 2, "fc": 8}
    plan = DeployedAccounting(in_place=ALL).arena(NETWORK, bits)
    assert plan is not None
    assert plan.arena_bytes % 4 == 0
    assert all(offset % 4 == 0 for offset in plan.offsets.values())


def parameters_of(layer: str, accounting: DeployedAccounting, bits: LayerBits) -> int:
    found = next(each for each in NETWORK.layers if each.name == layer)
    scheme = PER_CHANNEL if layer != "sum" else None
    return accounting.parameter_bytes(NETWORK, found, scheme, bits, is_last=False)


def test_constants_of_each_form_by_hand() -> None:
    forms = {"a": Form.WIDE, "dw": Form.THRESHOLDS, "sum": Form.WIDE}
    narrow, other = DeployedAccounting(), DeployedAccounting(forms=forms)
    for bits, thresholds in ((LayerBits(8, 8), 255), (LayerBits(8, 4), 15), (LayerBits(4, 2), 3)):
        assert parameters_of("a", other, bits) - parameters_of("a", narrow, bits) == 3 * (12 - 4)
        assert parameters_of("dw", other, bits) - parameters_of("dw", narrow, bits) == 3 * (4 * (2 + thresholds) - 4)
        assert parameters_of("sum", other, bits) == parameters_of("sum", narrow, bits)
    parts = {each.part for each in other.always_shared(NETWORK)}
    assert {"kernel code: add_wide", "kernel code: depthwise"} < parts
    assert not {"kernel code: add", "kernel code: depthwise_3x3"} & parts
    dots = {each.shared.part for each in other.features(NETWORK) if "dot" in each.shared.part}
    expected = {f"kernel code: dot2_wide_{bits}" for bits in (8, 4, 2)} | {f"kernel code: dot1_{b}" for b in (8, 4, 2)}
    assert dots == expected


def test_a_library_function_is_linked_once_with_the_functions_that_call_it() -> None:
    """Two dots call a multiplication; the deepest stack passes through it if one of them is needed."""
    table = sizes_by_hand()
    calling = {name: replace(table.functions[name], calls=("__long_multiply",)) for name in ("bb_dot2_4", "bb_dot1_2")}
    library = {"__long_multiply": FunctionSize(44, 20, ("__carry",)), "__carry": FunctionSize(12, 40)}
    accounting = DeployedAccounting(replace(table, functions={**table.functions, **calling, **library}))
    features = {each.shared.part: each for each in accounting.features(NETWORK)}
    for name, size_bytes in (("__long_multiply", 44), ("__carry", 12)):
        feature = features[f"kernel code: {name}"]
        assert feature.shared.size_bytes == size_bytes
        assert feature.weights == {("a", 4), ("fc", 2)}
        assert feature.activations == frozenset()
    (stack,) = [each.size_bytes for each in accounting.always_shared(NETWORK) if each.part == "stack"]
    assert stack == 8 + 20 + 4  # fully_connected and dot1_4
    deeper = [each for each in accounting.features(NETWORK) if each.shared.part == "stack"]
    # dot1_8 and dot2_8 have frames of 48 and 56 bytes; run 8, convolution 16, dot2_4 4, and 60 below; then dot1_2
    assert [stack := stack + each.shared.size_bytes for each in deeper] == [80, 88, 96]
    assert [each.weights for each in deeper] == [
        {("a", 8), ("a", 4), ("fc", 8), ("fc", 2)},
        {("a", 4), ("fc", 2)},
        {("fc", 2)},
    ]


def test_code_of_a_core_without_a_table_is_an_estimate() -> None:
    for accounting in (DeployedAccounting(sizes_for("xtensa-lx7")), DeployedAccounting()):
        exact = {each.part for each in accounting.always_shared(NETWORK) if not each.is_estimate}
        assert exact == {"end of the steps"}
