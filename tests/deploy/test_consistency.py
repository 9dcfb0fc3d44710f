"""Inconsistent networks: each fault is an error whose message names the layer or tensor."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.arithmetic import Requantization
from deploy.consistency import check_consistency
from deploy.integer_network import IntegerLayer, IntegerNetwork
from deploy.proof import prove_accumulators
from network.errors import ConversionError
from network.layers import Padding, Shape
from network.network_input import InputFormat, NetworkInput
from network.windows import window_divisors
from tests.deploy.random_networks import Builder, builders


@settings(deadline=None)
@given(builders())
def test_networks_that_were_built_with_care_pass(builder: Builder) -> None:
    network = builder.network()
    check_consistency(network)
    assert set(prove_accumulators(network)) <= {layer.name for layer in network.layers}


def small() -> Builder:
    builder = Builder(np.random.default_rng(9), Shape(4, 6, 6))
    builder.tensors["input"] = dataclasses.replace(builder.tensors["input"], bits=4, zero_point=3)
    wide = builder.convolution("input", 6, (3, 3), padding=Padding(1, 1, 1, 1), weight_bits=4)
    total = builder.add(wide, wide)
    builder.pool(total, (2, 2), (1, 1), Padding(1, 0, 0, 0), average=True)
    return builder


def tensor_with(name: str, /, **fields: Any) -> Callable[[Builder], None]:
    def change(builder: Builder) -> None:
        builder.tensors[name] = dataclasses.replace(builder.tensors[name], **fields)

    return change


def layer_with(index: int, /, **fields: Any) -> Callable[[Builder], None]:
    def change(builder: Builder) -> None:
        builder.layers[index] = dataclasses.replace(builder.layers[index], **fields)

    return change


def factors(multipliers: list[int], shifts: list[int]) -> Requantization:
    return Requantization(np.array(multipliers, np.int32), np.array(shifts, np.int8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (tensor_with("input", zero_point=16), "has the zero point 16; expected 0 to 15 for 4 bits"),
        (tensor_with("input", zero_point=-1), "tensor 'input' has the zero point -1"),
        (tensor_with("input", bits=5), "tensor 'input' has 5 bits; expected 8, 4 or 2"),
        (tensor_with("input", scale=float("nan")), "tensor 'input' has the scale nan"),
        (tensor_with("input", name="other"), "tensor 'input' is described with the name 'other'"),
        (tensor_with("input", shape=Shape(4, 0, 6)), "tensor 'input' has the shape 4x0x6"),
        (tensor_with("add1", shape=Shape(6, 5, 6)), "layer 'add1' .* an output of shape 6x6x6, .* has the shape 6x5x6"),
        (layer_with(0, inputs=("add1",)), "layer 'convolution0' reads tensor 'add1', which is not written before it"),
        (layer_with(0, inputs=("input", "input")), "layer 'convolution0' .* reads 2 inputs; expected one input"),
        (layer_with(0, groups=2), "layer 'convolution0' .* expected uint8 of shape"),
        (layer_with(0, groups=4), "layer 'convolution0' .* groups, which do not divide"),
        (layer_with(0, dilation=(4, 4)), "layer 'convolution0' .* kernel that does not fit"),
        (layer_with(0, padding=Padding(2**13, 2**13, 2**13, 2**13)), "computes an output of shape"),
        (layer_with(0, codes=np.zeros((6, 3, 3, 4), np.int8)), "weight codes of type int8 .* expected uint8 of shape"),
        (layer_with(0, codes=np.zeros((6, 36), np.uint8)), "expected four dimensions"),
        (layer_with(0, codes=np.full((6, 3, 3, 4), 16, np.uint8)), "weight code of 16; expected at most 15 for 4 bits"),
        (layer_with(0, weight_bits=3), "has weights of 3 bits"),
        (layer_with(0, bias=np.zeros(6, np.int64)), "a bias of type int64 .* expected int32 of 6 elements"),
        (layer_with(0, bias=np.zeros(1, np.int32)), "a bias of type int32 of shape .1.; expected int32 of 6 elements"),
        (layer_with(0, weight_zero_point=np.zeros(2, np.int32)), "a weight zero point of type .* int32 of 1 or 6"),
        (layer_with(0, weight_scale=np.zeros(1)), "has a weight scale that is 0 or not finite"),
        (layer_with(0, weight_scale=np.array([-np.inf])), "has a weight scale that is 0 or not finite"),
        (layer_with(0, requantization=factors([1] * 5, [1] * 5)), "'convolution0' .* multiplier of .* int32 of 1 or 6"),
        (layer_with(1, requantization=factors([1], [1])), "layer 'add1' .* multiplier of type .* int32 of 2 elements"),
        (layer_with(1, requantization=factors([1, 1], [1, 2])), "layer 'add1' .* the same shift for all inputs"),
        (layer_with(1, inputs=("convolution0", "input")), "layer 'add1' .* has inputs of the shapes .* the same shape"),
        (layer_with(1, inputs=()), "layer 'add1' .* reads no tensor; expected at least one input"),
        (layer_with(1, name="convolution0"), "has two layers of the same name"),
        (layer_with(1, output="input"), "the output of each layer once"),
        (layer_with(2, padding=Padding(2, 0, 0, 0)), "some windows contain only padding"),
        (layer_with(2, divisors=(4,)), r"has the divisors \[4\]; expected the numbers of .*, \[2, 4\]"),
        (layer_with(2, count_includes_padding=True), r"elements of its windows, \[4\]"),
    ],
)  # fmt: skip
def test_faults_are_named(change: Callable[[Builder], None], message: str) -> None:
    builder = small()
    change(builder)
    with pytest.raises(ConversionError, match=message):
        check_consistency(builder.network())


def inputs(
    form: InputFormat | None = None, *, name: str = "input", shape: Shape | None = None
) -> tuple[NetworkInput, ...]:
    return (NetworkInput(name, shape or Shape(4, 6, 6), form or InputFormat((4, 6, 6))),)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("outputs", (), r"has the outputs \[\]; expected at least one tensor"),
        (
            "outputs",
            ("nothing",),
            r"has the outputs \['nothing'\]; expected at least one tensor, each of which a layer writes",
        ),
        ("inputs", (), "0 inputs; expected 1 to 100"),
        ("inputs", inputs(name="add1"), "expected its inputs and then the output of each layer once"),
        ("inputs", inputs(shape=Shape(4, 6, 5)), "has the shape 4x6x5, and its tensor 4x6x6"),
        ("inputs", inputs(InputFormat((6, 6, 3))), "do not fill its input tensor"),
        ("inputs", inputs(InputFormat((-6, -6, 4))), "do not fill its input tensor"),
        (
            "inputs",
            inputs(InputFormat((4, 6, 6), multiply=(1.0, 2.0))),
            "as its multiply; expected 1 or 4 finite numbers",
        ),
        (
            "inputs",
            inputs(InputFormat((4, 6, 6), subtract=(float("inf"),))),
            "as its subtract; expected 1 or 4 finite numbers",
        ),
    ],
)
def test_faults_of_the_whole_network(field: str, value: object, message: str) -> None:
    network = small().network()
    fields = {each.name: getattr(network, each.name) for each in dataclasses.fields(network)}
    with pytest.raises(ConversionError, match=message):
        check_consistency(IntegerNetwork(**{**fields, field: value}))


def test_tensors_stand_in_the_order_in_which_they_are_written() -> None:
    builder = small()
    builder.tensors = dict(reversed(builder.tensors.items()))
    with pytest.raises(ConversionError, match="in the order in which they are written"):
        check_consistency(builder.network())


def test_padding_cannot_take_all_memory() -> None:
    """The output can be small despite large padding, because of strides."""
    builder = Builder(np.random.default_rng(10), Shape(1, 4, 4))
    wide = 2**13
    builder.convolution("input", 1, (1, 1), stride=(wide, wide), padding=Padding(wide, wide, wide, wide))
    with pytest.raises(ConversionError, match="pads its input to 268566544 elements; expected at most 16777216"):
        check_consistency(builder.network())


def test_an_unknown_kind_of_layer_is_refused() -> None:
    builder = small()
    builder.layers[0] = Unknown(name="odd", inputs=("input",), output="convolution0")
    with pytest.raises(
        ConversionError, match=r"layer 'odd' \(unknown\) is of a kind that the reference interpreter cannot run"
    ):
        check_consistency(builder.network())


class Unknown(IntegerLayer):
    kind = "unknown"


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)), st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)), st.tuples(*[st.integers(0, 3)] * 4),
)  # fmt: skip
def test_divisors_are_the_sizes_of_windows(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], around: tuple[int, int, int, int]
) -> None:
    limits = (kernel[0] - 1, kernel[1] - 1) * 2
    padding = Padding(*(min(each, limit) for each, limit in zip(around, limits, strict=True)))
    rows = range(-padding.top, size[0] + padding.bottom - kernel[0] + 1, stride[0])
    columns = range(-padding.left, size[1] + padding.right - kernel[1] + 1, stride[1])
    sizes = {
        sum(0 <= y + i < size[0] and 0 <= x + j < size[1] for i in range(kernel[0]) for j in range(kernel[1]))
        for y in rows
        for x in columns
    }
    if not sizes:
        return
    shape = Shape(1, *size)
    assert window_divisors(shape, kernel, stride, padding, includes_padding=False) == tuple(sorted(sizes))
    assert window_divisors(shape, kernel, stride, padding, includes_padding=True) == (kernel[0] * kernel[1],)
