"""Fake quantization: hand-computed values, gradients by hand and by finite differences, and properties of grids."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deploy.arithmetic import quantize, top_code
from network.allocation import BITS, Bits, WeightScheme
from network.layers import LINEAR, RELU, RELU6, ActivationFunction
from qat.options.names import ActivationRange
from qat.quantizers.fake_quantize import Grid, TrainedGrid, _Fused, _InPlace, on_grid
from qat.quantizers.histogram import histogram_of, least_error_range, percentile_range
from qat.quantizers.ranges import BoundedRange, activation_tensor_range, grid_of
from qat.quantizers.step import LearnedStep
from qat.quantizers.weights import MinMax, PerChannelLsq, PerLayerPact, quantizer_for, weight_codes

# 2 bits, scale 0.5, zero point 1: codes 0 1 2 3 stand for -0.5 0 0.5 1
BY_HAND = Grid(2, 0.5, 1)

Way = Callable[[Tensor, TrainedGrid], Tensor]


def way_of(function: type[torch.autograd.Function]) -> Way:
    def quantize_by(values: Tensor, grid: TrainedGrid) -> Tensor:
        ends = grid.lowest_step, grid.highest_step
        quantized: Tensor = function.apply(values, grid.scale, grid.low, grid.high, *ends)  # type: ignore[no-untyped-call]  # torch's own
        return quantized

    return quantize_by


WAYS = {"in place": way_of(_InPlace), "by operators": way_of(_Fused)}
way = pytest.mark.parametrize("quantize_by", WAYS.values(), ids=WAYS.keys())


@way
@pytest.mark.parametrize(
    ("value", "expected", "of_value", "of_low", "of_high", "of_step"),
    [
        (0.0, 0.0, 1, 0, 0, 0.0),
        (0.24, 0.0, 1, 0, 0, -0.48),
        (0.25, 0.5, 1, 0, 0, 0.5),  # half goes up
        (-0.25, 0.0, 1, 0, 0, 0.5),  # also below zero
        (-0.26, -0.5, 1, 0, 0, -0.48),
        (-0.5, -0.5, 1, 0, 0, 0.0),  # an end is inside
        (-0.51, -0.5, 0, 1, 0, -1.0),
        (-0.76, -0.5, 0, 1, 0, -1.0),
        (1.0, 1.0, 1, 0, 0, 0.0),
        (1.01, 1.0, 0, 0, 1, 2.0),
        (9.0, 1.0, 0, 0, 1, 2.0),
    ],
)
def test_activation_by_hand(
    quantize_by: Way, value: float, expected: float, of_value: int, of_low: int, of_high: int, of_step: float
) -> None:
    values = torch.tensor([value], requires_grad=True)
    low, high = torch.tensor(-0.5, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    ends = torch.tensor(-1.0), torch.tensor(2.0)
    result = quantize_by(values, TrainedGrid(torch.tensor(0.5), *ends, low, high))
    torch.autograd.backward(result, torch.tensor([3.0]))
    assert result.item() == expected
    assert [gradient_of(each) for each in (values, low, high)] == [3 * of_value, 3 * of_low, 3 * of_high]
    values.grad = None
    step = torch.tensor(0.5, requires_grad=True)
    result = quantize_by(values, TrainedGrid(step, *ends))
    torch.autograd.backward(result, torch.tensor([3.0]))
    assert result.item() == expected
    assert gradient_of(values) == 3 * of_value
    assert gradient_of(step) == pytest.approx(3 * of_step, abs=1e-5)


def gradient_of(tensor: Tensor) -> float:
    assert tensor.grad is not None
    return float(tensor.grad)


@pytest.mark.parametrize("learned", ["bounds", "step", "nothing"])
@pytest.mark.parametrize("one_sided", [True, False])
@settings(deadline=None)
@given(bits=st.sampled_from(BITS), scale=st.floats(0.01, 2.0), seed=st.integers(0, 1000))
def test_both_ways_agree(learned: str, one_sided: bool, bits: Bits, scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    given_values, upstream = torch.randn(2, 3, 5, 4, 2, generator=generator).unbind(-1)
    zero_point = 0 if one_sided else int(torch.randint(0, top_code(bits) + 1, (), generator=generator))
    lowest, highest = -zero_point, top_code(bits) - zero_point
    found = []
    for quantize_by in WAYS.values():
        values = given_values.clone().requires_grad_()
        step = torch.tensor(scale, requires_grad=learned == "step")
        low, high = (torch.tensor(scale * each, requires_grad=True) for each in (lowest, highest))
        bounds = {"bounds": (None if one_sided else low, high), "step": (None, None), "nothing": (None, None)}[learned]
        result = quantize_by(values, TrainedGrid(step, lowest, highest, *bounds))
        torch.autograd.backward(result, upstream)
        gradients = [values.grad, step.grad, *(None if each is None else each.grad for each in bounds)]
        found.append([result.detach(), *gradients])
    for in_place, by_operators in zip(*found, strict=True):
        if in_place is None or by_operators is None:
            assert in_place is by_operators is None
        else:
            torch.testing.assert_close(in_place, by_operators, rtol=1e-4, atol=1e-4)


@way
def test_gradients_of_bounds_are_those_of_the_clamp(quantize_by: Way) -> None:
    """The gradients equal finite differences of clamp(x, low, high), in which the rounding is the identity."""
    rng = np.random.default_rng(0)
    values = rng.uniform(-3, 3, 500)
    upstream = rng.normal(size=500)
    low, high, small = -1.2, 1.7, 1e-6
    learned = [torch.tensor(each, requires_grad=True) for each in (values.astype(np.float32), low, high)]
    grid = grid_of(low, high, 8, LINEAR)
    far_from_a_bound = np.minimum(np.abs(values - low), np.abs(values - high)) > grid.scale
    upstream *= far_from_a_bound
    ends = torch.tensor(float(grid.lowest_step)), torch.tensor(float(grid.highest_step))
    result = quantize_by(learned[0], TrainedGrid(torch.tensor(grid.scale), *ends, learned[1], learned[2]))
    torch.autograd.backward(result, torch.tensor(upstream, dtype=torch.float32))

    def loss(low: float, high: float) -> float:
        return float(upstream @ np.clip(values, low, high))

    of_low = (loss(low + small, high) - loss(low - small, high)) / (2 * small)
    of_high = (loss(low, high + small) - loss(low, high - small)) / (2 * small)
    assert gradient_of(learned[1]) == pytest.approx(of_low, rel=1e-4)
    assert gradient_of(learned[2]) == pytest.approx(of_high, rel=1e-4)
    inside = (values > low) & (values < high)
    assert learned[0].grad is not None
    np.testing.assert_allclose(learned[0].grad.numpy(), upstream * inside, rtol=1e-6)


@way
def test_the_gradient_of_a_step_is_that_of_what_rounding_leaves(quantize_by: Way) -> None:
    """The gradient equals finite differences of s * (x / s + error), with constant rounding errors."""
    rng = np.random.default_rng(1)
    values, upstream = rng.uniform(-3, 3, 300), rng.normal(size=300)
    scale, lowest, highest, small = 0.37, -3, 4, 1e-6
    ratio = np.clip(values / scale, lowest, highest)
    error = np.floor(ratio + 0.5) - ratio

    def loss(step: float) -> float:
        return float(upstream @ ((np.clip(values / step, lowest, highest) + error) * step))

    step = torch.tensor(scale, requires_grad=True)
    result = quantize_by(torch.tensor(values, dtype=torch.float32), TrainedGrid(step, lowest, highest))
    torch.autograd.backward(result, torch.tensor(upstream, dtype=torch.float32))
    expected = (loss(scale + small) - loss(scale - small)) / (2 * small)
    assert gradient_of(step) == pytest.approx(expected, rel=1e-3)


@given(
    kind=st.sampled_from([ActivationRange.LEARNED, ActivationRange.LEARNED_STEP]),
    low=st.floats(-50, 0),
    high=st.floats(0, 50),
    bits=st.sampled_from(BITS),
    function=st.sampled_from(
        [LINEAR, RELU, RELU6, ActivationFunction(-1, 1), ActivationFunction(-0.01, 3), ActivationFunction(-2, 0)]
    ),
)
def test_a_grid_holds_zero_and_stays_inside_the_function(
    kind: ActivationRange, low: float, high: float, bits: Bits, function: ActivationFunction
) -> None:
    own = activation_tensor_range(kind, bits, function)
    own.start(low, high)
    own.keep_valid()
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
        assert (grid.bits, grid.zero_point) == (bits, 0)
        assert grid.scale == pytest.approx(6.0 / top_code(bits), rel=1e-6)


def test_fake_quantized_values_are_the_codes_of_the_arithmetic() -> None:
    values = torch.randn(1000) * 3
    grid = grid_of(-4.0, 5.0, 4, LINEAR)
    codes = quantize(values.numpy(), grid.scale, grid.zero_point, grid.bits)
    expected = (codes.astype(np.float64) - grid.zero_point) * grid.scale
    np.testing.assert_allclose(on_grid(values, grid).numpy(), expected, rtol=1e-6)
    for quantize_by in WAYS.values():
        trained = TrainedGrid(torch.tensor(grid.scale), grid.lowest_step, grid.highest_step)
        np.testing.assert_allclose(quantize_by(values, trained).numpy(), expected, rtol=1e-6)


def test_a_learned_range_moves_only_where_it_clips_and_stays_valid() -> None:
    own = BoundedRange(4, RELU, learned=True)
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
    fixed = BoundedRange(4, RELU, learned=False)
    assert not any(parameter.requires_grad for parameter in fixed.parameters())


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("scheme", list(WeightScheme))
def test_weight_codes_are_what_training_multiplies_by(scheme: WeightScheme, bits: Bits) -> None:
    generator = torch.Generator().manual_seed(bits)
    weight = torch.randn(6, 3, 3, 3, generator=generator)
    weight[1] = 0.0
    weight[2].abs_()
    weight[3] *= 1e-20
    quantizer = quantizer_for(scheme, bits, tuple(weight.shape))
    quantizer.start(weight)
    grid = quantizer.grid(weight)
    codes = weight_codes(weight, grid, bits)
    assert codes.max() <= top_code(bits)
    across = (-1, 1, 1, 1)
    real = (torch.from_numpy(codes).float() - grid.zero_point.reshape(across)) * grid.scale.reshape(across)
    assert torch.equal(real, quantizer(weight).detach())
    # By the definition clamp(floor(w / s + 1/2) + z), for weights that are not close to a half:
    scale, zero_point = (np.broadcast_to(each.numpy(), 6).reshape(across) for each in (grid.scale, grid.zero_point))
    ratio = weight.numpy().astype(np.float64) / scale
    expected = np.clip(np.floor(ratio + 0.5) + zero_point, 0, top_code(bits))
    clear = np.abs(ratio - np.floor(ratio) - 0.5) > 1e-4
    assert (codes == expected)[clear].all()


def test_per_channel_ranges_are_each_channels_own() -> None:
    weight = torch.tensor([[-1.0, 0.0, 2.0], [0.0, 10.0, 30.0], [-6.0, -3.0, 0.0]])
    grid = MinMax(2, per_channel=True).grid(weight)
    assert grid.scale.tolist() == [1.0, 10.0, 2.0]
    assert grid.zero_point.tolist() == [1.0, 0.0, 3.0]
    weight.requires_grad_()
    MinMax(2, per_channel=True)(weight).backward(torch.full((3, 3), 2.0))
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


def test_per_layer_ranges_are_the_tensors_own() -> None:
    weight = torch.tensor([[-1.0, 0.0, 2.0], [0.5, 1.0, 1.5]])
    grid = MinMax(2, per_channel=False).grid(weight)
    assert (grid.scale.tolist(), grid.zero_point.tolist()) == ([1.0], [1.0])


def test_a_channel_turns_its_longer_side_down() -> None:
    """At 2 bits, weights are -2 to 1 steps: [-1, 0, 2] has no error with a negative step size."""
    weight = torch.tensor([[-1.0, 0.0, 2.0, 1.0], [1.0, 0.0, -2.0, -1.0]]) * 0.25
    quantizer = PerChannelLsq(2, (2, 4))
    quantizer.start(weight)
    grid = quantizer.grid(weight)
    assert grid.zero_point.tolist() == [2.0]
    assert grid.scale.tolist() == [-0.25, 0.25]
    assert torch.equal(quantizer(weight), weight)
    assert weight_codes(weight, grid, 2).tolist() == [[3, 2, 0, 1], [3, 2, 0, 1]]


def test_a_learned_step_moves_by_a_share_of_itself_and_keeps_its_sign() -> None:
    quantizer = PerChannelLsq(4, (2, 8))
    quantizer.start(torch.linspace(-1, 2, 16).reshape(2, 8))
    sign = quantizer.step.value.sign()
    with torch.no_grad():
        quantizer.step.relative.fill_(-5.0)
    quantizer.keep_valid()
    assert torch.equal(quantizer.step.value.sign(), sign)
    assert (quantizer.step.value.abs() > 0).all()


@pytest.mark.parametrize("unit", [1e-25, 0.01, 3.0])
def test_a_steps_gradient_is_measured_by_its_unit(unit: float) -> None:
    """The gradient scale of Esser et al., equation 4, is divided by the square of the initial step size."""
    step = LearnedStep(())
    step.start(torch.tensor(unit))
    (2.0 * step(100, 4)).backward()
    of_step = gradient_of(step.relative)
    assert math.isfinite(of_step)
    if unit > 1e-6:
        assert of_step == pytest.approx(2.0 * unit / (20.0 * unit**2), rel=1e-5)


@pytest.mark.parametrize("bits", BITS)
def test_the_starting_range_has_nearly_the_least_error(bits: Bits) -> None:
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(0)).abs_().mul_(2.0)

    def error(high: float) -> float:
        grid = grid_of(0.0, high, bits, RELU)
        return float((on_grid(values, grid) - values).square().mean())

    low, high = least_error_range(histogram_of(values), bits)
    least = min(error(each) for each in np.linspace(0.2, float(values.max()), 400))
    assert low == 0.0
    assert error(high) <= 1.03 * least


def test_the_range_of_nothing() -> None:
    assert least_error_range(histogram_of(torch.zeros(5)), 8) == (0.0, 0.0)
    own = BoundedRange(8, LINEAR, learned=True)
    own.bounds.start(0.0, 0.0)
    assert own.grid.scale > 0
    assert math.isfinite(own(torch.zeros(3)).sum().item())


@pytest.mark.parametrize("bits", BITS)
def test_percentiles_leave_out_equal_shares(bits: Bits) -> None:
    values = torch.randn(100_000, generator=torch.Generator().manual_seed(bits))
    low, high = percentile_range(histogram_of(values), 90.0)
    assert float((values < low).float().mean()) == pytest.approx(0.05, abs=2e-3)
    assert float((values > high).float().mean()) == pytest.approx(0.05, abs=2e-3)
    low, high = percentile_range(histogram_of(values.abs()), 90.0)
    assert low == 0.0
    assert float((values.abs() > high).float().mean()) == pytest.approx(0.1, abs=2e-3)
    low, high = percentile_range(histogram_of(-values.abs()), 90.0)
    assert high == 0.0
    assert float((-values.abs() < low).float().mean()) == pytest.approx(0.1, abs=2e-3)
    extremes = percentile_range(histogram_of(values), 100.0)
    assert extremes == pytest.approx((float(values.min()), float(values.max())), rel=1e-6)
