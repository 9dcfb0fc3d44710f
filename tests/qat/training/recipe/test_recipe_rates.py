"""The recipe's learning rate: relative to the weights unless batches are normalised; a given rate stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from network.layers import Convolution
from network.network import Network
from qat.options.post_training import NO_POST_TRAINING
from qat.options.training import TrainingOptions
from qat.progress import silent
from qat.training.parallel import Processes
from qat.training.recipe.rates import LEARNING_RATE
from qat.training.recipe.recipe import recipe_for
from qat.training.reporting import Reporter
from tests.qat.small_problem import allocated, problem, small_network

CPU = torch.device("cpu")


def without_batch_norm(network: Network) -> Network:
    layers = (replace(each, batch_norm=None) if isinstance(each, Convolution) else each for each in network.layers)
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize(
    ("given", "has_norm", "expected"),
    [
        ({}, True, (LEARNING_RATE, False, "false")),
        ({}, False, (LEARNING_RATE, True, "true")),
        ({"batch_norm": "frozen"}, True, (LEARNING_RATE, True, "true")),
        ({"post_training": None}, True, (LEARNING_RATE, True, "true")),
        ({"learning_rate": 0.01}, False, (0.01, False, None)),
        ({"learning_rate": 0.01, "relative_rates": True}, True, (0.01, True, None)),
        ({"relative_rates": False}, False, (LEARNING_RATE, False, None)),
        ({"optimizer": "sgd"}, False, (LEARNING_RATE, False, None)),
        ({"regime": "paper"}, False, (LEARNING_RATE, False, None)),
        ({"epochs": 0}, False, (LEARNING_RATE, False, None)),
    ],
)
def test_rates_are_relative_where_no_batch_is_normalised(given: dict[str, Any], has_norm: bool, expected: Any) -> None:
    network = small_network() if has_norm else without_batch_norm(small_network())
    options = TrainingOptions(**{"epochs": 1, "post_training": NO_POST_TRAINING, **given})
    recipe = recipe_for(network, allocated(), problem(), options, CPU, Processes(CPU), Reporter(silent, 0))
    told = {choice.option: choice.value for choice in recipe.choices}
    found = recipe.options
    assert (found.learning_rate, found.relative_rates, told.get("relative_rates")) == expected
