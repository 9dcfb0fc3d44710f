"""The recipe's mode of batch norm: the measured distance, the rule, and what frozen batch norm does in a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from network.layers import Convolution, FullyConnected, Layer
from network.network import Network
from qat.data.batches import tensor_of
from qat.options.names import BatchNormMode, Regime
from qat.options.post_training import NO_POST_TRAINING, PostTrainingOptions
from qat.options.training import TrainingOptions
from qat.prepare import float_module, prepare
from qat.progress import silent
from qat.training.milestones import Milestones
from qat.training.optimizer import new_optimizer
from qat.training.oscillation import Oscillations
from qat.training.parallel import Processes
from qat.training.recipe.batch_norm import LARGEST_DISTANCE, batch_norm_for, on_batch_statistics
from qat.training.recipe.recipe import Recipe, recipe_for
from qat.training.reporting import Reporter
from qat.training.state import TrainingState
from tests.qat.complete_options import complete
from tests.qat.small_problem import allocated, problem, small_network

CPU = torch.device("cpu")


def with_statistics_of_batches(network: Network, images: torch.Tensor) -> Network:
    """Return the network with the mean and variance of these images as running statistics of its batch norms."""
    changed: dict[str, Layer] = {}
    for _ in range(2):  # the second batch norm sees what the first one gives
        layers = [changed.get(layer.name, layer) for layer in network.layers]
        network = replace(network, layers=tuple(layers))
        module = float_module(network)
        tensors = module.tensors(images)
        for index, layer in enumerate(network.layers):
            if isinstance(layer, Convolution) and layer.batch_norm is not None:
                sums = torch.nn.functional.conv2d(
                    torch.nn.functional.pad(tensors[layer.inputs[0]], (0, 1, 0, 1)),
                    module.weight_parameters(index).weight,
                    stride=2,
                )
                mean, variance = sums.mean((0, 2, 3)).numpy(), sums.var((0, 2, 3), correction=0).detach().numpy()
                own = replace(layer.batch_norm, mean=mean, variance=variance)
                changed[layer.name] = replace(layer, batch_norm=own)
        network = replace(network, layers=tuple(changed.get(layer.name, layer) for layer in network.layers))
    return network


def with_large_logits(network: Network) -> Network:
    """Return the network with a classifier that is certain of its classes."""
    last = network.layers[-1]
    assert isinstance(last, FullyConnected)
    assert last.weight is not None
    return replace(network, layers=(*network.layers[:-1], replace(last, weight=10 * last.weight)))


@pytest.fixture(autouse=True)
def _without_gradients() -> Any:
    with torch.no_grad():
        yield


def recipe_of(network: Network, **given: Any) -> Recipe:
    options = TrainingOptions(epochs=1, batch_size=32, threads=1, post_training=NO_POST_TRAINING).replace(**given)
    return recipe_for(network, allocated(), problem(), options, CPU, Processes(CPU), Reporter(silent, 0))


def of_batch_norm(recipe: Recipe) -> list[str]:
    return [choice.value for choice in recipe.choices if choice.option == "batch_norm"]


def test_outputs_agree_if_the_running_statistics_are_those_of_the_batch() -> None:
    images = torch.from_numpy(np.random.default_rng(1).normal(1, 2, (16, 1, 8, 8)).astype(np.float32))
    network = with_statistics_of_batches(small_network(), images)
    module = float_module(network)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    torch.testing.assert_close(on_batch_statistics(module, images), module(images), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(on_batch_statistics(module, images[:3]), module(images[:3]), atol=1e-2)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_the_rule_has_one_limit_and_names_it() -> None:
    assert batch_norm_for(LARGEST_DISTANCE, 16)[0] is BatchNormMode.TRAIN
    chosen, reason = batch_norm_for(1.5 * LARGEST_DISTANCE, 16)
    assert chosen is BatchNormMode.FROZEN
    assert f"{1.5 * LARGEST_DISTANCE:.3g}" in reason
    assert f"{LARGEST_DISTANCE:g}" in reason


def test_statistics_of_other_samples_are_kept() -> None:
    of_others = with_large_logits(small_network())  # its running statistics are 0 and 1, far from those of the images
    assert of_batch_norm(recipe_of(of_others)) == ["frozen"]
    images = tensor_of(problem().train_x[:], small_network())
    assert of_batch_norm(recipe_of(with_statistics_of_batches(of_others, images), batch_size=128)) == ["train"]


def test_a_post_trained_start_keeps_the_running_statistics() -> None:
    images = tensor_of(problem().train_x[:], small_network())
    network = with_statistics_of_batches(small_network(), images)  # the distance alone would choose train
    assert of_batch_norm(recipe_of(network, batch_size=128, post_training=None)) == ["frozen"]
    assert of_batch_norm(recipe_of(network, batch_size=128, post_training=PostTrainingOptions())) == ["frozen"]
    assert of_batch_norm(recipe_of(network, batch_size=128)) == ["train"]


@pytest.mark.parametrize(
    "given", [{"batch_norm": "train"}, {"freeze_batch_norm_at": 0.5}, {"regime": Regime.PAPER}, {"epochs": 0}]
)
def test_what_is_given_is_not_chosen(given: dict[str, Any]) -> None:
    recipe = recipe_of(small_network(), **given)
    assert of_batch_norm(recipe) == []
    assert recipe.options.batch_norm is BatchNormMode.TRAIN


@pytest.mark.parametrize("mode", BatchNormMode)
def test_frozen_statistics_do_not_move_but_scale_and_shift_learn(mode: BatchNormMode) -> None:
    options = complete(batch_norm=mode)
    images = tensor_of(problem().train_x[:32], small_network())
    module = prepare(small_network(), allocated(), problem().train_x[:32], options).train()
    state = TrainingState(module, new_optimizer(module, options), Oscillations(module, options))
    Milestones(allocated(), options).begin_step(state, 1, 0.0)
    with torch.enable_grad():
        module(images).square().sum().backward()
    learned = module.weight_steps()[0].learned
    assert (learned.mean.abs().max() > 0) == (mode is BatchNormMode.TRAIN)
    assert learned.gamma.grad is not None
    assert learned.beta.grad is not None
