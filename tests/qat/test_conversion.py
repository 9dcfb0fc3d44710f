"""Conversion: channels without an int32 bias, negative gammas, memory layouts, shared ranges and input bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
import torch

from deploy.arithmetic import INT32_MAX
from deploy.files import WEIGHTS_FILE, save
from deploy.integer_network import IntegerConvolution, IntegerFullyConnected
from deploy.interpreter import quantize_input, trace
from deploy.requantization_form import RequantizationForm
from deploy.weight_packing import pack_weights
from network.allocation import Folding, Scheme, WeightScheme
from network.errors import ConversionError, InvalidNetwork, RequestError
from network.kernel_functions import Form
from network.layers import RELU, BatchNorm, Convolution, FullyConnected, MaxPool, Padding, Shape, WeightLayer
from network.memory.deployed import DeployedAccounting
from network.memory.descriptors import descriptor_bytes
from network.memory.measure import measure
from network.memory.packing import whole_words
from network.network import Network
from network.network_input import InputFormat
from qat.activation_ranges import intervals, shared_ranges
from qat.calibration import calibrate, input_grid
from qat.conversion import convert
from qat.options.training import TrainingOptions
from qat.prepare import float_module, prepare
from qat.quantized_network import QuantizedNetwork
from qat.quantizers.fake_quantize import Grid
from qat.quantizers.ranges import ActivationTensorRange
from tests.builders import network_of
from tests.qat.zoo import SCHEMES, all_kinds, allocation_of, random_allocation

PER_CHANNEL_ICN = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
PER_LAYER_ICN = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN)
PER_LAYER_FOLDED = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS)


def pointwise(
    gamma: list[float], *, beta: float = 0.4, mean: float = 0.0, weight: npt.ArrayLike = ((0.5,), (0.5,))
) -> Network:
    """Return a network of one 1x1 convolution from one channel to two, with batch norm and ReLU."""
    ones = np.ones(2, dtype=np.float32)
    layer = Convolution(
        name="conv",
        inputs=("input",),
        output="out",
        activation=RELU,
        output_channels=2,
        kernel=(1, 1),
        weight=np.array(weight, dtype=np.float32).reshape(2, 1, 1, 1),
        batch_norm=BatchNorm(np.array(gamma, dtype=np.float32), ones * beta, ones * mean, ones, 0.0),
    )
    return network_of([layer], Shape(1, 2, 2))


IMAGES = np.linspace(0, 4, 32).reshape(8, 1, 2, 2).astype(np.float32)


def converted(network: Network, scheme: Scheme, *, high: float = 2.0) -> tuple[QuantizedNetwork, IntegerConvolution]:
    module = prepare(network, allocation_of(network, 8, scheme), options=TrainingOptions())
    calibrate(module, IMAGES)
    own = module.range_of("out")
    assert isinstance(own, ActivationTensorRange)
    own.start(0.0, high)
    (layer,) = convert(module.eval()).layers
    assert isinstance(layer, IntegerConvolution)
    return module, layer


def channel_factor(layer: IntegerConvolution, channel: int) -> float:
    return float(np.broadcast_to(layer.requantization.factors, layer.bias.shape)[channel])


@pytest.mark.parametrize("scheme", [PER_CHANNEL_ICN, PER_LAYER_ICN], ids=["per channel", "per layer"])
@pytest.mark.parametrize("gamma", [0.0, 1e-12, -1e-12, 1e-30], ids=str)
def test_a_channel_that_ignores_its_input_becomes_a_constant(gamma: float, scheme: Scheme) -> None:
    module, layer = converted(pointwise([1.0, gamma]), scheme)
    weight_zero_point = int(np.broadcast_to(layer.weight_zero_point, 2)[1])
    assert (layer.codes[1] == weight_zero_point).all()
    assert round(layer.bias[1] * channel_factor(layer, 1)) == round(0.4 / module.grid("out").scale)
    codes = trace(convert(module), quantize_input(convert(module), IMAGES))["out"]
    assert (codes[..., 1] == round(0.4 / 2.0 * 255)).all()
    assert len(np.unique(codes[..., 0])) > 5


def test_a_channel_of_zeros_writes_its_bias_exactly() -> None:
    module, layer = converted(pointwise([1.0, 3.0], weight=[[0.5], [0.0]]), PER_CHANNEL_ICN)
    written = layer.bias[1] * channel_factor(layer, 1)
    assert written == pytest.approx(round(0.4 / module.grid("out").scale), rel=2**-14)


def test_a_bias_far_beyond_the_range_saturates() -> None:
    """A channel that ReLU provably clamps to zero for every input is converted to a constant."""
    module, layer = converted(pointwise([1.0, 1e-7], beta=-3.0), PER_CHANNEL_ICN)
    codes = trace(convert(module), quantize_input(convert(module), IMAGES))["out"]
    assert (codes[..., 1] == 0).all()
    assert abs(int(layer.bias[1])) < INT32_MAX


def test_refuses_a_bias_beyond_int32_that_matters() -> None:
    """The output still varies with sums of up to 255 * 255 * 20000 and a negative bias of nearly that size."""
    layer = FullyConnected(
        name="wide", inputs=("input",), output="out", activation=RELU, output_channels=1,
        weight=np.full((1, 20_000), 0.5, dtype=np.float32), bias=np.array([-31_500], dtype=np.float32),
    )  # fmt: skip
    network = network_of([layer], Shape(20_000))
    module = prepare(network, allocation_of(network, 8, PER_CHANNEL_ICN), options=TrainingOptions())
    images = np.linspace(0, 4.5, 3).repeat(20_000).reshape(3, 20_000, 1, 1).astype(np.float32)
    calibrate(module, images)
    with pytest.raises(
        ConversionError, match=r"layer 'wide' needs a bias of -9\.\d+e\+08 in addition to sums of up to 13005"
    ):
        convert(module.eval())


def test_negative_gammas_give_negative_multipliers() -> None:
    _, layer = converted(pointwise([-1.0, 1.0]), PER_CHANNEL_ICN)
    assert np.sign(layer.requantization.multiplier).tolist() == [-1, 1]
    _, folded = converted(pointwise([-1.0, 1.0]), PER_LAYER_FOLDED)
    assert len(folded.requantization.multiplier) == 1
    assert folded.requantization.multiplier[0] > 0


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.folding}")
def test_one_factor_a_layer_only_where_the_scheme_allows_it(scheme: Scheme) -> None:
    _, layer = converted(pointwise([-1.0, 1.0]), scheme)
    shared = not scheme.weights.is_per_channel and scheme.folding is Folding.WEIGHTS
    assert len(layer.requantization.multiplier) == (1 if shared else 2)
    assert len(layer.weight_scale) == (2 if scheme.weights.is_per_channel else 1)
    assert len(layer.weight_zero_point) == (2 if scheme.weights.has_zero_point_per_channel else 1)


def test_weights_over_an_image_are_laid_out_height_width_channel() -> None:
    weight = np.arange(3 * 12, dtype=np.float32).reshape(3, 12)  # channel, height, width of 2 x 2 x 3
    layer = FullyConnected(name="fc", inputs=("input",), output="out", output_channels=3, weight=weight)
    network = network_of([layer], Shape(2, 2, 3))
    module = prepare(network, allocation_of(network, 8, PER_CHANNEL_ICN), options=TrainingOptions())
    images = np.random.default_rng(0).normal(size=(4, 2, 2, 3)).astype(np.float32)
    calibrate(module, images)
    (integer,) = convert(module.eval()).layers
    assert isinstance(integer, IntegerFullyConnected)
    assert integer.codes.shape == (3, 2, 3, 2)
    real = (integer.codes.astype(float) - integer.weight_zero_point[:, None, None, None]) * integer.weight_scale[
        :, None, None, None
    ]
    np.testing.assert_allclose(real, weight.reshape(3, 2, 2, 3).transpose(0, 2, 3, 1), atol=0.1)


def test_a_max_pool_repeats_its_inputs_codes_only_at_the_same_bits() -> None:
    conv = Convolution(
        name="conv", inputs=("input",), output="out", activation=RELU, output_channels=1, kernel=(1, 1),
        weight=np.ones((1, 1, 1, 1), dtype=np.float32),
    )  # fmt: skip
    pool = MaxPool(name="pool", inputs=("out",), output="pooled", kernel=(2, 2), padding=Padding(0, 0, 1, 1))
    network = network_of([conv, pool], Shape(1, 4, 4))
    assert shared_ranges(network, {"input": 8, "out": 4, "pooled": 4})["pooled"] == "out"
    assert shared_ranges(network, {"input": 8, "out": 8, "pooled": 4})["pooled"] == "pooled"
    assert intervals(network)["pooled"] == RELU


def test_intervals_follow_from_what_a_layer_reads() -> None:
    known = intervals(all_kinds(0))
    assert (known["sum"].low, known["max"].low) == (0.0, 0.0)
    assert (known["clip"].low, known["clip"].high) == (-0.5, 1.0)
    assert known["concat"].low == -np.inf


def _with_format(network: Network, subtract: float, multiply: float) -> Network:
    form = InputFormat((1, 2, 2), subtract=(subtract,), multiply=(multiply,))
    return replace(network, inputs=(replace(network.only_input, format=form),))


@pytest.mark.parametrize(
    ("subtract", "multiply", "expected"),
    [
        (0.0, 1.0, Grid(8, 1.0, 0)),
        (128.0, 1 / 128, Grid(8, 1 / 128, 128)),
        (
            127.5,
            1.0,
            Grid(8, 1.0, 127),
        ),  # real zero is no byte: halves are rounded up
    ],
)
def test_bytes_are_their_own_codes_where_the_format_allows_it(subtract: float, multiply: float, expected: Grid) -> None:
    network = _with_format(pointwise([1.0, 1.0]), subtract, multiply)
    samples = np.array([0, 255, 3, 4], dtype=np.uint8).reshape(1, 2, 2, 1)
    grid = input_grid(network, samples, 8)
    assert (grid.bits, grid.zero_point) == (expected.bits, expected.zero_point)
    assert grid.scale == pytest.approx(expected.scale)


def test_other_samples_span_the_input_range() -> None:
    grid = input_grid(
        _with_format(pointwise([1.0, 1.0]), 0.0, 1.0), np.array([[[[0.5, 2.0], [1.0, 1.5]]]], np.float32), 8
    )
    assert grid == Grid(8, 2.0 / 255, 0)


def test_refuses_an_allocation_with_gaps() -> None:
    network = pointwise([1.0, 1.0])
    allocation = allocation_of(network, 8, PER_CHANNEL_ICN)
    allocation.activation_bits.pop("out")  # type: ignore[attr-defined]  # it is a dict
    with pytest.raises(RequestError, match="lacks the activation_bits of out"):
        prepare(network, allocation, options=TrainingOptions())


def test_refuses_a_batch_norm_that_divides_by_zero() -> None:
    network = pointwise([1.0, 1.0])
    (layer,) = network.layers
    assert isinstance(layer, Convolution)
    assert layer.batch_norm is not None
    layer.batch_norm.variance[:] = 0.0
    with pytest.raises(InvalidNetwork, match="divides by 0"):
        float_module(network)


def test_the_module_answers_with_real_values_of_its_codes() -> None:
    module, _ = converted(pointwise([1.0, 1.0]), PER_CHANNEL_ICN)
    images = torch.from_numpy(IMAGES)
    codes = module.deployed().codes(images)["out"].flatten(1).double()
    np.testing.assert_allclose(module(images).numpy(), (codes * module.grid("out").scale).numpy(), rtol=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.folding}")
def test_thresholds_are_counted_as_they_are_saved(scheme: Scheme, tmp_path: Path) -> None:
    """Compare counted bytes with the files of each layer, in which directions are int8 and offsets are missing."""
    network = all_kinds(3)
    images = np.random.default_rng(3).normal(size=(8, *network.only_input.shape)).astype(np.float32)
    allocation = random_allocation(network, 3)
    allocation = replace(allocation, schemes=dict.fromkeys(allocation.schemes, scheme))
    integer_network = convert(prepare(network, allocation, images).eval(), RequantizationForm.THRESHOLDS)
    save(integer_network, tmp_path)
    arrays = safetensors.numpy.load((tmp_path / WEIGHTS_FILE).read_bytes())
    book = DeployedAccounting()
    forms = {layer.name: Form.THRESHOLDS for layer in network.weight_layers}
    report = measure(network, allocation, book.with_forms(forms))
    for index, layer in enumerate(network.layers):
        if not isinstance(layer, WeightLayer):
            continue
        (found,) = (each for each in report.layers if each.layer == layer.name)
        structs = descriptor_bytes(layer, network.input_shapes(layer)[0])
        # the C files have int32 directions and an int32 offset for each channel, and zero points of channels in words
        saved = arrays[f"{index}.thresholds"].nbytes + 2 * 4 * arrays[f"{index}.direction"].size
        zero_points = arrays[f"{index}.weight_zero_point"].size
        assert found.parameter_bytes == structs + saved + (whole_words(zero_points) if zero_points > 1 else 0)
        integer_layer = integer_network.layers[index]
        assert isinstance(integer_layer, IntegerConvolution)
        assert found.weight_bytes == pack_weights(integer_layer).nbytes
