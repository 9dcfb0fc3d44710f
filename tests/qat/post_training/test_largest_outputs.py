"""Equalization with measured outputs: no channel widens the range of its tensor, and dead channels decide nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from network.allocation import Folding, Scheme, WeightScheme
from network.layers import RELU, RELU6, ActivationFunction, BatchNorm, FullyConnected, Shape
from network.network import Network
from qat.post_training.equalization import equalized
from qat.post_training.largest_outputs import equalized_on, largest_outputs
from qat.prepare import float_module, prepare
from tests.builders import network_of
from tests.network.float_reference import evaluate
from tests.qat.zoo import all_kinds, allocation_of, floats

LSQ = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)


def two_layers(
    seed: int, *, rows: dict[int, float], bias: float = 0.0, norm: BatchNorm | None = None,
    activation: ActivationFunction = RELU,
) -> Network:  # fmt: skip
    """Return two fully connected layers; some rows of the first are multiplied by factors and get a bias."""
    rng = np.random.default_rng(seed)
    weight, biases = floats(rng, 8, 6), np.zeros(8, np.float32)
    for row, factor in rows.items():
        weight[row] *= np.float32(factor)
        biases[row] = bias
    one = FullyConnected(
        name="one", inputs=("input",), output="mid", activation=activation, output_channels=8, weight=weight,
        bias=biases if norm is None else None, batch_norm=norm,
    )  # fmt: skip
    two = FullyConnected(
        name="two", inputs=("mid",), output="logits", output_channels=4, weight=floats(rng, 4, 8),
        bias=floats(rng, 4),
    )  # fmt: skip
    return network_of([one, two], Shape(6))


def samples_of(network: Network, count: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(1).normal(size=(count, *network.only_input.shape)).astype(np.float32)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_largest_outputs_are_those_of_an_independent_evaluation(seed: int) -> None:
    network = all_kinds(seed)
    samples = samples_of(network, 40)
    wanted = evaluate(network, samples)
    found = largest_outputs(float_module(network), samples)
    assert set(found) == {layer.name for layer in network.weight_layers}
    for layer in network.weight_layers:
        of_layer = np.abs(wanted[layer.output]).reshape(len(samples), layer.output_channels, -1)
        np.testing.assert_allclose(found[layer.name], of_layer.max(axis=(0, 2)), rtol=1e-3, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_function_stays(seed: int) -> None:
    network = all_kinds(seed)
    samples = samples_of(network, 8)
    wanted, found = evaluate(network, samples), evaluate(equalized_on(network, samples, seed), samples)
    (output,) = network.outputs
    np.testing.assert_allclose(found[output], wanted[output], atol=1e-5 * np.abs(wanted[output]).max())


def test_tiny_weights_under_a_large_bias_do_not_widen_the_range() -> None:
    network = two_layers(0, rows={2: 1e-4}, bias=3.0)
    samples = samples_of(network)
    wanted = evaluate(network, samples)
    found = equalized_on(network, samples, 0)
    before, after, unmeasured = (
        np.abs(evaluate(each, samples)["mid"]).max() for each in (network, found, equalized(network))
    )
    assert after <= before * (1 + 1e-5)
    assert unmeasured > 20 * before  # without the measured outputs, the bias is scaled up with the weights
    errors = []
    for each in (found, equalized(network)):
        module = prepare(each, allocation_of(each, 8, LSQ), samples).eval()
        with torch.no_grad():
            got = module(torch.from_numpy(samples)).numpy()
        errors.append(np.abs(got - wanted["logits"].reshape(got.shape)).mean())
    assert errors[0] < errors[1] / 5


def test_a_channel_that_is_zero_on_all_samples_is_not_scaled_up() -> None:
    network = two_layers(3, rows={1: 1e-3}, bias=-5.0)
    before, after = network.weight_layers[0].weight, equalized_on(network, samples_of(network), 0).weight_layers[0]
    assert before is not None
    assert after.weight is not None
    assert np.abs(after.weight[1]).max() <= np.abs(before[1]).max()
    assert np.abs(after.weight).max() < 2 * np.abs(before).max()


@pytest.mark.parametrize("variance", [0.0, 1e-12, 1e-7])
def test_a_constant_channel_with_large_weights_gets_the_range_of_the_others(variance: float) -> None:
    """In a grid per layer, the weights of a channel that batch norm found constant would leave no codes for others."""
    variances = np.ones(8, np.float32)
    variances[4] = variance
    ones = np.ones(8, np.float32)
    norm = BatchNorm(ones, 0 * ones, 0 * ones, variances, 1e-3)
    network = two_layers(5, rows={4: 1e3}, norm=norm, activation=RELU6)
    found = equalized(network)
    first = found.weight_layers[0]
    assert first.weight is not None
    assert first.batch_norm is not None
    rows = np.abs(first.weight).max(axis=1)
    np.testing.assert_allclose(rows, rows[0], rtol=1e-5)
    assert (first.batch_norm.variance >= 0).all()
    samples = samples_of(network) * np.float32(1e-3)  # so that ReLU6 does not clip the channel of large weights
    wanted, got = evaluate(network, samples)["logits"], evaluate(found, samples)["logits"]
    np.testing.assert_allclose(got, wanted, atol=1e-4 * np.abs(wanted).max())


def test_samples_are_drawn_from_the_whole_set() -> None:
    """Samples in the order of their classes: the largest outputs come from the last ones."""
    network = replace(two_layers(7, rows={2: 1e-2}, bias=1.0), name="ordered")
    samples = samples_of(network, 2000)
    samples[1000:] *= 100
    largest = np.abs(evaluate(network, samples)["mid"]).max()
    found = np.abs(evaluate(equalized_on(network, samples, 0), samples)["mid"]).max()
    assert found < 2 * largest
