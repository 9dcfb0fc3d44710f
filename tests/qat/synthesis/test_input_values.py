"""Samples that stand for values of the input tensors: the inverse of the input format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from network.layers import Convolution, FullyConnected, Shape
from network.network import Network
from network.network_input import InputFormat
from qat.data.dataset import to_input_tensor
from qat.data.unseen import UnseenSamples
from qat.synthesis.input_values import bounds_of, samples_of
from tests.builders import network_of, with_input_format
from tests.qat.zoo import floats

CHANNELS, HEIGHT, WIDTH = 3, 4, 5
BYTES = UnseenSamples(are_bytes=True, bounds=(0.0, 255.0))


def photograph_network(input_format: InputFormat) -> Network:
    rng = np.random.default_rng(0)
    layer = Convolution(
        name="only", inputs=("input",), output="out", output_channels=2, kernel=(1, 1), weight=floats(rng, 2, 3, 1, 1)
    )
    return with_input_format(network_of([layer], Shape(CHANNELS, HEIGHT, WIDTH)), input_format)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    channels_last=st.booleans(),
    unseen=st.sampled_from([UnseenSamples(), BYTES, UnseenSamples(bounds=(-0.5, 300.0))]),
)
def test_the_normalised_samples_are_the_values(seed: int, unseen: UnseenSamples, *, channels_last: bool) -> None:
    rng = np.random.default_rng(seed)
    multiply = (rng.uniform(0.005, 0.02, CHANNELS) * rng.choice([-1, 1], CHANNELS)).tolist()
    dims = (HEIGHT, WIDTH, CHANNELS) if channels_last else (CHANNELS, HEIGHT, WIDTH)
    subtract = rng.uniform(0, 200, CHANNELS).tolist()
    network = photograph_network(InputFormat(dims, channels_last, tuple(subtract), tuple(multiply)))
    wanted = rng.uniform(0, 255, (7, CHANNELS, HEIGHT, WIDTH))  # the samples, with the channels first
    values = (wanted - np.reshape(subtract, (1, 3, 1, 1))) * np.reshape(multiply, (1, 3, 1, 1))
    samples = samples_of(network, [torch.from_numpy(values.astype(np.float32))], unseen)
    assert samples.dtype == unseen.dtype
    assert samples.shape[1:] == ((HEIGHT, WIDTH, CHANNELS) if unseen.are_bytes else dims)
    step = np.abs(multiply).max() * (0.5 if unseen.are_bytes else 0.0) + 1e-4
    np.testing.assert_allclose(to_input_tensor(samples, network), values, atol=step)


def test_samples_stay_in_their_bounds_and_so_do_the_bounds_of_the_tensor() -> None:
    subtract, multiply = (100.0, 0.0, 10.0), (0.5, -2.0, 1.0)
    network = photograph_network(InputFormat((CHANNELS, HEIGHT, WIDTH), False, subtract, multiply))  # channels first
    values = torch.full((2, CHANNELS, HEIGHT, WIDTH), 1e6)
    samples = samples_of(network, [values], BYTES)
    assert samples[0, 0, 0].tolist() == [255, 0, 255]
    bounds = bounds_of(network, network.only_input, BYTES)
    assert bounds is not None
    assert bounds.low.flatten().tolist() == [-50.0, -510.0, -10.0]
    assert bounds.high.flatten().tolist() == [77.5, 0.0, 245.0]
    assert torch.equal(bounds.clipped(values), bounds.high.expand_as(values))


def test_bounds_that_are_not_stated_are_those_of_the_file() -> None:
    network = photograph_network(InputFormat((CHANNELS, HEIGHT, WIDTH)))
    assert bounds_of(network, network.only_input, UnseenSamples()) is None
    bounds = bounds_of(replace(network, ranges={"input": (-2.0, 3.0)}), network.only_input, UnseenSamples())
    assert bounds is not None
    assert (bounds.low.item(), bounds.high.item()) == (-2.0, 3.0)


@pytest.mark.parametrize("unseen", [UnseenSamples(), BYTES])
def test_the_samples_of_several_inputs_are_joined(unseen: UnseenSamples) -> None:
    rng = np.random.default_rng(1)
    one = FullyConnected(
        name="one", inputs=("other",), output="out", output_channels=2, weight=floats(rng, 2, 4), bias=floats(rng, 2)
    )
    network = network_of([one], Shape(2, 3, 3), other_inputs={"other": Shape(4)})
    tensors = [torch.from_numpy(rng.integers(0, 256, (5, *each.shape)).astype(np.float32)) for each in network.inputs]
    samples = samples_of(network, tensors, unseen)
    assert samples.dtype == unseen.dtype
    assert samples.shape == (5, 2 * 3 * 3 + 4)
    wanted = np.concatenate([each.numpy().reshape(5, -1) for each in tensors], axis=1)
    np.testing.assert_array_equal(to_input_tensor(samples, network), wanted)
