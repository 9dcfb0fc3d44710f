"""Factors and offsets of channels learned with the rounding: what is stored is what was learned, and it helps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from network.allocation import Folding, Scheme, WeightScheme
from network.layers import RELU, AveragePool, FullyConnected, Layer, Shape
from network.network import Network
from qat.calibration import calibrate
from qat.options.post_training import PostTrainingOptions
from qat.post_training.channels import LearnedChannels
from qat.post_training.effective_weights import add_bias, has_free_factor
from qat.post_training.improve import improve
from qat.prepare import float_module, prepare
from qat.progress import silent
from qat.training.reporting import Reporter
from tests.builders import network_of
from tests.network.float_reference import evaluate
from tests.qat.zoo import allocation_of, convolution, floats

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def chain(seed: int, *, normalised: bool = True) -> Network:
    """Return a network of two convolutions, a pool and a classifier, without dead channels."""
    rng = np.random.default_rng(seed)
    layers: list[Layer] = [
        convolution(rng, "one", "input", (2, 6), kernel=(3, 3), activation=RELU, normalised=normalised),
        convolution(rng, "two", "one.out", (6, 6), kernel=(3, 3), activation=RELU, normalised=normalised),
        AveragePool(name="pool", inputs=("two.out",), output="pool", kernel=(4, 4)),
        FullyConnected(
            name="dense", inputs=("pool",), output="logits", output_channels=3, weight=floats(rng, 3, 6),
            bias=floats(rng, 3),
        ),
    ]  # fmt: skip
    return network_of(layers, Shape(2, 8, 8))


def samples_of(network: Network, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(64, 1, 1, 1)) + 1.0
    return (common + 0.5 * rng.normal(size=(64, *network.only_input.shape))).astype(np.float32)


@pytest.mark.parametrize("folding", list(Folding))
@pytest.mark.parametrize("normalised", [True, False])
def test_the_stored_change_is_the_learned_change(folding: Folding, normalised: bool) -> None:
    network = chain(0, normalised=normalised)
    module = prepare(network, allocation_of(network, 4, Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, folding)))
    module.fold()
    rng = np.random.default_rng(1)
    for step in module.weight_steps():
        sums = torch.from_numpy(floats(rng, 2, step.layer.output_channels, 3, 3))
        channels = LearnedChannels(step)
        assert (len(channels.variables) == 2) is has_free_factor(step) is (step.folds != step.learned.has_batch_norm)
        with torch.no_grad():
            before = add_bias(step, sums)
            for each in channels.variables:
                each.copy_(torch.from_numpy(floats(rng, *each.shape, scale=0.1)))
            wanted = channels.change().of(before)
            channels.write()
            torch.testing.assert_close(add_bias(step, sums), wanted, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(wanted, before, atol=1e-3)


def test_a_channel_without_gain_gets_no_change() -> None:
    network = chain(0)
    module = prepare(network, allocation_of(network, 4, Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)))
    step = module.weight_steps()[0]
    with torch.no_grad():
        step.learned.gamma.zero_()
        channels = LearnedChannels(step)
        for each in channels.variables:
            each.fill_(0.5)
        assert not channels.change().offset.any()


def test_tuned_channels_bring_the_output_nearer_to_the_float_network() -> None:
    """Two bits change the scale of a channel most. Fresh samples, summed over networks."""
    errors = {True: 0.0, False: 0.0}
    for seed in range(3):
        network = chain(seed)
        samples, fresh = samples_of(network, 10 + seed), samples_of(network, 20 + seed)
        wanted = evaluate(network, fresh)["logits"].reshape(len(fresh), -1)
        for tunes in errors:
            float_network = float_module(network)
            module = prepare(network, allocation_of(network, 2, Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)))
            calibrate(module, samples, float_network)
            options = PostTrainingOptions(rounding_steps=100, channel_tuning=tunes)
            improve(module, float_network, samples, options, Reporter(silent, 0))
            with torch.no_grad():
                found = module.deployed()(torch.from_numpy(fresh)).numpy()
            errors[tunes] += float(((found - wanted) ** 2).sum() / ((wanted - wanted.mean(axis=0)) ** 2).sum())
    assert errors[True] < 0.9 * errors[False]
