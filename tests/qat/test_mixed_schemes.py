"""A network whose layers have different schemes, chosen by the exact program: trained, converted, written as C."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.interpreter import quantize_input
from network.allocation import Allocation, Folding, Scheme, WeightScheme
from network.budget import Budget
from network.kernels import IN_PLACE_KERNELS
from network.memory.books import accounting_named
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.sensitivity.from_weights import weight_sensitivity
from qat.train import TrainingResult, train
from solver.fit import fit
from solver.options import Method
from tests.builders import question_of
from tests.deploy.emission.c_programs import needs_gcc
from tests.deploy.emission.comparison import assert_equal_to_interpreter
from tests.qat.small_problem import QUICK, accuracy_of, problem, small_network

FOLDED = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS)
PER_CHANNEL = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)


@pytest.fixture(scope="module")
def allocation() -> Allocation:
    """Bits and schemes in the accounting `paper`, with a few bytes less than the default scheme needs at 8 bits."""
    network, paper = small_network(), accounting_named("paper")
    table = weight_sensitivity(network)
    ample = Budget(10**6, 10**6)
    whole = fit(question_of(network, ample, Method.EXACT, paper, table, scheme=PER_CHANNEL.weights))
    budget = replace(ample, flash_bytes=int(whole.memory.flash_bytes) - 30)
    found = fit(question_of(network, budget, Method.EXACT, paper, table)).allocation
    assert found is not None
    assert measure(network, found, paper).flash_bytes <= budget.flash_bytes
    return found


@pytest.fixture(scope="module")
def result(allocation: Allocation) -> TrainingResult:
    return train(small_network(), allocation, problem(), QUICK)


def test_one_layer_folds_and_the_others_do_not(allocation: Allocation) -> None:
    assert list(allocation.schemes.values()).count(FOLDED) == 1
    assert list(allocation.schemes.values()).count(PER_CHANNEL) == 2
    assert set(allocation.weight_bits.values()) == {8}


def test_it_is_trained_and_converted(allocation: Allocation, result: TrainingResult) -> None:
    assert accuracy_of(result).integer_only_percent > 80
    converted = {layer.name: layer.scheme for layer in result.integer_network.layers if hasattr(layer, "scheme")}
    assert converted == allocation.schemes


@needs_gcc
def test_its_c_is_equal_to_the_interpreter(result: TrainingResult, tmp_path: Path) -> None:
    network = small_network()
    images = network.only_input.format.to_input_tensor(problem().test_x[:2], network.only_input.shape)
    codes = {network.only_input.name: quantize_input(result.integer_network, images)}
    accounting = DeployedAccounting(in_place=IN_PLACE_KERNELS)
    assert_equal_to_interpreter(result.integer_network, codes, accounting, tmp_path)
