"""Equalization computes the same function, and channels of neighbouring layers get similar ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.layers import (
    LINEAR,
    RELU,
    RELU6,
    ActivationFunction,
    Add,
    AveragePool,
    Convolution,
    FullyConnected,
    Layer,
    MaxPool,
    Padding,
    Shape,
    WeightLayer,
)
from network.network import Network
from qat.post_training.equalization import equalized
from tests.builders import network_of
from tests.network.float_reference import evaluate
from tests.qat.zoo import all_kinds, convolution, floats

SAME = Padding(1, 1, 1, 1)


def chain(seed: int, *, normalised: bool, activation: ActivationFunction = RELU) -> Network:
    """Return a chain of pointwise, depthwise (two filters per channel), grouped and fully connected layers and pools.

    The channels have very different sizes.
    """
    rng = np.random.default_rng(seed)
    layers: list[Layer] = [
        convolution(rng, "first", "input", (2, 4), kernel=(1, 1), activation=activation, normalised=normalised),
        convolution(
            rng, "depthwise", "first.out", (4, 8), groups=4, padding=SAME, activation=activation, normalised=normalised
        ),
        MaxPool(name="max", inputs=("depthwise.out",), output="max", kernel=(2, 2), stride=(2, 2)),
        convolution(rng, "grouped", "max", (8, 6), kernel=(1, 1), groups=2, activation=activation, normalised=False),
        AveragePool(name="average", inputs=("grouped.out",), output="average", kernel=(2, 1)),
        FullyConnected(
            name="dense", inputs=("average",), output="logits", output_channels=3, weight=floats(rng, 3, 6 * 2 * 3),
            bias=floats(rng, 3),
        ),
    ]  # fmt: skip
    for index, layer in enumerate(layers):
        if isinstance(layer, Convolution):
            assert layer.weight is not None
            unlike = np.exp(rng.normal(size=layer.output_channels) * 1.5).astype(np.float32)
            layers[index] = replace(layer, weight=layer.weight * unlike[:, None, None, None])
    return network_of(layers, Shape(2, 6, 6))


def assert_same_function(network: Network, found: Network) -> None:
    samples = np.random.default_rng(1).normal(size=(4, *network.only_input.shape)).astype(np.float32)
    wanted, got = evaluate(network, samples), evaluate(found, samples)
    for tensor in network.outputs:
        np.testing.assert_allclose(got[tensor], wanted[tensor], atol=1e-5 * np.abs(wanted[tensor]).max())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), normalised=st.booleans(), activation=st.sampled_from([LINEAR, RELU, RELU6]))
def test_equalization_keeps_the_function(seed: int, normalised: bool, activation: ActivationFunction) -> None:
    network = chain(seed, normalised=normalised, activation=activation)
    assert_same_function(network, equalized(network))
    network = all_kinds(seed)
    assert_same_function(network, equalized(network))


def weights_of(network: Network, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the weights of a layer with batch norm folded in."""
    (layer,) = [layer for layer in network.weight_layers if layer.name == name]
    assert layer.weight is not None
    weight = layer.weight.astype(np.float64)
    if layer.batch_norm is None:
        return weight
    gain = layer.batch_norm.gamma / np.sqrt(layer.batch_norm.variance + layer.batch_norm.epsilon)
    folded: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = weight * gain.reshape((-1,) + (1,) * (weight.ndim - 1))
    return folded


def test_two_layers_by_hand() -> None:
    # Rows of 4 and 1, columns of 1 and 9: factors sqrt(4 / 1) = 2 and sqrt(1 / 9) = 1/3.
    layers = [
        FullyConnected(
            name="one", inputs=("input",), output="mid", activation=RELU, output_channels=2,
            weight=np.array([[4.0, -2.0], [0.5, 1.0]], np.float32), bias=np.array([2.0, 1.0], np.float32),
        ),
        FullyConnected(
            name="two", inputs=("mid",), output="out", output_channels=1, weight=np.array([[1.0, -9.0]], np.float32)
        ),
    ]  # fmt: skip
    found = equalized(network_of(layers, Shape(2)))
    one, two = found.weight_layers
    assert one.weight is not None
    assert one.bias is not None
    assert two.weight is not None
    np.testing.assert_allclose(one.weight, [[2.0, -1.0], [1.5, 3.0]], rtol=1e-6)
    np.testing.assert_allclose(one.bias, [1.0, 3.0], rtol=1e-6)
    np.testing.assert_allclose(two.weight, [[2.0, -3.0]], rtol=1e-6)


def test_a_depthwise_chain_is_equalized_as_one() -> None:
    network = chain(3, normalised=False)
    found = equalized(network)
    of_first = np.abs(weights_of(found, "first")).max(axis=(1, 2, 3))
    of_depthwise = np.abs(weights_of(found, "depthwise")).reshape(4, -1).max(axis=1)
    alive = of_first > 0
    alive &= of_depthwise > 0
    assert alive.any()
    np.testing.assert_allclose(of_first[alive], of_depthwise[alive], rtol=0.01)
    before = np.abs(weights_of(network, "first")).max(axis=(1, 2, 3))
    assert not np.allclose(before[alive], of_first[alive], rtol=0.1)


def test_rows_before_a_batch_norm_get_one_range() -> None:
    network = chain(5, normalised=True, activation=RELU6)  # there are no pairs, so only the free scale changes
    before, first = network.weight_layers[0].batch_norm, equalized(network).weight_layers[0]
    assert before is not None
    assert first.weight is not None
    assert first.batch_norm is not None
    rows = np.abs(first.weight).max(axis=(1, 2, 3))
    usable = (rows > 0) & (before.variance > 0)
    assert usable.sum() > 1
    np.testing.assert_allclose(rows[usable], rows[usable].max(), rtol=1e-5)
    assert (first.batch_norm.variance >= 0).all()


def test_no_channel_is_scaled_beyond_the_largest() -> None:
    network = chain(7, normalised=True)
    given = network.weight_layers[0].batch_norm
    found = equalized(network).weight_layers[0].batch_norm
    assert given is not None
    assert found is not None
    extents = [np.abs(norm.beta) + 3 * np.abs(norm.gamma) for norm in (given, found)]
    assert extents[1].max() <= extents[0].max() * (1 + 1e-5)
    assert not np.allclose(extents[0], extents[1], rtol=0.01)


def tail(second_reader: bool, activation: ActivationFunction, outputs: Sequence[str]) -> Network:
    rng = np.random.default_rng(0)
    layers: list[Layer] = [
        convolution(rng, "one", "input", (2, 3), kernel=(1, 1), activation=activation, normalised=False),
        convolution(rng, "two", "one.out", (3, 3), kernel=(1, 1), normalised=False),
    ]
    if second_reader:
        layers.append(Add(name="add", inputs=("one.out", "two.out"), output="sum"))
    return network_of(layers, Shape(2, 3, 3), outputs=outputs)


@pytest.mark.parametrize(
    ("second_reader", "activation", "outputs", "changes"),
    [
        (False, RELU, (), True),
        (False, LINEAR, (), True),
        (False, RELU6, (), False),
        (False, ActivationFunction(-1.0, 6.0), (), False),
        (True, RELU, (), False),
        (False, RELU, ("one.out", "two.out"), False),
    ],
)
def test_which_pairs_are_scaled(
    second_reader: bool, activation: ActivationFunction, outputs: Sequence[str], changes: bool
) -> None:
    network = tail(second_reader, activation, outputs)
    found = equalized(network)
    same = all(
        np.array_equal(one.weight, other.weight)
        for one, other in zip(weighted(network), weighted(found), strict=True)
        if one.weight is not None and other.weight is not None
    )
    assert same is not changes


def weighted(network: Network) -> Sequence[WeightLayer]:
    return network.weight_layers


def test_a_network_without_weights_is_returned_unchanged() -> None:
    network = chain(0, normalised=False)
    bare = replace(
        network, layers=tuple(replace(x, weight=None) if isinstance(x, WeightLayer) else x for x in network.layers)
    )
    assert equalized(bare) is bare


def with_dead_channels(network: Network, tiny: float, *, batch_norm: bool) -> Network:
    """Return the network with an output channel of weights of this size in each of its first three layers."""
    layers = list(network.layers)
    for index in (0, 1, 3):
        layer = layers[index]
        assert isinstance(layer, Convolution)
        assert layer.weight is not None
        weight = layer.weight.copy()
        weight[1] = np.sign(weight[1]) * np.float32(tiny)
        norm = layer.batch_norm
        if norm is not None:
            variance = norm.variance.copy()
            variance[1] = 1e-17
            norm = replace(norm, variance=variance)
        layers[index] = replace(layer, weight=weight, batch_norm=norm)
    assert any(isinstance(each, WeightLayer) and each.batch_norm is not None for each in layers) == batch_norm
    return replace(network, layers=tuple(layers))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("tiny", [0.0, 1e-42, 5e-32, 1e-17, 1e-10])
@pytest.mark.parametrize("seed", range(3))
def test_dead_channels_are_left_alone(seed: int, tiny: float, batch_norm: bool) -> None:
    network = with_dead_channels(chain(seed, normalised=batch_norm), tiny, batch_norm=batch_norm)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = equalized(network)
    assert_same_function(network, found)
    first, before = found.layers[0], network.layers[0]
    assert isinstance(first, Convolution)
    assert isinstance(before, Convolution)
    assert first.weight is not None
    assert before.weight is not None
    np.testing.assert_array_equal(first.weight[1], before.weight[1])
    if first.batch_norm is not None:
        assert before.batch_norm is not None
        assert first.batch_norm.gamma[1] == before.batch_norm.gamma[1]
        assert first.batch_norm.variance[1] == before.batch_norm.variance[1]
    for layer in found.weight_layers:
        assert layer.weight is not None
        assert np.isfinite(layer.weight).all()
        assert np.abs(layer.weight).max() < 1e4
