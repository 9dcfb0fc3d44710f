"""Inputs that are made from a network: their statistics are those of batch norm, and the seed decides every bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from network.errors import RequestError
from network.layers import LINEAR, RELU, BatchNorm, Convolution, Float32Array, FullyConnected, Padding, Shape
from network.network import Network
from qat.data.dataset import to_input_tensor
from qat.data.unseen import UnseenSamples
from qat.prepare import float_module
from qat.progress import Progress, silent
from qat.synthesis.dataset import NOT_MEASURED, dataset_made_for
from qat.synthesis.inputs import FEWEST_INPUTS, MOST_INPUTS, batch_sizes, make_inputs
from qat.synthesis.statistics import statistics_distance
from tests.builders import mobilenet_v1, network_of
from tests.network.float_reference import Array, evaluate
from tests.qat.zoo import floats

SHAPE = Shape(2, 6, 6)
LAYERS = ("one", "two")


def changed(network: Network, name: str, change: Callable[[Convolution], Convolution]) -> Network:
    """Return a network with a change of one convolution."""
    layers = (change(each) if isinstance(each, Convolution) and each.name == name else each for each in network.layers)
    return replace(network, layers=tuple(layers))


def sums_of(network: Network, samples: Float32Array) -> dict[str, Array]:
    """Return what each batch norm reads, [n, channels, positions], by a network without them and an oracle in numpy."""
    found = {}
    for name in LAYERS:
        without = changed(network, name, lambda layer: replace(layer, activation=LINEAR, batch_norm=None))
        values = evaluate(without, samples)[name]
        found[name] = values.reshape(len(samples), network.shapes[name].channels, -1)
    return found


def trained_on(samples: Float32Array, seed: int) -> Network:
    """Return two convolutions whose batch norms have stored the statistics of the samples, and a last layer."""
    rng = np.random.default_rng(seed)
    padding = Padding(1, 1, 1, 1)
    one = Convolution(
        name="one", inputs=("input",), output="one", activation=RELU, output_channels=4, kernel=(3, 3),
        padding=padding, stride=(2, 2), weight=floats(rng, 4, 2, 3, 3), batch_norm=neutral(rng, 4),
    )  # fmt: skip
    two = replace(
        one, name="two", inputs=("one",), output="two", output_channels=3, stride=(1, 1),
        weight=floats(rng, 3, 4, 3, 3), batch_norm=neutral(rng, 3),
    )  # fmt: skip
    last = FullyConnected(
        name="last", inputs=("two",), output="scores", output_channels=3, weight=floats(rng, 3, 27), bias=floats(rng, 3)
    )
    network = network_of([one, two, last], SHAPE)
    for name in LAYERS:  # the second one's statistics depend on the first one's
        sums = sums_of(network, samples)[name]
        mean: Float32Array = sums.mean(axis=(0, 2)).astype(np.float32)
        variance: Float32Array = sums.var(axis=(0, 2)).astype(np.float32)
        norm = replace(neutral(rng, len(mean)), mean=mean, variance=variance)
        network = changed(network, name, partial(replace, batch_norm=norm))
    return network


def neutral(rng: np.random.Generator, channels: int) -> BatchNorm:
    gamma = rng.uniform(0.5, 1.5, channels).astype(np.float32)
    return BatchNorm(gamma, floats(rng, channels), floats(rng, channels), np.ones(channels, np.float32), 1e-9)


def real_samples(seed: int, scale: float) -> Float32Array:
    """Return samples that are far from white noise: smooth, with a mean."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(48, 2, 3, 3)).repeat(2, axis=2).repeat(2, axis=3)
    return (scale * (coarse + rng.normal(size=(1, 2, 1, 1)))).astype(np.float32)


def errors_of(network: Network, samples: Float32Array) -> Array:
    """Return the errors of all means and standard deviations, in stored standard deviations."""
    errors = []
    for name, sums in sums_of(network, samples).items():
        (norm,) = [layer.batch_norm for layer in network.weight_layers if layer.name == name]
        assert norm is not None
        stored = np.sqrt(norm.variance + norm.epsilon)
        errors += [(sums.mean(axis=(0, 2)) - norm.mean) / stored, sums.std(axis=(0, 2)) / stored - 1]
    return np.concatenate(errors)


@pytest.mark.parametrize(("seed", "exponent"), [(0, -7), (1, 0), (2, 7)])
def test_made_inputs_have_the_statistics_that_batch_norm_has_stored(seed: int, exponent: int) -> None:
    real = real_samples(seed, 2.0**exponent)
    network = trained_on(real, seed)
    assert np.abs(errors_of(network, real)).max() < 1e-3, "the oracle and the builder agree"
    made = make_inputs(network, UnseenSamples(), 0, lambda step, steps, distance: None)
    noise = (2.0**exponent * np.random.default_rng(seed).normal(size=made.shape)).astype(np.float32)
    errors = np.square(errors_of(network, to_input_tensor(made, network))).mean()
    assert errors < 0.01
    assert errors < np.square(errors_of(network, noise)).mean() / 10


def test_the_distance_is_the_mean_of_squared_errors() -> None:
    real = real_samples(3, 1.0)
    network = trained_on(real, 3)
    noise = floats(np.random.default_rng(0), 50, *SHAPE)
    errors = np.split(errors_of(network, noise), [4, 8, 11])  # mean, deviation of one; of two
    wanted = np.mean([np.square(errors[at]).mean() + np.square(errors[at + 1]).mean() for at in (0, 2)])
    found = statistics_distance(float_module(network), {"input": torch.from_numpy(noise)})
    assert float(found.detach()) == pytest.approx(wanted, rel=1e-3)


def test_equal_seeds_give_equal_inputs_and_others_do_not() -> None:
    network = trained_on(real_samples(0, 1.0), 0)
    told: list[Progress] = []
    one, two, other = (
        dataset_made_for(network, UnseenSamples(bounds=(-2.0, 3.0)), "none:-2:3", seed, report)
        for seed, report in ((5, told.append), (5, silent), (6, silent))
    )
    assert one.train_x.dtype == np.float32
    assert one.train_x[:].min() >= -2.0
    assert one.train_x[:].max() <= 3.0
    assert one.train_x[:].tobytes() == two.train_x[:].tobytes() != other.train_x[:].tobytes()
    assert len({row.tobytes() for row in one.train_x[:]}) == len(one.train_x) == MOST_INPUTS
    assert (one.train_y, one.has_test_set, one.notes) == (None, False, (NOT_MEASURED,))
    assert told[-1].step == told[-1].steps
    assert told[0].warnings == told[-1].warnings == one.notes


def test_a_range_that_is_not_known_is_a_second_warning() -> None:
    network = trained_on(real_samples(0, 1.0), 0)
    made = dataset_made_for(network, UnseenSamples(), "none", 0, silent)
    low, high = made.train_x[:].min(), made.train_x[:].max()
    assert made.notes[0] == NOT_MEASURED
    assert f"from {low:.4g} to {high:.4g}" in made.notes[1]


def test_a_network_without_batch_norm_is_refused() -> None:
    rng = np.random.default_rng(0)
    layer = FullyConnected(
        name="only", inputs=("input",), output="out", output_channels=3, weight=floats(rng, 3, 4), bias=floats(rng, 3)
    )
    with pytest.raises(RequestError, match=r"'tiny' has no batch norm.*Give a few hundred unlabelled samples"):
        dataset_made_for(network_of([layer], Shape(4)), UnseenSamples(), "none", 0, silent)


def test_large_networks_get_fewer_inputs_in_smaller_batches() -> None:
    small, large = trained_on(real_samples(0, 1.0), 0), mobilenet_v1(1.0, 224)
    assert batch_sizes(small) == [64] * 4
    sizes = batch_sizes(large)
    assert sum(sizes) < MOST_INPUTS
    assert sum(sizes) >= FEWEST_INPUTS
    assert max(sizes) < 64
