"""Encoding of real factors and offsets as narrow constants: by hand, by a property, and why layers become wide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.arithmetic import INT32_MAX, top_code
from deploy.integer_network import IntegerConvolution, IntegerTensor
from deploy.narrow_constants import narrow_constants_of
from network.allocation import BITS, Bits, Folding, Scheme, WeightScheme
from network.layers import Shape
from qat.coarse_weights import MAX_ERROR, coarser
from qat.conversion import convert
from qat.deployed_weights import DeployedWeights, accumulator_ends
from qat.narrow_encoding import MAX_ADDED_ERROR, encoded
from qat.options.training import TrainingOptions
from qat.quantizers.fake_quantize import Grid
from tests.qat.test_agreement import calibrated, images_for
from tests.qat.zoo import all_kinds, random_allocation


def weights(
    codes: list[list[int]], factor: list[float], offset: list[float], source: Grid, zero_point: int = 0
) -> DeployedWeights:
    """Return the real constants of a layer with the given weight codes [output channel][input channel]."""
    array, z_w = np.array(codes, np.uint8), np.array([zero_point], np.int64)
    lowest, highest = accumulator_ends(array.astype(np.int64) - zero_point, source)
    real_factor, real_offset = np.array(factor), np.array(offset)
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = np.floor(real_offset / real_factor + 0.5)
    on_grid = np.isfinite(bias) & (np.abs(bias) <= INT32_MAX - np.maximum(highest, -lowest))
    return DeployedWeights(
        array, z_w, np.ones(1), real_factor, real_offset, np.where(on_grid, bias, 0.0), on_grid, lowest, highest,
        added_error=np.zeros(len(array)),
    )  # fmt: skip


BYTES = Grid(8, 1.0, 0)


def test_the_example_of_the_module() -> None:
    found = encoded(weights([[9], [90]], [0.003, 0.0001], [1.0, 2.0], BYTES), 8, BYTES, BYTES, keeps_codes=False)
    assert found.narrow is not None
    assert found.narrow.multiplier.tolist() == [25166, 839]
    assert found.narrow.shift.tolist() == [23, 23]
    # 1 / 0.003 = 333.3 and 2 / 0.0001 = 20,000: both fit into 16 bits
    assert found.bias.tolist() == [333, 20000]
    # the second channel reaches 90 * 255 = 22,950; the factor differs by 839 / 2^23 - 0.0001 = 1.67e-8
    assert found.added_error[1] == pytest.approx((22950 + 20000) * (839 / 2**23 - 0.0001) - 0.00005, rel=1e-3)


def test_offsets_beyond_16_bits_share_a_unit() -> None:
    found = encoded(weights([[255]] * 2, [1e-3] * 2, [0.5, 100.0], BYTES), 8, BYTES, BYTES, keeps_codes=False)
    assert found.bias.tolist() == [500, 100000]  # a unit of 2^2: 100,000 / 4 = 25,000
    found = encoded(weights([[255]] * 2, [1e-3] * 2, [0.501, 100.002], BYTES), 8, BYTES, BYTES, keeps_codes=False)
    assert found.bias.tolist() == [500, 100000 + 4]  # 501 is rounded to 500, and 100,002 up


def test_a_channel_that_hardly_changes_is_a_constant() -> None:
    real = weights([[7], [200], [9]], [0.01, 1e-6, 0.02], [3.0, 77.3, 1.0], BYTES, zero_point=3)
    found = encoded(real, 8, BYTES, BYTES, keeps_codes=False)
    assert found.codes.tolist() == [[7], [3], [9]]
    assert found.bias[1] * found.factor[1] == pytest.approx(77, abs=0.01)
    assert found.added_error[1] == pytest.approx(197 * 255e-6 / 2, abs=0.01)
    kept = encoded(real, 8, BYTES, BYTES, keeps_codes=True)
    assert kept.narrow is None  # a bias of 77.3 / 1e-6 needs a unit of 2^12, which is too much for the others
    assert "output channel 0 by up to 3 codes" in kept.wide_because


def test_a_channel_that_always_saturates_is_a_constant() -> None:
    found = encoded(weights([[200], [9]], [0.01, 0.02], [300.0, 1.0], BYTES), 8, BYTES, BYTES, keeps_codes=False)
    assert found.codes.tolist() == [[0], [9]]
    assert np.floor(found.bias[0] * found.factor[0] + 0.5) == 255


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (weights([[9]], [0.26], [0.0], BYTES), "the factor 0.26 is too large for 16 bits; expected less than 0.25"),
        (weights([[9]], [np.inf], [0.0], BYTES), "a factor is not finite"),
        (weights([[200], [3]], [1e-9, 0.1], [2.0**31, 0.0], BYTES), None),
        (weights([[200]], [1e-2], [-(2.0**31)], BYTES), None),
        (weights([[200] * 50_000], [1e-7], [-240.0], BYTES), "output channel 0 has no int32 bias"),
        (weights([[2], [255]], [2e-3, 0.2], [1.0, 1.0], BYTES), None),
        (weights([[255] * 9] * 2, [4e-4, 0.2], [1.0, 1.0], BYTES), "would change output channel 0 by up to"),
    ],
    ids=["large", "infinite", "saturated", "always 0", "no bias", "near", "far"],
)
def test_layers_become_wide(given: DeployedWeights, reason: str | None) -> None:
    found = encoded(given, 8, BYTES, BYTES, keeps_codes=False)
    assert (found.narrow is None) == (reason is not None)
    assert (reason or "") in found.wide_because
    if reason is not None:
        np.testing.assert_array_equal(found.codes, given.codes)


def test_sums_of_widened_codes_must_fit() -> None:
    source = Grid(4, 1.0, 0)
    found = encoded(weights([[255] * 40_000], [1e-6], [0.0], source), 8, source, BYTES, keeps_codes=False)
    assert found.narrow is None
    assert found.wide_because == (
        f"its sums, shifted as if all codes had 8 bits, reach {255 * 40_000 * 15 * 16}; expected at most {INT32_MAX}"
    )


@pytest.mark.parametrize(("weight_bits", "largest"), [(8, 0.25), (4, 4.0), (2, 16.0)])
def test_weights_of_fewer_bits_have_larger_factors(weight_bits: Bits, largest: float) -> None:
    """Their accumulators have fewer steps; a chip shifts them as if the weights had 8 bits."""
    for factor, fits in ((largest * 0.99, True), (largest * 1.01, False)):
        found = encoded(weights([[3]], [factor], [0.0], BYTES), weight_bits, BYTES, BYTES, keeps_codes=False)
        assert (found.narrow is not None) == fits


def test_coarser_weights_by_hand() -> None:
    real = weights([[228, 78, 135], [3, 4, 5]], [2.0**-20, 1.0], [8.0, 0.0], BYTES, zero_point=128)
    found, error = coarser(real, np.array([True, True]), 2, BYTES)
    assert found.codes.tolist() == [[153, 116, 130], [3, 4, 5]]
    assert found.factor.tolist() == [2.0**-18, 1.0]
    assert found.scale.tolist() == [4.0, 1.0]
    assert found.bias.tolist() == [8.0 * 2**18, 0.0]
    assert error.tolist() == [3 * 255 * 2.0**-20, 0.0]
    assert (found.lowest[0], found.highest[0]) == (-12 * 255, 27 * 255)


def test_one_channel_of_tiny_weights_does_not_spoil_its_layer() -> None:
    """Its output is 19 to 21 steps; without coarser weights, its bias of 2,500,000 would need a unit of 2^7 for all."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (2, 9)).tolist()
    real = weights(codes, [8e-6, 0.05], [20.0, 3.0], BYTES, zero_point=128)
    found = encoded(real, 8, BYTES, BYTES, keeps_codes=False)
    assert found.narrow is not None
    assert found.added_error.max() <= MAX_ADDED_ERROR + MAX_ERROR
    assert encoded(real, 8, BYTES, BYTES, keeps_codes=True).narrow is None
    inputs = rng.integers(0, 256, (1000, 9))
    expected = (inputs @ (real.centred.T)) * real.factor + real.offset
    difference = np.abs((inputs @ found.centred.T + found.bias) * found.factor - expected)[:, 0]
    assert difference.max() <= found.added_error[0] + np.abs(found.factor[0]) / 2


@st.composite
def layers(draw: st.DrawFn) -> tuple[DeployedWeights, Grid, Grid, Bits]:
    """Draw a layer of up to 4 channels over up to 6 inputs, with factors and offsets over many magnitudes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    source, target = (Grid(bits, 1.0, int(rng.integers(top_code(bits) + 1))) for bits in rng.choice(BITS, 2).tolist())
    bits: Bits = BITS[rng.integers(3)]
    channels, taps = rng.integers(1, 5), rng.integers(1, 7)
    codes = rng.integers(0, top_code(bits) + 1, (channels, taps))
    spread = draw(st.sampled_from([0.0, 2.0, 12.0]))
    factor = 2.0 ** (rng.uniform(-14, 0) - rng.uniform(0, 1, channels) * spread) * rng.choice([-1, 1], channels)
    factor[rng.random(channels) < 0.1] = 0.0
    offset = rng.normal(0, draw(st.sampled_from([1.0, 100.0, 1e5])), channels)
    real = weights(codes.tolist(), factor.tolist(), offset.tolist(), source, int(rng.integers(top_code(bits) + 1)))
    return real, source, target, bits


@settings(deadline=None, max_examples=300)
@given(layers(), st.booleans(), st.integers(0, 2**32))
def test_the_error_is_bounded_and_the_layer_is_narrow(
    drawn: tuple[DeployedWeights, Grid, Grid, Bits], keeps_codes: bool, seed: int
) -> None:
    real, source, target, bits = drawn
    found = encoded(real, bits, source, target, keeps_codes=keeps_codes)
    assert (found.narrow is None) == bool(found.wide_because)
    if found.narrow is None:
        np.testing.assert_array_equal(found.codes, real.codes)
        return
    if keeps_codes:
        np.testing.assert_array_equal(found.codes, real.codes)
    layer = integers(found, bits)
    tensors = [IntegerTensor("x", Shape(real.codes.shape[1]), source.bits, 1.0, source.zero_point),
               IntegerTensor("y", Shape(len(real.codes)), target.bits, 1.0, target.zero_point)]  # fmt: skip
    assert narrow_constants_of(layer, tensors[0], tensors[1]) is not None
    rng = np.random.default_rng(seed)
    inputs = rng.choice([source.lowest_step, source.highest_step], (64, real.codes.shape[1]))
    inputs[32:] = rng.integers(source.lowest_step, source.highest_step + 1, (32, inputs.shape[1]))
    ends = target.lowest_step - 0.5, target.highest_step + 0.5
    expected = np.clip(inputs @ real.centred.T * real.factor + real.offset, *ends)
    steps = np.clip((inputs @ found.centred.T + found.bias) * found.factor, *ends)
    assert (found.added_error <= MAX_ADDED_ERROR + MAX_ERROR).all()
    half_unit = 2.0 ** -(int(found.narrow.shift[0]) + 1)
    limit = found.added_error + (np.abs(found.factor) + half_unit) / 2 + 1e-6
    limit = np.where(real.on_grid, limit, 1.5)  # a channel without an int32 bias is at most one code away
    assert (np.abs(steps - expected) <= np.where(found.highest > found.lowest, limit, limit + 0.5)).all()


def integers(found: DeployedWeights, bits: Bits) -> IntegerConvolution:
    assert found.narrow is not None
    fields: dict[str, Any] = {"name": "f", "inputs": ("x",), "output": "y", "weight_bits": bits}
    return IntegerConvolution(
        **fields, codes=found.codes[:, None, None, :], weight_zero_point=found.zero_point.astype(np.int32),
        bias=found.bias.astype(np.int32), requantization=found.narrow, weight_scale=np.ones(1),
        scheme=Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_conversion_keeps_what_the_encoding_says(seed: int) -> None:
    network = all_kinds(seed)
    images = images_for(network, seed)
    module = calibrated(network, random_allocation(network, seed), images, TrainingOptions()).eval()
    found = module.deployed().weights
    integer_network = convert(module)
    tensors = integer_network.tensors
    for layer in integer_network.layers:
        if isinstance(layer, IntegerConvolution):
            narrow = narrow_constants_of(layer, tensors[layer.inputs[0]], tensors[layer.output])
            assert (narrow is None) == (found[layer.name].narrow is None), found[layer.name].wide_because
