"""Images as bytes: simulation, interpreter, files and onnxruntime use the same input codes, whatever the format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import bitbudget
from deploy.files import load, save
from deploy.input_codes import codes_of_bytes, distance_from_half, is_identity
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import quantize_input, run
from deploy.qdq import onnx_bytes
from network.allocation import Allocation, Bits, Folding, Scheme, WeightScheme
from network.layers import RELU, Convolution, FullyConnected, Padding, Shape
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from qat.calibration import calibrate, input_grid
from qat.conversion import convert
from qat.data.batches import tensor_of
from qat.data.integer_input import input_codes
from qat.prepare import prepare
from qat.quantized_network import QuantizedNetwork
from tests.deploy.onnx_runs import RUNTIMES, Runtime, session
from tests.qat.zoo import allocation_of, floats

SCHEME = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)
SYMMETRIC = InputFormat((12, 12, 3), channels_last=True, subtract=(127.5,), multiply=(1 / 127.5,))
FORMATS = {
    "x / 127.5 - 1": SYMMETRIC,
    "x / 127.5 - 1 in float32": replace(SYMMETRIC, subtract=(float(np.float32(127.5001)),), multiply=(0.00784314,)),
    "x - 128": replace(SYMMETRIC, subtract=(128.0,), multiply=(1 / 128,)),
    "x / 255": replace(SYMMETRIC, subtract=(0.0,), multiply=(1 / 255,)),
    "mean and std": replace(
        SYMMETRIC, subtract=(123.675, 116.28, 103.53), multiply=(1 / 58.395, 1 / 57.12, 1 / 57.375)
    ),
    "means": replace(SYMMETRIC, subtract=(103.939, 116.779, 123.68), multiply=(1.0,)),
    "channels first": replace(SYMMETRIC, dims=(3, 12, 12), channels_last=False),
}


def network_with(input_format: InputFormat) -> Network:
    rng = np.random.default_rng(4)
    layers = (
        Convolution(
            name="conv", inputs=("input",), output="image", activation=RELU, output_channels=8, kernel=(3, 3),
            padding=Padding(1, 1, 1, 1), weight=floats(rng, 8, 3, 3, 3),
        ),
        FullyConnected(
            name="fc", inputs=("image",), output="scores", output_channels=10, weight=floats(rng, 10, 8 * 144)
        ),
    )  # fmt: skip
    return Network("bytes", (NetworkInput("input", Shape(3, 12, 12), input_format),), layers, ("scores",))


def images(count: int = 64) -> np.ndarray:
    values = np.random.default_rng(5).integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)
    values.reshape(count, -1)[:, :256] = np.arange(256)
    return values


def prepared(input_format: InputFormat, bits: Bits = 8) -> QuantizedNetwork:
    network = network_with(input_format)
    allocation = allocation_of(network, 8, SCHEME)
    allocation = Allocation(allocation.weight_bits, {**allocation.activation_bits, "input": bits}, allocation.schemes)
    module = prepare(network, allocation)
    calibrate(module, images())
    return module.eval()


def outputs_of_onnxruntime(
    runtime: Runtime, integers: IntegerNetwork, real: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the input codes [n, height, width, channels] and the first output that onnxruntime computes."""
    model = onnx.load_from_string(onnx_bytes(integers, narrow_types=runtime.narrow_types))
    known = {each.name: each for each in model.graph.value_info}
    model.graph.output.append(known["input dequantized"])
    values, scores = session(model, runtime).run(["input dequantized", "scores"], {"input": real})
    tensor = integers.tensors["input"]
    return np.round(values / np.float32(tensor.scale) + tensor.zero_point).transpose(0, 2, 3, 1), scores


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("form", FORMATS)
def test_every_part_computes_the_same_input_codes(form: str, bits: Bits, tmp_path: Path) -> None:
    module, samples = prepared(FORMATS[form], bits), images()
    integers = convert(module)
    save(integers, tmp_path)
    integers = load(tmp_path)
    codes = input_codes(integers, samples)["input"]
    np.testing.assert_array_equal(bitbudget.input_codes(integers, samples), codes)
    real = tensor_of(samples, module.network)
    np.testing.assert_array_equal(quantize_input(integers, real.numpy()), codes, err_msg="rounded real values")
    simulated = module.deployed().codes(real)["input"].permute(0, 2, 3, 1)
    np.testing.assert_array_equal(simulated, codes, err_msg="simulation of the device")
    grid = module.grid("input")
    trained = module.range_of("input")(real) / grid.scale + grid.zero_point
    np.testing.assert_array_equal(torch.round(trained).permute(0, 2, 3, 1), codes, err_msg="training")
    of_interpreter = run(integers, codes)["scores"].reshape(len(samples), -1).argmax(1)
    for runtime in RUNTIMES:
        found, scores = outputs_of_onnxruntime(runtime, integers, np.ascontiguousarray(real.numpy()))
        np.testing.assert_array_equal(found, codes, err_msg="onnxruntime")
        # Different sums round differently by one code in rare cases; the largest score is then still as large.
        assert (scores.reshape(len(samples), -1).argmax(1) == of_interpreter).mean() > 0.95


@pytest.mark.parametrize("form", ["x / 127.5 - 1", "x / 127.5 - 1 in float32", "x - 128", "x / 255", "channels first"])
def test_bytes_are_their_own_codes(form: str) -> None:
    integers = convert(prepared(FORMATS[form]))
    assert integers.only_input.format.samples_are_bytes
    assert is_identity(codes_of_bytes(integers.only_input.format, integers.tensors["input"]))


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("form", ["mean and std", "means"])
def test_no_byte_is_at_a_half_where_it_can_be_avoided(form: str, bits: Bits) -> None:
    network = network_with(FORMATS[form])
    grid = input_grid(network, images(), bits)
    assert distance_from_half(network.only_input.format, grid.scale) >= 2.0**-11
    of_floats = input_grid(network, images().astype(np.float32), bits)
    assert grid.zero_point == of_floats.zero_point
    assert 0 <= (grid.scale / of_floats.scale - 1) * (2**bits - 1) <= 1 / 16


def test_samples_that_are_not_bytes_have_no_table() -> None:
    network = network_with(SYMMETRIC)
    module = prepare(network, allocation_of(network, 8, SCHEME))
    calibrate(module, images().astype(np.float32))
    assert not convert(module.eval()).only_input.format.samples_are_bytes
