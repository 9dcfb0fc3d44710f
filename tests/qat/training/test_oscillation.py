"""Oscillating weights are tracked by the paper's equations and frozen at their codes; other weights are not changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from network.allocation import Folding, Scheme, WeightScheme
from qat.calibration import calibrate
from qat.prepare import prepare
from qat.quantized_network import QuantizedNetwork
from qat.training.oscillation import Oscillations, threshold_at
from tests.qat.complete_options import complete
from tests.qat.small_problem import PER_CHANNEL_ICN, QUICK, accuracy_of, allocated, problem, small_network, trained

OPTIONS = complete(oscillation_momentum=0.25, freeze_oscillating_at=0.5)
FIXED_GRID = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN)


def module_of(scheme: Scheme = FIXED_GRID) -> QuantizedNetwork:
    module = prepare(small_network(), allocated(scheme, 2), options=OPTIONS)
    calibrate(module, problem(64).train_x[:])
    return module


def set_code(module: QuantizedNetwork, layer: int, position: int, code: int) -> None:
    step = module.weight_steps()[layer]
    _, grid = step.quantized_input()
    with torch.no_grad():
        step.learned.weight.view(-1)[position] = code * grid.scale.flatten()[0]


def reference(codes: list[int], momentum: float, threshold: float, freezes_from: int) -> tuple[float, int | None]:
    """Compute one weight's oscillation frequency and its frozen code by an independent scalar implementation."""
    frequency, average, direction = 0.0, float(codes[0]), 0
    now, frozen = codes[0], None
    for step, given_code in enumerate(codes[1:], start=1):
        code = given_code if frozen is None else frozen
        change = (code > now) - (code < now)
        turned = 1.0 if change and direction and change != direction else 0.0
        frequency = momentum * turned + (1 - momentum) * frequency
        average = momentum * code + (1 - momentum) * average
        direction = change or direction
        now = code
        if step >= freezes_from and frozen is None and frequency > threshold:
            frozen = math.floor(average + 0.5)
    return frequency, frozen


@settings(max_examples=60, deadline=None)
@given(codes=st.lists(st.integers(-1, 1), min_size=2, max_size=14), freezes_from=st.integers(1, 8))
def test_every_weight_is_followed_as_the_equations_say(codes: list[int], freezes_from: int) -> None:
    module = module_of()
    assert module.weight_steps()[1].quantized_input()[1].zero_point.item() in {1, 2}, "-1, 0 and 1 must be codes"
    oscillations = Oscillations(module, OPTIONS)
    for step, code in enumerate(codes):
        set_code(module, 1, 7, code)
        oscillations.follow(0.2 if step >= freezes_from else None)
    frequency, frozen = reference(codes, 0.25, 0.2, freezes_from)
    found = oscillations.tensors()
    assert found["1/frequency"].view(-1)[7].item() == pytest.approx(frequency, abs=1e-6)
    assert bool(found["1/frozen"].view(-1)[7]) == (frozen is not None)
    if frozen is not None:
        weight, grid = module.weight_steps()[1].quantized_input()
        assert weight.view(-1)[7].item() == pytest.approx(frozen * grid.scale.item(), rel=1e-6)
    assert int(found["1/frozen"].sum()) == (frozen is not None), "another weight was frozen"


@pytest.mark.parametrize("folding", list(Folding))
@pytest.mark.parametrize("weights", list(WeightScheme))
def test_a_frozen_weight_stays_at_its_code(weights: WeightScheme, folding: Folding) -> None:
    module = module_of(Scheme(weights, folding))
    if folding is Folding.WEIGHTS:
        with torch.no_grad():
            module.weight_steps()[0].learned.gamma[::2] *= -0.7  # codes then count against the weight
        module.fold()
    oscillations = Oscillations(module, OPTIONS)
    step = module.weight_steps()[0]
    rng = np.random.default_rng(0)
    for _ in range(60):
        oscillations.follow(0.01)
        with torch.no_grad():
            noise = torch.from_numpy(rng.normal(size=step.learned.weight.shape)).float()
            step.learned.weight.add_(noise * step.learned.weight.std() * 0.3)
    for _ in range(4):  # a grid that follows its weights moves when they are put into its middle
        oscillations.follow(0.01)
    found = oscillations.tensors()
    frozen = found["0/frozen"]
    assert frozen.any()
    weight, grid = step.quantized_input()
    scale = grid.scale.reshape(-1, 1, 1, 1)
    zero_point = grid.zero_point.reshape(-1, 1, 1, 1)
    inside = (found["0/frozen_code"] >= -zero_point) & (found["0/frozen_code"] <= 3 - zero_point) & frozen
    codes = torch.floor(weight / scale + 0.5)
    assert (codes == found["0/frozen_code"])[inside].all()


def test_the_threshold_falls_from_when_it_begins() -> None:
    options = OPTIONS.replace(oscillation_threshold=0.04, oscillation_threshold_at_end=0.01)
    assert threshold_at(options, 0.49) is None
    assert threshold_at(options, 0.5) == pytest.approx(0.04)
    assert threshold_at(options, 0.75) == pytest.approx(0.025)
    assert threshold_at(options, 1.0) == pytest.approx(0.01)
    assert threshold_at(complete(), 1.0) is None


def test_in_a_run_weights_freeze_and_it_still_learns() -> None:
    options = QUICK.replace(
        epochs=6, freeze_oscillating_at=0.5, oscillation_momentum=0.2, oscillation_threshold_at_end=0.005
    )
    result = trained(options, PER_CHANNEL_ICN)
    assert result.frozen_weights_percent > 0.5
    assert accuracy_of(result).integer_only_percent >= 65
    assert trained(options.replace(freeze_oscillating_at=1.0)).frozen_weights_percent == 0
