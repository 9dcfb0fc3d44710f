"""Weight decay and learning rate of each parameter, and the torch class of each kind of optimizer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from network.layers import WeightLayer
from qat.options.chosen import ChosenOptions
from qat.options.training import Regime
from qat.prepare import prepare
from qat.quantized_network import QuantizedNetwork
from qat.training.optimizer import new_optimizer, set_learning_rate
from tests.qat.complete_options import complete
from tests.qat.small_problem import PACT_FOLDED, allocated, small_network


def module_of(options: ChosenOptions) -> QuantizedNetwork:
    return prepare(small_network(), allocated(PACT_FOLDED), options=options)


@pytest.mark.parametrize(
    ("chosen", "kind", "expected"),
    [
        ({}, torch.optim.Adam, {}),
        ({"optimizer": "adamw"}, torch.optim.AdamW, {}),
        (
            {"optimizer": "sgd", "momentum": 0.8, "nesterov": True},
            torch.optim.SGD,
            {"momentum": 0.8, "nesterov": True},
        ),
    ],
)
def test_is_the_one_that_was_chosen(chosen: dict[str, Any], kind: type, expected: dict[str, Any]) -> None:
    options = complete(**chosen)
    optimizer = new_optimizer(module_of(options), options)
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert {name: group[name] for name in expected} == expected


def test_weights_alone_decay_and_ranges_have_their_own_rate() -> None:
    options = complete(weight_decay=0.01, range_learning_rate=0.25)
    module = module_of(options)
    optimizer = new_optimizer(module, options)
    set_learning_rate(optimizer, 0.1)
    of = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    assert len(of) == sum(parameter.requires_grad for parameter in module.parameters())
    weights = {id(step.learned.weight) for step in module.weight_steps()}
    ranges = {id(parameter) for parameter in module.range_parameters()}
    assert len(ranges) > len(module.weight_steps())
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        group = of[id(parameter)]
        assert group["weight_decay"] == (0.01 if id(parameter) in weights else 0.0), name
        assert group["lr"] == pytest.approx(0.025 if id(parameter) in ranges else 0.1), name


@pytest.mark.parametrize(("regime", "share"), [("one_cycle", 5.0), ("paper", 1.0)])
def test_weights_with_two_bits_alone_have_a_rate_of_their_own(regime: str, share: float) -> None:
    options = complete(two_bit_learning_rate=5.0, regime=Regime(regime))
    allocation = replace(allocated(), weight_bits={"one": 2, "two": 4, "classes": 2})
    module = prepare(small_network(), allocation, options=options)
    optimizer = new_optimizer(module, options)
    set_learning_rate(optimizer, 0.1)
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    of_two_bits = {id(step.learned.weight) for step in module.weight_steps() if step.layer.name != "two"}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            expected = 0.1 * share if id(parameter) in of_two_bits else 0.1
            assert rates[id(parameter)] == pytest.approx(expected), name


def test_relative_rates_follow_the_size_of_a_tensor_within_bounds() -> None:
    network = small_network()
    sizes = {"one": 0.02, "two": 500.0, "classes": 0.002}
    scaled = tuple(
        replace(layer, weight=np.full_like(layer.weight, sizes[layer.name]))
        if isinstance(layer, WeightLayer)
        else layer
        for layer in network.layers
    )
    options = complete(relative_rates=True, two_bit_learning_rate=3.0)
    allocation = replace(allocated(), weight_bits={"one": 2, "two": 4, "classes": 8})
    module = prepare(replace(network, layers=scaled), allocation, options=options)
    optimizer = new_optimizer(module, options)
    set_learning_rate(optimizer, 0.1)
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    found = [rates[id(step.learned.weight)] for step in module.weight_steps()]
    assert found == pytest.approx([0.1 * 3 * 0.2, 0.1 * 10, 0.1 / 10])
    assert rates[id(module.weight_steps()[0].learned.gamma)] == pytest.approx(0.1)
