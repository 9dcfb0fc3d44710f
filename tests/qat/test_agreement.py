"""Agreement of the integer-only network with the fake-quantized network, its ONNX form, and a naive computation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.arithmetic import CodeArray, quantize
from deploy.integer_network import IntegerConvolution, IntegerNetwork
from deploy.interpreter import quantize_input, trace
from deploy.requantization_form import RequantizationForm
from network.allocation import BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.layers import Activation, Add, Convolution, WeightLayer
from network.network import Network
from qat.calibration import calibrate
from qat.conversion import convert
from qat.options.training import ActivationRange, TrainingOptions
from qat.prepare import prepare
from qat.quantized_network import QuantizedNetwork
from qat.weight_step import WeightStep
from tests.deploy.onnx_runs import RUNTIMES, codes_in, differences
from tests.qat.naive import combined, normalised, sums
from tests.qat.zoo import SCHEMES, all_kinds, allocation_of, random_allocation


def calibrated(
    network: Network, allocation: Allocation, images: npt.NDArray[np.float32], options: TrainingOptions
) -> QuantizedNetwork:
    module = prepare(network, allocation, options=options)
    calibrate(module, images)
    return module


def images_for(network: Network, seed: int, count: int = 16) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, *network.only_input.shape)).astype(np.float32)


def compared(
    module: QuantizedNetwork, images: npt.NDArray[np.float32]
) -> tuple[IntegerNetwork, dict[str, CodeArray], dict[str, CodeArray]]:
    """Compute the codes of each tensor by the interpreter and by the torch module, [n, channels, height, width]."""
    integer_network = convert(module.eval())
    by_interpreter = {
        name: codes.transpose(0, 3, 1, 2)
        for name, codes in trace(integer_network, quantize_input(integer_network, images)).items()
    }
    by_module = {name: codes.numpy() for name, codes in module.deployed().codes(torch.from_numpy(images)).items()}
    return integer_network, by_interpreter, by_module


def assert_agree(by_interpreter: dict[str, CodeArray], by_module: dict[str, CodeArray]) -> None:
    assert list(by_interpreter) == list(by_module)
    for name, codes in by_interpreter.items():
        difference = np.abs(codes.astype(int) - by_module[name].astype(int))
        assert difference.max() <= 1, name
        assert (difference == 0).mean() >= 0.999, name


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), activation_range=st.sampled_from(list(ActivationRange)), trained=st.booleans())
def test_integer_codes_are_the_fake_quantized_codes(
    seed: int, activation_range: ActivationRange, trained: bool
) -> None:
    network = all_kinds(seed)
    images = images_for(network, seed)
    module = calibrated(
        network, random_allocation(network, seed), images, TrainingOptions(activation_range=activation_range)
    )
    if trained:
        step_of_training(module, images, folded=bool(seed % 2))
    _, by_interpreter, by_module = compared(module, images)
    assert_agree(by_interpreter, by_module)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.folding}")
@pytest.mark.parametrize("weight_bits", BITS)
@pytest.mark.parametrize("activation_bits", BITS)
def test_the_same_class_in_every_scheme_folding_and_bit_pair(
    activation_bits: Bits, weight_bits: Bits, scheme: Scheme
) -> None:
    """Checks 200 images with thresholds and with multipliers, gammas of both signs, and channels without variance."""
    network = all_kinds(100 * activation_bits + 10 * weight_bits + SCHEMES.index(scheme))
    images = images_for(network, weight_bits, count=200)
    allocation = replace(
        allocation_of(network, weight_bits, scheme),
        activation_bits=allocation_of(network, activation_bits, scheme).activation_bits,
    )
    module = calibrated(network, allocation, images[:32], TrainingOptions())
    if scheme.folding is Folding.WEIGHTS:
        module.fold()
    integer_network, by_interpreter, by_module = compared(module, images)
    assert_agree(by_interpreter, by_module)
    classes, expected = (codes["logits"].reshape(200, -1).argmax(axis=1) for codes in (by_interpreter, by_module))
    assert (classes == expected).mean() >= 0.999
    thresholds = convert(module, RequantizationForm.THRESHOLDS)
    for name, codes in trace(thresholds, quantize_input(integer_network, images[:20])).items():
        np.testing.assert_array_equal(codes.transpose(0, 3, 1, 2), by_interpreter[name][:20], err_msg=name)


def test_the_networks_above_have_the_special_cases() -> None:
    norms = [
        layer.batch_norm
        for seed in range(20)
        for layer in all_kinds(seed).layers
        if isinstance(layer, Convolution) and layer.batch_norm is not None
    ]
    assert any((norm.gamma < 0).any() for norm in norms)
    assert any((norm.gamma == 0).any() for norm in norms)
    assert any((norm.variance == 0).any() for norm in norms)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_onnxruntime_agrees_within_one_code_on_every_layer_of_a_converted_network(seed: int) -> None:
    """Both compute each layer from the same input codes; onnxruntime computes in float32."""
    network = all_kinds(seed)
    images = images_for(network, seed)
    integer_network = convert(calibrated(network, random_allocation(network, seed), images, TrainingOptions()).eval())
    codes = quantize_input(integer_network, images)
    for runtime in RUNTIMES:
        found = differences(integer_network, codes_in(runtime, integer_network, codes))
        assert max(difference.max() for difference in found.values()) <= 1, runtime
        # With a factor such as 5/68, the last bit of the multiplier decides whether a half is rounded up or down.
        assert np.concatenate([difference.ravel() for difference in found.values()]).mean() <= 0.01, runtime


def test_weights_counted_downwards_and_negative_gammas_reach_every_form() -> None:
    """Negative step sizes and gammas are converted correctly to factors, thresholds, and positive scales in ONNX."""
    scheme = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)
    network = all_kinds(1)
    images = images_for(network, 1)
    module = calibrated(network, allocation_of(network, 2, scheme), images, TrainingOptions())
    integer_network, by_interpreter, by_module = compared(module, images)
    assert_agree(by_interpreter, by_module)
    signs = set()
    for layer in integer_network.layers:
        if isinstance(layer, IntegerConvolution):
            assert layer.weight_zero_point.tolist() == [2]
            factors = np.broadcast_to(layer.requantization.factors, layer.bias.shape)
            scales = np.broadcast_to(layer.weight_scale, layer.bias.shape)
            signs |= {(bool(scale < 0), bool(factor < 0)) for scale, factor in zip(scales, factors, strict=True)}
    assert len(signs) == 4
    for runtime in RUNTIMES:
        found = codes_in(runtime, integer_network, quantize_input(integer_network, images))
        assert all(difference.max() <= 1 for difference in differences(integer_network, found).values())


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.folding}")
@pytest.mark.parametrize("bits", BITS)
def test_every_layer_is_the_rounded_real_computation(bits: Bits, scheme: Scheme) -> None:
    """The codes of each layer equal dequantizing its input codes, computing the float layer in float64, and quantizing.

    Only the rounding of the constants differs: that of the bias, by at most half a step of the accumulator, and what
    narrow constants and 32-bit sums add.
    """
    network = all_kinds(int(bits) + 10 * SCHEMES.index(scheme))
    images = images_for(network, bits)
    module = calibrated(network, allocation_of(network, bits, scheme), images, TrainingOptions())
    if scheme.folding.value == "folding_weights":
        module.fold()
    integer_network, codes, _ = compared(module, images)
    steps = {step.layer.name: step for step in module.weight_steps()}
    for layer in network.layers:
        inputs = [
            (codes[tensor].astype(np.float64) - integer_network.tensors[tensor].zero_point)
            * integer_network.tensors[tensor].scale
            for tensor in layer.inputs
        ]
        target = integer_network.tensors[layer.output]
        slack = np.full((1, 1, 1, 1), 1e-9)  # in steps of the output: float64's own rounding at a tie
        if isinstance(layer, WeightLayer):
            values = real_values(layer, steps[layer.name], inputs[0])
            found = steps[layer.name].deployed(module.grid(layer.inputs[0]), module.grid(layer.output))
            # float32 holds the folded bias and the batch norm; half a step of the accumulator is the bias's rounding
            slack = np.where(found.on_grid, 0.5 * np.abs(found.factor), 0.0).reshape(1, -1, 1, 1) + 1e-4
            slack = slack + found.added_error.reshape(1, -1, 1, 1)
        else:
            if isinstance(layer, Add | Activation):  # each multiplier is rounded to a multiple of 2^-n, n at least 20
                slack = slack + len(inputs) * 255 * 2.0**-21
            values = combined(layer, inputs)
        values = np.clip(values, layer.activation.low, layer.activation.high)
        lowest, highest = (
            quantize(values + sign * slack * target.scale, target.scale, target.zero_point, target.bits)
            for sign in (-1, 1)
        )
        assert (lowest <= codes[layer.output]).all(), layer.name
        assert (codes[layer.output] <= highest).all(), layer.name


def real_values(layer: WeightLayer, step: WeightStep, images: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Compute a layer with weights in real numbers from its dequantized weights, without its activation function."""
    if not step.is_folded:
        weight = step.quantizer(step.learned.weight).detach()
        return normalised(layer, sums(layer, images, weight.double().numpy()))
    folded, bias = step._folded()
    values = sums(layer, images, step.quantizer(folded).detach().double().numpy())
    shifted: npt.NDArray[np.float64] = values + bias.detach().double().numpy().reshape(1, -1, 1, 1)
    return shifted


def test_training_and_evaluation_see_the_same_network() -> None:
    """Training mode and evaluation mode are equal except for rounding, if batch statistics are not used."""
    network = all_kinds(5)
    images = images_for(network, 5, count=32)
    scheme = SCHEMES[2]
    assert scheme.folding.value == "folding_weights"
    module = calibrated(network, allocation_of(network, 8, scheme), images, TrainingOptions())
    module.fold()
    inputs = torch.from_numpy(images)
    in_training = module.train()(inputs).detach()
    in_evaluation = module.eval()(inputs)
    scale = module.grid("logits").scale
    assert (in_training - in_evaluation).abs().max() <= 2.5 * scale
    assert ((in_training - in_evaluation).abs() < scale / 2).float().mean() > 0.8


def step_of_training(module: QuantizedNetwork, images: npt.NDArray[np.float32], *, folded: bool) -> None:
    """Train a few steps, so that ranges and statistics differ from their initial values."""
    if folded:
        module.fold()
    module.train()
    optimizer = torch.optim.SGD([parameter for parameter in module.parameters() if parameter.requires_grad], lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.from_numpy(images)).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        module.keep_valid()
