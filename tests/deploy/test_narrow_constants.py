"""Narrow constants: the codes that a chip computes with them, the rules that make a layer narrow, and 32-bit sums."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from deploy.arithmetic import Requantization, top_code
from deploy.integer_network import IntegerAdd, IntegerConvolution, IntegerFullyConnected, IntegerTensor
from deploy.interpreter import trace
from deploy.narrow_constants import (
    NarrowConstants,
    chip_codes,
    chip_offsets,
    input_shift,
    is_int32_sum,
    narrow_constants_of,
    offset_shift_of,
    shift_limits,
)
from deploy.thresholds import thresholds_of
from network.allocation import Bits
from network.layers import Shape
from tests.deploy.random_networks import SCHEMES, Builder, builders


def tensor(bits: Bits, zero_point: int, channels: int = 1) -> IntegerTensor:
    return IntegerTensor("x", Shape(channels), bits, 1.0, zero_point)


def layer(
    weights: list[list[int]], bias: list[int], multiplier: list[int], shift: list[int], zero_point: int = 0
) -> IntegerFullyConnected:
    """Return a fully connected layer, from weight codes [output channel][input channel]."""
    codes = np.array(weights, np.uint8)
    return IntegerFullyConnected(
        name="f", inputs=("x",), output="y", codes=codes.reshape(len(codes), 1, 1, -1), weight_bits=8,
        weight_zero_point=np.array([zero_point], np.int32), bias=np.array(bias, np.int32),
        requantization=Requantization(np.array(multiplier, np.int32), np.array(shift, np.int8)),
        scheme=SCHEMES[1], weight_scale=np.ones(1),
    )  # fmt: skip


def test_the_example_of_the_module() -> None:
    example, source, output = layer([[3]], [10], [19661], [17]), tensor(4, 2), tensor(8, 0)
    found = narrow_constants_of(example, source, output)
    assert found is not None
    assert (found.multiplier.tolist(), found.offset.tolist()) == ([19661], [4])
    assert (found.shift, found.offset_shift, found.input_shift) == (5, 0, 4)
    assert chip_codes(example, source, output, np.full((1, 1, 1, 1), 7, np.uint8)).tolist() == [[[[4]]]]


@pytest.mark.parametrize(
    ("offsets", "shift"),
    [([], 0), ([0], 0), ([32767, -32768], 0), ([32768], 1), ([-32769], 1), ([65535], 1), ([65536], 2), ([2**30], 16)],
)
def test_the_offset_shift_is_the_smallest(offsets: list[int], shift: int) -> None:
    assert offset_shift_of(np.array(offsets, np.int64)) == shift


def narrowed(changes: dict[str, Any], generator: np.random.Generator, found: IntegerConvolution) -> IntegerConvolution:
    return dataclasses.replace(found, **changes, weight_zero_point=generator.integers(
        0, 256, len(found.weight_zero_point)).astype(np.int32))  # fmt: skip


def made_narrow(builder: Builder, index: int) -> IntegerConvolution | None:
    """Return a convolution with random narrow constants, of every size; None if its sums would exceed 32 bits."""
    generator, found = builder.generator, builder.layers[index]
    assert isinstance(found, IntegerConvolution)
    source, channels = builder.tensors[found.inputs[0]], len(found.codes)
    least, most = shift_limits(source.bits)
    multiplier = generator.integers(-(2**15) + 1, 2**15, channels) >> generator.integers(0, 12)
    requantization = Requantization(
        multiplier.astype(np.int32), np.full(channels, generator.integers(least, most + 1), np.int8)
    )
    found = narrowed({"requantization": requantization}, generator, found)
    offsets = generator.integers(-(2**15), 2**15, channels) << generator.integers(0, 8)
    bias = offsets - chip_offsets(dataclasses.replace(found, bias=np.zeros(channels, np.int32)), source)
    found = dataclasses.replace(found, bias=bias.astype(np.int32))
    return found if narrow_constants_of(found, source, builder.tensors[found.output]) else None


@settings(deadline=None, max_examples=150)
@given(builders(kinds=("convolution", "depthwise", "fully_connected")))
def test_a_chip_computes_the_codes_of_the_interpreter(builder: Builder) -> None:
    found = [made_narrow(builder, index) for index in range(len(builder.layers))]
    builder.layers[:] = [narrow or old for narrow, old in zip(found, builder.layers, strict=True)]
    network = builder.network()
    codes = trace(network, builder.input_codes(2))
    for narrow in found:
        if narrow is not None:
            source, output = network.tensors[narrow.inputs[0]], network.tensors[narrow.output]
            np.testing.assert_array_equal(
                chip_codes(narrow, source, output, codes[source.name]), codes[output.name], err_msg=narrow.name
            )


def test_almost_all_random_narrow_layers_are_narrow() -> None:
    """The property above would hold for no layers at all."""
    found = []
    for seed in range(50):
        builder = Builder(np.random.default_rng(seed), Shape(3, 4, 4))
        builder.convolution("input", 4, (3, 3))
        found.append(made_narrow(builder, 0))
    assert sum(each is not None for each in found) > 40


LIMITS = layer([[255, 255]], [0], [2**15 - 1], [17])


@pytest.mark.parametrize(
    ("changes", "bits", "is_narrow"),
    [
        ({}, 8, True),
        ({"multiplier": [1 - 2**15]}, 8, True),
        ({"multiplier": [2**15]}, 8, False),
        ({"multiplier": [-(2**15)]}, 8, False),
        ({"shift": [16]}, 8, False),
        ({"shift": [16]}, 4, True),
        ({"shift": [12]}, 4, False),
        ({"shift": [11]}, 2, True),
        ({"shift": [10]}, 2, False),
        ({"shift": [38]}, 8, True),
        ({"shift": [39]}, 8, False),
        ({"shift": [35]}, 4, False),
        ({"bias": [32767]}, 8, True),
        ({"bias": [32769]}, 8, False),  # an odd offset of 17 bits
        ({"bias": [32770]}, 8, True),
        # |acc| * 2^e < 2^31: 2 * 255 * 255 = 130,050 with 8 bits, 2 * 15 * 255 = 7,650 with 4 bits
        ({"bias": [2**31 - 2**16 - 2**17]}, 8, True),
        ({"bias": [2**31 - 2**16]}, 8, False),
        ({"bias": [2**27 - 2**13]}, 4, True),
        ({"bias": [2**27 - 2**12]}, 4, False),
        ({"weight_zero_point": [255]}, 8, True),
        ({"weight_zero_point": [256]}, 8, False),
        ({"weight_zero_point": [-1]}, 8, False),
    ],
)
def test_the_limits_of_narrow_layers(changes: dict[str, list[int]], bits: Bits, is_narrow: bool) -> None:
    factors = LIMITS.requantization
    multiplier = np.array(changes.get("multiplier", factors.multiplier.tolist()), np.int32)
    shift = np.array(changes.get("shift", factors.shift.tolist()), np.int8)
    changed = dataclasses.replace(
        LIMITS,
        requantization=Requantization(multiplier, shift),
        bias=np.array(changes.get("bias", [0]), np.int32),
        weight_zero_point=np.array(changes.get("weight_zero_point", [0]), np.int32),
    )
    source, output = tensor(bits, 0, 2), tensor(8, 255)
    assert (narrow_constants_of(changed, source, output) is not None) == is_narrow
    if is_narrow:  # the corners of the inputs, with the largest zero point of the output, stay within 32 bits
        corners = np.array([0, top_code(bits)], np.uint8)[[[0, 0], [0, 1], [1, 0], [1, 1]]].reshape(4, 1, 1, 2)
        expected = [code_by_hand(changed, source, output, row) for row in corners.reshape(4, 2).tolist()]
        assert chip_codes(changed, source, output, corners).ravel().tolist() == expected


def code_by_hand(found: IntegerConvolution, source: IntegerTensor, output: IntegerTensor, codes: list[int]) -> int:
    z_w = int(found.weight_zero_point[0])
    acc = int(found.bias[0]) + sum(
        (x - source.zero_point) * (w - z_w) for x, w in zip(codes, found.codes.ravel().tolist(), strict=True)
    )
    m, n = int(found.requantization.multiplier[0]), int(found.requantization.shift[0])
    return min(max(output.zero_point + ((acc * m + (1 << (n - 1))) >> n), 0), top_code(output.bits))


def test_different_shifts_make_a_layer_wide() -> None:
    two = layer([[1], [2]], [0, 0], [20000, 3], [17, 17])
    assert isinstance(narrow_constants_of(two, tensor(8, 3), tensor(8, 0)), NarrowConstants)
    two = dataclasses.replace(
        two, requantization=Requantization(two.requantization.multiplier, np.array([17, 18], np.int8))
    )
    assert narrow_constants_of(two, tensor(8, 3), tensor(8, 0)) is None


def test_one_multiplier_is_repeated_for_each_channel() -> None:
    found = narrow_constants_of(layer([[1], [2]], [5, -7], [-20000], [20]), tensor(2, 3), tensor(4, 0))
    assert found is not None
    assert found.multiplier.tolist() == [-20000, -20000]
    assert found.offset.tolist() == [5 - 3 * 1, -7 - 3 * 2]
    assert (found.shift, found.input_shift) == (20 + 6 - 16, input_shift(2))


def test_a_layer_with_thresholds_has_no_narrow_constants() -> None:
    compared = dataclasses.replace(LIMITS, thresholds=thresholds_of(LIMITS.requantization, LIMITS.bias, 0, 8))
    assert narrow_constants_of(compared, tensor(8, 0, 2), tensor(8, 0)) is None
    with pytest.raises(ValueError, match="layer 'f' is wide; expected a narrow layer"):
        chip_codes(compared, tensor(8, 0, 2), tensor(8, 0), np.zeros((1, 1, 1, 2), np.uint8))


@pytest.mark.parametrize(
    ("multipliers", "shift", "zero_point", "fits"),
    [
        # largest steps 200 and 12: 200 * 5 + 12 * 7 = 1,084; 2^20 * (2047 + 1) = 2^31
        ([5, -7], 20, 2046, True),
        ([5, -7], 20, 2047, False),
        ([(2**30 - 12) // 200, 1], 22, 255, True),
        ([2**30 // 200 + 1, 1], 22, 255, False),
        ([1, 1], 31, 0, False),
        ([1, 1], 1, 0, True),
        ([1, 1], 0, 0, False),
    ],
)
def test_sums_of_32_bits(multipliers: list[int], shift: int, zero_point: int, fits: bool) -> None:
    requantization = Requantization(np.array(multipliers, np.int32), np.full(2, shift, np.int8))
    add = IntegerAdd(name="a", inputs=("x", "y"), output="z", requantization=requantization)
    inputs = (tensor(8, 55), tensor(4, 12))
    assert is_int32_sum(add, inputs, tensor(8, zero_point)) == fits
