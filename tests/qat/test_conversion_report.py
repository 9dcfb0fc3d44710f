"""The conversion report: hand-computed figures for one layer, and properties of the figures for whole networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deploy.arithmetic import INT32_MAX, CodeArray
from deploy.narrow_constants import ConstantsForm
from deploy.proof import prove_accumulators
from deploy.requantization_form import RequantizationForm
from network.allocation import Allocation, Folding, Scheme, WeightScheme
from network.layers import RELU, Convolution, FullyConnected, Shape
from qat.conversion import convert
from qat.conversion_report import conversion_report
from qat.options.training import ActivationRange, TrainingOptions
from qat.quantizers.ranges import BoundedRange
from tests.builders import network_of
from tests.qat.test_agreement import calibrated, images_for, step_of_training
from tests.qat.zoo import SCHEMES, all_kinds, allocation_of, random_allocation

PER_LAYER_ICN = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN)


def test_a_bias_between_two_steps_of_the_accumulator_by_hand() -> None:
    """Weights and inputs have 2 bits and step size 1, outputs have step size 1 / 255: a bias of 0.3 is rounded to 0."""
    weight = np.array([[1.0, 3.0]], np.float32).reshape(1, 2, 1, 1)
    layer = Convolution(
        name="conv", inputs=("input",), output="out", activation=RELU, output_channels=1, kernel=(1, 1),
        weight=weight, bias=np.array([0.3], np.float32),
    )  # fmt: skip
    network = network_of([layer], Shape(2, 1, 1))
    scheme = Scheme(WeightScheme.PER_LAYER_ASYM_MIN_MAX, Folding.ICN)
    allocation = Allocation({"conv": 2}, {"input": 2, "out": 8}, {"conv": scheme})
    images = np.array([[0, 0], [3, 0], [1, 0], [2, 3]], np.float32).reshape(4, 2, 1, 1)
    module = calibrated(network, allocation, images, TrainingOptions(activation_range=ActivationRange.LEARNED))
    own = module.range_of("out")
    assert isinstance(own, BoundedRange)
    own.start(0.0, 1.0)
    report = conversion_report(module, convert(module), images)
    (line,) = report.layers
    # real values 0.3, 3.3, 1.3, 11.3 and integers 0, 3, 1, 11: codes 77 and 0, then 255 and 255
    assert (line.layer, line.kind) == ("conv", "convolution")
    assert line.largest_difference == 77
    assert line.mean_difference == 77 / 4
    assert line.equal_share == 0.75
    assert line.accumulator_bound == (1 + 3) * 3
    assert line.int32_share == 12 / INT32_MAX
    # 255 steps of the output for one of the accumulator, which is shifted by 12 bits on a chip
    assert (line.constants, line.wide_because) == ("narrow", None)


@pytest.mark.parametrize("seed", range(6))
def test_every_layer_is_there_and_nothing_changes(seed: int) -> None:
    network = all_kinds(seed)
    images = images_for(network, seed)
    module = calibrated(network, random_allocation(network, seed), images, TrainingOptions())
    step_of_training(module, images, folded=bool(seed % 2))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    was_training = module.training
    integer_network = convert(module, RequantizationForm.THRESHOLDS if seed % 3 == 0 else RequantizationForm.MULTIPLIER)
    report = conversion_report(module, integer_network, images)
    assert module.training is was_training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert report.samples == len(images)
    assert report.requantization == ("thresholds" if seed % 3 == 0 else "multiplier")
    bounds = prove_accumulators(integer_network)
    assert [line.layer for line in report.layers] == [layer.name for layer in network.layers]
    for line in report.layers:
        assert (line.accumulator_bound is None) == (line.kind in {"add", "concat", "max_pool", "pad"})
        has_multipliers = line.kind in {"convolution", "fully_connected"} and seed % 3
        assert (line.constants is not None) == bool(has_multipliers)
        assert (line.wide_because is not None) == (line.constants == "wide")
        if line.accumulator_bound is not None:
            assert line.accumulator_bound == bounds[line.layer]
        assert 0 <= line.mean_difference <= line.largest_difference
        assert (line.largest_difference == 0) == (line.equal_share == 1.0)
        if line.kind not in {"convolution", "fully_connected"}:
            # Without bias and batch norm, only float32 causes differences: it may round a half in the other direction.
            assert line.largest_difference <= 1
            assert line.equal_share >= 0.999


def test_wide_constants_that_were_asked_for_are_said() -> None:
    network = all_kinds(2)
    images = images_for(network, 2)
    module = calibrated(network, random_allocation(network, 2), images, TrainingOptions())
    report = conversion_report(module, convert(module, constants=ConstantsForm.WIDE), images)
    reasons = {line.wide_because for line in report.layers if line.constants is ConstantsForm.WIDE}
    assert "wide constants were asked for" in reasons
    assert not any(line.constants is ConstantsForm.NARROW for line in report.layers)


def test_differences_are_a_layers_own() -> None:
    """A layer after one that differs reads the interpreter's codes, and its own difference is zero."""
    rng = np.random.default_rng(0)
    first = Convolution(
        name="first", inputs=("input",), output="a", activation=RELU, output_channels=4, kernel=(1, 1),
        weight=rng.normal(size=(4, 2, 1, 1)).astype(np.float32), bias=np.full(4, 0.123, np.float32),
    )  # fmt: skip
    second = FullyConnected(
        name="second", inputs=("a",), output="b", output_channels=3,
        weight=rng.normal(size=(3, 4)).astype(np.float32),
    )  # fmt: skip
    network = network_of([first, second], Shape(2, 1, 1))
    images = rng.normal(size=(64, 2, 1, 1)).astype(np.float32)
    module = calibrated(network, allocation_of(network, 2, PER_LAYER_ICN), images, TrainingOptions())
    lines = conversion_report(module, convert(module), images).layers
    by_module: CodeArray = module.deployed().codes(torch.from_numpy(images))["b"].numpy()
    assert len(np.unique(by_module)) > 1
    assert lines[1].largest_difference == 0


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.folding}")
def test_at_8_bits_training_and_integers_are_close(scheme: Scheme) -> None:
    """The report uses running statistics and folded weights; without these, codes would differ more."""
    network = all_kinds(4)
    images = images_for(network, 4)
    module = calibrated(network, allocation_of(network, 8, scheme), images, TrainingOptions())
    report = conversion_report(module, convert(module), images)
    for line in report.layers:
        assert line.largest_difference <= 1
        assert line.equal_share >= 0.95
    module.fold()
    assert conversion_report(module, convert(module), images) == report
