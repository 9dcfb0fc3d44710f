"""Layers whose output is nearly constant: ReLUs that never fire, and tiny weights under a large bias."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.arithmetic import INT32_MAX
from deploy.interpreter import quantize_input, trace
from deploy.requantization_form import RequantizationForm
from network.allocation import Bits, Scheme
from network.layers import RELU, Add, AveragePool, Concat, Convolution, FullyConnected, Layer, MaxPool, Shape
from network.network import Network
from network.reading import read_network
from qat.calibration import calibrate
from qat.conversion import convert
from qat.narrow_encoding import MAX_CONSTANT_SPREAD
from qat.options.training import TrainingOptions
from qat.prepare import prepare
from qat.requantization_factors import LARGEST_FACTOR, limited, limited_of_sum
from tests.builders import network_of
from tests.qat.zoo import SCHEMES, allocation_of, floats

SHARED = Path(__file__).resolve().parents[3] / "shared"
IMAGES = np.random.default_rng(1).uniform(-1, 1, (32, 3, 4, 4)).astype(np.float32)


def branches(scale: float, bias: float, *, then: str = "add") -> Network:
    """Return a network of a branch with these weights and this bias, and a usual one, which are joined."""
    rng = np.random.default_rng(0)

    def convolution(name: str, source: str, inputs: int, scale: float, bias: float | None) -> Convolution:
        return Convolution(
            name=name, inputs=(source,), output=f"{name}.out", output_channels=4, kernel=(1, 1), activation=RELU,
            weight=floats(rng, 4, inputs, 1, 1, scale=scale),
            bias=None if bias is None else (bias * np.array([1, 0.5, 0.3, 0.1])).astype(np.float32),
        )  # fmt: skip

    layers: list[Layer] = [convolution("odd", "input", 3, scale, bias), convolution("usual", "input", 3, 0.5, None)]
    if then == "pools":  # a chain of layers that only read the constant
        layers.append(MaxPool(name="max", inputs=("odd.out",), output="largest", kernel=(2, 2)))
        layers.append(AveragePool(name="mean", inputs=("largest",), output="small", kernel=(3, 3)))
        layers.append(convolution("after", "small", 4, 0.5, 2.0))
        layers.append(AveragePool(name="usual mean", inputs=("usual.out",), output="mean.out", kernel=(4, 4)))
        layers.append(Concat(name="join", inputs=("after.out", "mean.out"), output="joined"))
    elif then == "concat":
        layers.append(Concat(name="join", inputs=("odd.out", "usual.out"), output="joined"))
    else:
        layers.append(Add(name="join", inputs=("odd.out", "usual.out"), output="joined", activation=RELU))
    weight = floats(rng, 3, {"add": 64, "concat": 128, "pools": 8}[then], scale=0.1)
    layers.append(FullyConnected(name="scores", inputs=("joined",), output="scores", output_channels=3, weight=weight))
    return network_of(layers, Shape(3, 4, 4))


def largest_differences(
    network: Network, images: np.ndarray, bits: Bits, scheme: Scheme, form: RequantizationForm
) -> dict[str, int]:
    """Return the largest difference between the integer-only and the fake-quantized network, in codes, by tensor."""
    module = prepare(network, allocation_of(network, bits, scheme), options=TrainingOptions())
    calibrate(module, images)
    integers = convert(module.eval(), form)
    codes = trace(integers, quantize_input(integers, images))
    expected = module.deployed().codes(torch.from_numpy(images))
    return {
        tensor: int(np.abs(codes[tensor].astype(int) - each.permute(0, 2, 3, 1).numpy()).max())
        for tensor, each in expected.items()
    }


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.folding}")
@pytest.mark.parametrize("then", ["add", "concat", "pools"])
@pytest.mark.parametrize(("scale", "bias"), [(0.5, -50.0), (1e-9, 5.0), (1e-30, 5.0), (0.0, 3.0), (1e-12, -1e-9)])
def test_the_integers_agree_with_the_fake_quantized_network(
    scale: float, bias: float, then: str, scheme: Scheme
) -> None:
    for bits in (8, 4, 2):
        network = branches(scale, bias, then=then)
        found = largest_differences(network, IMAGES, bits, scheme, RequantizationForm.MULTIPLIER)
        assert max(found.values()) <= 2, found


@pytest.mark.parametrize(("scale", "bias"), [(0.5, -50.0), (1e-9, 5.0)])
def test_thresholds_agree_too(scale: float, bias: float) -> None:
    for scheme in SCHEMES:
        found = largest_differences(branches(scale, bias), IMAGES, 4, scheme, RequantizationForm.THRESHOLDS)
        assert max(found.values()) <= 2, found


def test_a_layer_that_never_fires_is_the_constant_zero() -> None:
    network = branches(0.5, -50.0)
    module = prepare(network, allocation_of(network, 8, SCHEMES[0]), options=TrainingOptions())
    calibrate(module, IMAGES)
    integers = convert(module.eval())
    assert not trace(integers, quantize_input(integers, IMAGES))["odd.out"].any()


@pytest.mark.parametrize("factor", [2.0**31, 4e16, -1e30, 1e290])
def test_a_limited_factor_saturates_the_same_accumulators(factor: float) -> None:
    accumulators = np.array([-INT32_MAX, -300, -1, 0, 1, 300, INT32_MAX])
    for each in (factor, limited(factor)[0]):
        assert np.clip(accumulators * each, -255, 255).tolist() == (np.sign(accumulators * factor) * 255).tolist()
    assert abs(limited(factor)[0]) == LARGEST_FACTOR
    assert np.isinf(limited([np.inf, 1.0])[0])
    largest = np.sign(factor) * LARGEST_FACTOR
    np.testing.assert_allclose(limited_of_sum([factor, factor / 4, 0]), [largest, largest / 4, 0])
    assert limited_of_sum([0.5, -3.0]).tolist() == [0.5, -3.0]
    assert MAX_CONSTANT_SPREAD == 2


FILES = ["troubles/dead_branch.onnx", "troubles/tiny_weights.onnx", "networks/minimal/dead_relu_layer.onnx"]


@pytest.mark.skipif(not (SHARED / "troubles").is_dir(), reason="../shared/troubles is missing")
@pytest.mark.parametrize("file", FILES)
def test_the_networks_of_the_troubles(file: str) -> None:
    network = read_network((SHARED / file).read_bytes(), "trouble")
    shape = network.only_input.shape
    images = np.random.default_rng(2).uniform(-1, 1, (64, shape.channels, shape.height, shape.width))
    for scheme in SCHEMES:
        found = largest_differences(network, images.astype(np.float32), 8, scheme, RequantizationForm.MULTIPLIER)
        assert max(found.values()) <= 2, (scheme, found)
