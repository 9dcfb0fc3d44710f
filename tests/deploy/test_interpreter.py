"""The interpreter, compared with Python integers element by element, and at the limits of its number types."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from deploy import interpreter
from deploy.arithmetic import Requantization, quantize, top_code
from deploy.convolution import FLOAT32_EXACT, ConvolutionExecutor
from deploy.integer_network import IntegerConvolution, IntegerNetwork, IntegerTensor
from deploy.interpreter import quantize_input, quantize_inputs, real_values, run, trace
from deploy.proof import product_bound
from network.errors import ConversionError, DatasetError
from network.joined_samples import joined
from network.layers import Flattening, Padding, Shape
from network.network_input import InputFormat, NetworkInput
from tests.deploy.naive_interpreter import interpret
from tests.deploy.random_networks import SCHEMES, Builder, builders


@settings(max_examples=300, deadline=None)
@given(builders())
def test_every_tensor_equals_the_naive_interpreters(builder: Builder) -> None:
    network, codes = builder.network(), builder.input_codes(2)
    traced = trace(network, codes)
    assert list(traced) == list(network.tensors)
    for image in range(2):
        given = {name: each[image].tolist() for name, each in codes.items()}
        for name, expected in interpret(network, given).items():
            assert traced[name][image].tolist() == expected, name
    outputs = run(network, codes)
    assert tuple(outputs) == network.outputs
    for name, values in outputs.items():
        np.testing.assert_array_equal(values, traced[name])


def test_batches_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = Builder(np.random.default_rng(1), Shape(3, 9, 8))
    wide = builder.convolution("input", 6, (3, 3), padding=Padding(1, 0, 2, 1))
    deep = builder.convolution(wide, 6, (3, 3), groups=6, padding=Padding(1, 1, 1, 1))
    grouped = builder.convolution(deep, 6, (2, 3), groups=3, stride=(2, 1))
    builder.fully_connected(builder.pool(grouped, (2, 2), (2, 2), average=True), 5)
    network, codes = builder.network(), builder.codes(7)
    whole = trace(network, codes)
    monkeypatch.setattr(interpreter, "BATCH_BYTES", 3 * 8 * 9 * 8 * 6)  # three images at a time
    monkeypatch.setattr("deploy.convolution.BLOCK_BYTES", 4096)  # a few output rows at a time
    parts = trace(network, codes)
    for name, values in whole.items():
        np.testing.assert_array_equal(parts[name], values, err_msg=name)


def peak_bytes(layers: int, images: int) -> int:
    """Return the peak memory of a run of a chain with a small output, without its input."""
    builder = Builder(np.random.default_rng(6), Shape(16, 16, 16))
    tensor = "input"
    for _ in range(layers):
        tensor = builder.add(tensor)
    builder.fully_connected(tensor, 1)
    network, codes = builder.network(), builder.codes(images)
    tracemalloc.start()
    run(network, codes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_grows_neither_with_the_layers_nor_with_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.workers.core_count", lambda: 1)
    monkeypatch.setattr(interpreter, "BATCH_BYTES", 2**22)
    monkeypatch.setattr("deploy.convolution.BLOCK_BYTES", 2**18)
    few = peak_bytes(layers=2, images=128)  # one batch
    assert few < 4 * 2**22
    assert peak_bytes(layers=40, images=128) < 1.3 * few
    assert peak_bytes(layers=2, images=640) < 1.3 * few


def test_no_images_give_no_codes() -> None:
    builder = Builder(np.random.default_rng(2), Shape(2, 4, 4))
    output = builder.convolution("input", 3, (3, 3))
    assert run(builder.network(), builder.codes(0))[output].shape == (0, 2, 2, 3)


def one_sum(weights: list[int], bias: int = 0) -> IntegerNetwork:
    """Return a network that computes the sum of q_x * w + bias over 8-bit codes, with factor 1 and zero point 7."""
    codes = np.array(weights, np.uint8)
    channels = codes.size
    tensors = {
        "input": IntegerTensor("input", Shape(channels), 8, 1.0, 0),
        "output": IntegerTensor("output", Shape(1), 8, 1.0, 7),
    }
    layer = IntegerConvolution(
        name="sum", inputs=("input",), output="output", codes=codes.reshape(1, 1, 1, channels),
        weight_bits=8, weight_zero_point=np.array([0], np.int32), bias=np.array([bias], np.int32),
        requantization=Requantization(np.array([1], np.int32), np.array([0], np.int8)), scheme=SCHEMES[0],
        weight_scale=np.array([1.0]),
    )  # fmt: skip
    given = NetworkInput("input", Shape(channels), InputFormat((channels,)))
    return IntegerNetwork("border", (given,), tensors, (layer,), ("output",))


# 255 * (258 * 255 + 3) = 2^24 - 1: a weight that is larger by one step exceeds float32's exact range.
@pytest.mark.parametrize(
    ("weights", "bound", "sum_type"),
    [
        ([255] * 258 + [2], 255 * (258 * 255 + 2), np.float32),
        ([255] * 258 + [3], 255 * (258 * 255 + 3), np.float32),
        ([255] * 258 + [4], 255 * (258 * 255 + 4), np.float64),
    ],
)
def test_float32_is_used_up_to_2_to_the_24_and_no_further(
    weights: list[int], bound: int, sum_type: type[np.floating]
) -> None:
    network = one_sum(weights)
    (layer,) = network.layers
    assert isinstance(layer, IntegerConvolution)
    assert product_bound(layer, network.tensors["input"]) == bound
    assert (bound <= FLOAT32_EXACT) == (sum_type is np.float32)
    executor = ConvolutionExecutor(layer, network.tensors["input"], network.tensors["output"])
    assert executor.sum_type is sum_type


@pytest.mark.parametrize("extra", [0, 1, 3, 4, 200])
def test_sums_around_2_to_the_24_are_exact(extra: int) -> None:
    """The result depends on the last bit: the bias reduces the sum to 100, and the factor is 1."""
    weights = [255] * 258 + [extra]
    codes = np.full((1, 1, 1, 259), 255, np.uint8)
    codes[0, 0, 0, 0] = 254
    total = int((codes.astype(np.int64).ravel() * np.array(weights)).sum())
    network = one_sum(weights, bias=-total + 100)
    assert run(network, codes)["output"].item() == 107
    assert interpret(network, {"input": codes[0].tolist()})["output"] == [[[107]]]


def test_a_layer_that_could_overflow_is_refused() -> None:
    network = one_sum([255] * 40_000)
    with pytest.raises(ConversionError, match=r"layer 'sum' .* 2601000000.*int32 holds at most 2147483647"):
        run(network, np.zeros((1, 1, 1, 40_000), np.uint8))


def test_input_codes_are_checked() -> None:
    builder = Builder(np.random.default_rng(3), Shape(2, 4, 5), bits=4)
    builder.convolution("input", 3, (3, 3))
    network, codes = builder.network(), builder.codes(1)
    wide: Any = codes.astype(np.int64)
    for wrong in (wide, codes[0], codes[:, :, :4], codes.transpose(0, 3, 1, 2)):
        with pytest.raises(ValueError, match=r"uint8 codes of shape \[n, 4, 5, 2\]"):
            run(network, wrong)
    codes[0, 1, 2, 1] = 16
    with pytest.raises(ValueError, match="4 bits, but its largest code is 16; expected at most 15"):
        run(network, codes)


def test_codes_of_several_inputs_are_checked() -> None:
    builder = Builder(np.random.default_rng(3), Shape(2, 4, 5))
    vector = builder.add_input(Shape(3))
    builder.concat("input", vector, flattening=Flattening.CHANNELS_LAST)
    network, codes = builder.network(), builder.input_codes(2)
    assert run(network, codes)["concat0"].shape == (2, 1, 1, 43)
    with pytest.raises(ValueError, match=r"codes of the inputs \['input'\] were given; expected .* input, input2"):
        run(network, {"input": codes["input"]})
    in_order = run(network, list(codes.values()))
    np.testing.assert_array_equal(in_order["concat0"], run(network, codes)["concat0"])
    with pytest.raises(ValueError, match="codes of 1 inputs were given; expected codes of 2"):
        run(network, [codes["input"]])
    with pytest.raises(ValueError, match="1 and 2 samples"):
        run(network, codes | {vector: codes[vector][:1]})
    with pytest.raises(ConversionError, match="2 inputs; expected a network with one input"):
        run(network, codes["input"])


def test_samples_of_several_inputs_become_the_codes_of_each() -> None:
    builder = Builder(np.random.default_rng(4), Shape(2, 4, 5))
    vector = builder.add_input(Shape(3))
    builder.concat("input", vector, flattening=Flattening.CHANNELS_LAST)
    network, codes = builder.network(), builder.input_codes(6)
    values = joined([real_values(network, name, each) for name, each in codes.items()]).astype(np.float32)
    found = quantize_inputs(network, values)
    assert list(found) == ["input", vector]
    for name, each in codes.items():
        np.testing.assert_array_equal(found[name], each)
    with pytest.raises(DatasetError, match=r"shape \[n, 43\], its inputs joined, but .* \[6, 40\]"):
        quantize_inputs(network, values[:, :40])
    values[3, 41] = np.nan
    with pytest.raises(DatasetError, match="NaN"):
        quantize_inputs(network, values)


def test_real_values_and_codes_are_inverse() -> None:
    builder = Builder(np.random.default_rng(4), Shape(3, 4, 5))
    builder.convolution("input", 3, (3, 3))
    network, codes = builder.network(), builder.codes(6)
    values = real_values(network, "input", codes)
    tensor = network.tensors["input"]
    assert values.shape == (6, 3, 4, 5)
    assert values[1, 2, 3, 4] == tensor.scale * (int(codes[1, 3, 4, 2]) - tensor.zero_point)
    np.testing.assert_array_equal(quantize_input(network, values.astype(np.float32)), codes)


def test_samples_are_checked_and_clamped() -> None:
    builder = Builder(np.random.default_rng(5), Shape(1, 1, 4), bits=2)
    builder.fully_connected("input", 2)
    network = builder.network()
    tensor = network.tensors["input"]
    samples = np.array([-1e9, 0.0, tensor.scale, 1e9], np.float32).reshape(1, 1, 1, 4)
    expected = [0, tensor.zero_point, min(tensor.zero_point + 1, 3), 3]
    assert quantize_input(network, samples).ravel().tolist() == expected
    assert quantize(samples, tensor.scale, tensor.zero_point, 2).max() <= top_code(2)
    with pytest.raises(DatasetError, match=r"shape \[n, 1, 1, 4\], but the samples have the shape \[1, 4\]"):
        quantize_input(network, samples.reshape(1, 4))
    with pytest.raises(DatasetError, match="NaN"):
        quantize_input(network, np.full((1, 1, 1, 4), np.nan, np.float32))
