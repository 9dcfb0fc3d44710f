"""Fake quantization: values by hand, gradients by hand and by finite differences, grids by their rules."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deploy.arithmetic import quantize, top_code
from network.allocation import BITS, Bits, WeightScheme
from network.layers import LINEAR, RELU, RELU6, ActivationFunction
from qat.fake_quantize import Grid, fake_quantized, fake_quantized_weight
from qat.histogram import histogram_of, least_error_range
from qat.ranges import ActivationTensorRange, grid_of
from qat.weights import PerChannelMinMax, PerLayerPact, quantizer_for, weight_codes

# 2 bits, scale 0.5, zero point 1: codes 0 1 2 3 stand for -0.5 0 0.5 1
BY_HAND = Grid(2, 0.5, 1)


@pytest.mark.parametrize(
    ("value", "expected", "of_value", "of_low", "of_high"),
    [
        (0.0, 0.0, 1, 0, 0),
        (0.24, 0.0, 1, 0, 0),
        (0.25, 0.5, 1, 0, 0),  # half goes up
        (-0.25, 0.0, 1, 0, 0),  # also below zero
        (-0.26, -0.5, 1, 0, 0),
        (-0.75, -0.5, 1, 0, 0),
        (-0.76, -0.5, 0, 1, 0),
        (1.24, 1.0, 1, 0, 0),
        (1.25, 1.0, 0, 0, 1),
        (9.0, 1.0, 0, 0, 1),
    ],
)
def test_activation_by_hand(value: float, expected: float, of_value: int, of_low: int, of_high: int) -> None:
    values = torch.tensor([value], requires_grad=True)
    low, high = torch.tensor(-0.5, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    result = fake_quantized(values, BY_HAND, low, high)
    torch.autograd.backward(result, torch.tensor([3.0]))
    assert result.item() == expected
    assert values.grad is not None
    assert low.grad is not None
    assert high.grad is not None
    assert (values.grad.item(), low.grad.item(), high.grad.item()) == (3 * of_value, 3 * of_low, 3 * of_high)


def test_gradients_are_those_of_the_clamp() -> None:
    """Finite differences of clamp(x, low, high), which is what remains when the rounding is the identity."""
    rng = np.random.default_rng(0)
    values = rng.uniform(-3, 3, 500)
    upstream = rng.normal(size=500)
    low, high, small = -1.2, 1.7, 1e-6
    learned = [torch.tensor(each, requires_grad=True) for each in (values.astype(np.float32), low, high)]
    grid = grid_of(low, high, 8, LINEAR)
    far_from_a_bound = np.minimum(np.abs(values - low), np.abs(values - high)) > grid.scale
    upstream *= far_from_a_bound
    result = fake_quantized(learned[0], grid, learned[1], learned[2])
    torch.autograd.backward(result, torch.tensor(upstream, dtype=torch.float32))

    def loss(low: float, high: float) -> float:
        return float(upstream @ np.clip(values, low, high))

    of_low = (loss(low + small, high) - loss(low - small, high)) / (2 * small)
    of_high = (loss(low, high + small) - loss(low, high - small)) / (2 * small)
    assert learned[1].grad is not None
    assert learned[1].grad.item() == pytest.approx(of_low, rel=1e-4)
    assert learned[2].grad is not None
    assert learned[2].grad.item() == pytest.approx(of_high, rel=1e-4)
    inside = (values > low) & (values < high)
    assert learned[0].grad is not None
    np.testing.assert_allclose(learned[0].grad.numpy(), upstream * inside, rtol=1e-6)


@given(
    low=st.floats(-50, 0),
    high=st.floats(0, 50),
    bits=st.sampled_from(BITS),
    function=st.sampled_from(
        [LINEAR, RELU, RELU6, ActivationFunction(-1, 1), ActivationFunction(-0.01, 3), ActivationFunction(-2, 0)]
    ),
)
def test_a_grid_holds_zero_and_stays_inside_the_function(
    low: float, high: float, bits: Bits, function: ActivationFunction
) -> None:
    own = ActivationTensorRange(bits, function, learned=True)
    own.bounds.start(low, high)
    own.bounds.keep_valid()
    grid = own.grid
    assert grid.scale > 0
    assert 0 <= grid.zero_point <= top_code(bits)
    tolerance = 1 + 1e-12
    assert grid.lowest_step * grid.scale >= function.low * tolerance
    assert grid.highest_step * grid.scale <= function.high * tolerance
    if function == RELU and high > 1e-3:
        assert grid.zero_point == 0
        assert grid.highest_step * grid.scale == pytest.approx(high, rel=1e-6)
    if function == RELU6 and high >= 6:
        assert grid == Grid(bits, 6.0 / top_code(bits), 0)


def test_fake_quantized_values_are_the_codes_of_the_arithmetic() -> None:
    values = torch.randn(1000) * 3
    grid = grid_of(-4.0, 5.0, 4, LINEAR)
    codes = quantize(values.numpy(), grid.scale, grid.zero_point, grid.bits)
    expected = (codes.astype(np.float64) - grid.zero_point) * grid.scale
    np.testing.assert_allclose(fake_quantized(values, grid).numpy(), expected, rtol=1e-6)


def test_a_learned_range_moves_only_where_it_clips_and_stays_valid() -> None:
    own = ActivationTensorRange(4, RELU, learned=True)
    own.bounds.start(0.0, 2.0)
    assert not own.bounds.low.requires_grad
    own(torch.tensor([0.5, 1.0, -7.0])).sum().backward()
    assert own.bounds.high.grad is not None
    assert own.bounds.high.grad.item() == 0.0
    own(torch.tensor([0.5, 5.0])).sum().backward()
    assert own.bounds.high.grad.item() == pytest.approx(2.0)  # one clipped element, in units of the extent
    with torch.no_grad():
        own.bounds.high.fill_(-1.0)
    own.bounds.keep_valid()
    assert own.grid.scale > 0
    fixed = ActivationTensorRange(4, RELU, learned=False)
    assert not any(parameter.requires_grad for parameter in fixed.parameters())


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("scheme", list(WeightScheme))
def test_weight_codes_are_what_training_multiplies_by(scheme: WeightScheme, bits: Bits) -> None:
    generator = torch.Generator().manual_seed(bits)
    weight = torch.randn(6, 3, 3, 3, generator=generator)
    weight[1] = 0.0
    weight[2].abs_()
    weight[3] *= 1e-20
    quantizer = quantizer_for(scheme, bits)
    quantizer.start(weight)
    grid = quantizer.grid(weight)
    codes = weight_codes(weight, grid, bits)
    assert codes.max() <= top_code(bits)
    across = (-1, 1, 1, 1)
    real = (torch.from_numpy(codes).float() - grid.zero_point.reshape(across)) * grid.scale.reshape(across)
    assert torch.equal(real, quantizer(weight).detach())
    # By the definition, where no half is near: clamp(floor(w / s + 1/2) + z)
    scale, zero_point = (np.broadcast_to(each.numpy(), 6).reshape(across) for each in (grid.scale, grid.zero_point))
    ratio = weight.numpy().astype(np.float64) / scale
    expected = np.clip(np.floor(ratio + 0.5) + zero_point, 0, top_code(bits))
    clear = np.abs(ratio - np.floor(ratio) - 0.5) > 1e-4
    assert (codes == expected)[clear].all()


def test_per_channel_ranges_are_each_channels_own() -> None:
    weight = torch.tensor([[-1.0, 0.0, 2.0], [0.0, 10.0, 30.0], [-6.0, -3.0, 0.0]])
    grid = PerChannelMinMax(2).grid(weight)
    assert grid.scale.tolist() == [1.0, 10.0, 2.0]
    assert grid.zero_point.tolist() == [1.0, 0.0, 3.0]
    weight.requires_grad_()
    PerChannelMinMax(2)(weight).backward(torch.full((3, 3), 2.0))
    assert weight.grad is not None
    assert weight.grad.tolist() == [[2.0] * 3] * 3


def test_pact_weights_learn_both_ends() -> None:
    quantizer = PerLayerPact(2)
    weight = torch.tensor([[-1.0, -0.4, 0.0, 0.3, 2.0]])
    with torch.no_grad():
        quantizer.bounds.extent.fill_(2.0)
        quantizer.bounds.low.fill_(-0.25)  # -0.5
        quantizer.bounds.high.fill_(0.5)  # 1.0: the grid by hand from above
    weight.requires_grad_()
    quantizer(weight).backward(torch.tensor([[1.0, 2.0, 4.0, 8.0, 16.0]]))
    assert weight.grad is not None
    assert weight.grad.tolist() == [[0.0, 2.0, 4.0, 8.0, 0.0]]
    assert quantizer.bounds.low.grad is not None
    assert quantizer.bounds.low.grad.item() == 2.0 * 1.0  # the extent times the gradient of what is clipped below
    assert quantizer.bounds.high.grad is not None
    assert quantizer.bounds.high.grad.item() == 2.0 * 16.0
    assert fake_quantized_weight(torch.tensor([[0.25]]), torch.tensor([0.5]), torch.tensor([1.0]), 2).item() == 0.5


@pytest.mark.parametrize("bits", BITS)
def test_the_starting_range_has_nearly_the_least_error(bits: Bits) -> None:
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(0)).abs_().mul_(2.0)

    def error(high: float) -> float:
        grid = grid_of(0.0, high, bits, RELU)
        return float((fake_quantized(values, grid) - values).square().mean())

    low, high = least_error_range(histogram_of(values), bits)
    least = min(error(each) for each in np.linspace(0.2, float(values.max()), 400))
    assert low == 0.0
    assert error(high) <= 1.03 * least


def test_the_range_of_nothing() -> None:
    assert least_error_range(histogram_of(torch.zeros(5)), 8) == (0.0, 0.0)
    own = ActivationTensorRange(8, LINEAR, learned=True)
    own.bounds.start(0.0, 0.0)
    assert own.grid.scale > 0
    assert math.isfinite(own(torch.zeros(3)).sum().item())
