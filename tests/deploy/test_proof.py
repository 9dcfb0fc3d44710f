"""Accumulator bounds, compared with all possible inputs, and with sums that exceed their types."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.arithmetic import Requantization, top_code
from deploy.integer_network import IntegerAdd, IntegerAveragePool, IntegerConvolution
from deploy.proof import accumulator_bound, product_bound, prove_accumulators
from network.errors import ConversionError
from network.layers import Padding, Shape
from tests.deploy.random_networks import Builder


def one_layer(seed: int, channels: int, outputs: int) -> tuple[Builder, IntegerConvolution]:
    builder = Builder(np.random.default_rng(seed), Shape(channels), bits=2)
    builder.fully_connected("input", outputs)
    (layer,) = builder.layers
    assert isinstance(layer, IntegerConvolution)
    return builder, layer


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 2))
def test_the_bound_is_the_worst_partial_sum_over_all_inputs(seed: int, channels: int, outputs: int) -> None:
    """No input, with any subset of its terms, with or without bias, exceeds the bound, and one reaches it."""
    builder, layer = one_layer(seed, channels, outputs)
    tensor = builder.tensors["input"]
    worst, worst_products = 0, 0
    for channel in range(outputs):
        z_w = int(layer.weight_zero_point[channel % len(layer.weight_zero_point)])
        weights = [int(code) - z_w for code in layer.codes[channel].ravel()]
        bias = int(layer.bias[channel])
        for codes in itertools.product(range(top_code(tensor.bits) + 1), repeat=channels):
            terms = [(code - tensor.zero_point) * weight for code, weight in zip(codes, weights, strict=True)]
            for kept in itertools.product((0, 1), repeat=channels):
                partial = sum(term for term, keep in zip(terms, kept, strict=True) if keep)
                worst_products = max(worst_products, abs(partial))
                worst = max(worst, abs(partial), abs(partial + bias))
    assert accumulator_bound(layer, tensor) == worst
    assert product_bound(layer, tensor) == worst_products


@pytest.mark.parametrize(
    ("bias", "bound"),
    [(2**31 - 1 - 400, 2**31 - 1), (2**31 - 400, 2**31), (111 - 2**31, 2**31 - 1), (110 - 2**31, 2**31)],
)
def test_int32_is_the_border(bias: int, bound: int) -> None:
    """A weight of 2 and input steps from -55 to 200: the products are -110 to 400, and the bias adds the rest."""
    builder, layer = one_layer(0, 1, 1)
    tensor = dataclasses.replace(builder.tensors["input"], bits=8, zero_point=55)
    builder.tensors["input"] = tensor
    layer = dataclasses.replace(
        layer,
        weight_bits=2,
        codes=np.array([3], np.uint8).reshape(1, 1, 1, 1),
        weight_zero_point=np.array([1], np.int32),
        bias=np.array([bias], np.int32),
    )
    builder.layers[:] = [layer]
    assert accumulator_bound(layer, tensor) == bound
    if bound < 2**31:
        assert prove_accumulators(builder.network()) == {layer.name: bound}
        return
    with pytest.raises(ConversionError, match=f"layer '{layer.name}'.*sum of 2147483648.*holds at most 2147483647"):
        prove_accumulators(builder.network())


def test_a_bound_beyond_64_bits_is_still_a_number() -> None:
    builder, layer = one_layer(1, 4, 1)
    tensor = dataclasses.replace(builder.tensors["input"], bits=8, zero_point=0)
    codes = np.zeros((1, 1, 1, 4), np.uint8)
    wild = dataclasses.replace(layer, codes=codes, weight_zero_point=np.array([-(2**31)], np.int32))
    assert product_bound(wild, tensor) == 4 * 255 * 2**31


def test_pools_and_adds_have_bounds_too() -> None:
    builder = Builder(np.random.default_rng(2), Shape(2, 4, 4))
    builder.tensors["input"] = dataclasses.replace(builder.tensors["input"], zero_point=100)
    pool = builder.pool("input", (2, 3), average=True, padding=Padding(1, 1, 0, 0))
    total = builder.add("input", "input")
    factors = Requantization(np.array([3, -5], np.int32), np.array([4, 4], np.int8))
    layer = builder.layers[-1]
    assert isinstance(layer, IntegerAdd)
    assert isinstance(builder.layers[0], IntegerAveragePool)
    builder.layers[-1] = dataclasses.replace(layer, requantization=factors)
    assert prove_accumulators(builder.network()) == {pool: 6 * 155, total: 155 * 8 + 8}


def test_a_pool_that_could_overflow_is_refused() -> None:
    builder = Builder(np.random.default_rng(3), Shape(1, 4096, 4096))
    builder.tensors["input"] = dataclasses.replace(builder.tensors["input"], zero_point=0)
    pool = builder.pool("input", (4096, 4096), average=True)
    with pytest.raises(ConversionError, match=f"layer '{pool}'.*sum of {255 * 4096**2}"):
        prove_accumulators(builder.network())
