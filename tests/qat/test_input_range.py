"""The range of the network's input follows the range setting and the overrides, so that spikes do not decide it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # the package has no type annotations
import pytest
import torch

from deploy.interpreter import quantize_input, trace
from deploy.qdq import onnx_bytes
from network.allocation import Folding, Scheme, WeightScheme
from network.errors import RequestError
from network.layers import RELU, FullyConnected, Shape
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from network.reading import read_network
from qat.calibration import calibrate, input_grid
from qat.conversion import convert
from qat.data.opening import open_dataset
from qat.options.names import RangeSetting, TensorOverride
from qat.options.overrides import overridden
from qat.options.training import TrainingOptions
from qat.prepare import prepare
from qat.quantized_network import QuantizedNetwork
from qat.train import train
from tests.builders import network_of
from tests.qat.small_problem import accuracy_of
from tests.qat.zoo import allocation_of, floats

TROUBLES = Path(__file__).resolve().parents[3] / "shared" / "troubles"
SCHEME = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)


def network() -> Network:
    rng = np.random.default_rng(0)
    layers = [
        FullyConnected(
            name="one", inputs=("input",), output="hidden", output_channels=8, activation=RELU, weight=floats(rng, 8, 6)
        ),
        FullyConnected(name="two", inputs=("hidden",), output="scores", output_channels=3, weight=floats(rng, 3, 8)),
    ]
    return network_of(layers, Shape(6))


def samples(spike: float, every: int = 100) -> np.ndarray:
    """Return values of a standard normal distribution with a spike of either sign in place of every n-th one."""
    values = np.random.default_rng(1).normal(size=(512, 6, 1, 1)).astype(np.float32)
    flat = values.reshape(-1)
    flat[::every] = spike
    flat[every // 2 :: every] = -spike
    return values


def calibrated(options: TrainingOptions, values: np.ndarray) -> QuantizedNetwork:
    module = prepare(network(), allocation_of(network(), 8, SCHEME), options=options)
    calibrate(module, values)
    return module.eval()


def width(module: QuantizedNetwork, tensor: str) -> float:
    return 255 * module.grid(tensor).scale


@pytest.mark.parametrize("spike", [100.0, 1e4, 1e7])
def test_a_percentile_ignores_rare_spikes_of_any_size(spike: float) -> None:
    values = samples(spike)
    options = TrainingOptions(range_setting=RangeSetting.PERCENTILE, range_percentile=97.0)
    of_input = TensorOverride(range_setting=RangeSetting.PERCENTILE, range_percentile=97.0)
    for each in (options, TrainingOptions(overrides={"input": of_input})):
        module = calibrated(each, values)
        assert 3 < width(module, "input") < 8
        usual = calibrated(each, values[np.abs(values).reshape(512, 6).max(axis=1) < spike])
        # What follows is calibrated on clipped inputs, and not on what spikes would give.
        assert 0.3 < width(module, "hidden") / width(usual, "hidden") < 3
    spanned = calibrated(TrainingOptions(range_setting=RangeSetting.MIN_MAX), values)
    assert width(spanned, "input") == pytest.approx(2 * spike)
    other = TrainingOptions(range_setting=RangeSetting.MIN_MAX, overrides={"input": of_input})
    assert width(calibrated(other, values), "input") < 8


def test_the_least_squared_error_is_chosen_at_the_inputs_bits() -> None:
    values = samples(12.0, every=2000)

    def error(setting: RangeSetting) -> float:
        grid = input_grid(network(), values, 4, setting, 99.99)
        steps = np.clip(np.floor(values / grid.scale + 0.5), grid.lowest_step, grid.highest_step)
        return float(np.square(values - steps * grid.scale).sum())

    assert error(RangeSetting.MEAN_SQUARED_ERROR) < 0.7 * error(RangeSetting.MIN_MAX)
    at_default = calibrated(TrainingOptions(), values)
    assert at_default.grid("input") == input_grid(network(), values, 8, RangeSetting.MEAN_SQUARED_ERROR)


@pytest.mark.parametrize("setting", RangeSetting)
def test_bytes_stay_their_own_codes(setting: RangeSetting) -> None:
    whole = network()
    form = InputFormat((6,), subtract=(10.0,), multiply=(0.5,))
    image = replace(whole, inputs=(NetworkInput("input", Shape(6), form),))
    grid = input_grid(image, np.array([[10, 10, 10, 10, 11, 255]], np.uint8), 8, setting, 50.0)
    assert (grid.scale, grid.zero_point) == (0.5, 10)


@pytest.mark.parametrize("sign", [1, -1])
def test_values_of_one_sign_are_cut_at_their_far_end(sign: int) -> None:
    values = sign * np.abs(samples(1000.0))
    grid = input_grid(network(), values, 8, RangeSetting.PERCENTILE, 97.0)
    assert grid.zero_point == (0 if sign > 0 else 255)
    assert 2 < 255 * grid.scale < 4


def test_an_override_of_the_input_has_no_options_of_a_layer() -> None:
    allocation = allocation_of(network(), 8, SCHEME)
    fine = {"input": TensorOverride(range_setting=RangeSetting.PERCENTILE, range_percentile=98.0)}
    assert overridden(network(), allocation, fine) == allocation
    for wrong in ({"folding": Folding.ICN}, {"activation_range": "clipped"}):
        with pytest.raises(RequestError, match="'input' is an input of the network, which no layer writes"):
            overridden(network(), allocation, {"input": TensorOverride.model_validate(wrong)})


@pytest.mark.parametrize("setting", RangeSetting)
def test_the_interpreter_and_the_qdq_model_agree_on_spikes(setting: RangeSetting) -> None:
    values = samples(300.0)
    module = calibrated(TrainingOptions(range_setting=setting, range_percentile=97.0), values)
    integers = convert(module)
    codes = trace(integers, quantize_input(integers, values))
    np.testing.assert_array_equal(
        codes["input"], module.deployed().codes(torch.from_numpy(values))["input"].permute(0, 2, 3, 1).numpy()
    )
    session = onnxruntime.InferenceSession(onnx_bytes(integers))
    given = session.get_inputs()[0]
    (found,) = session.run(None, {given.name: values.reshape(-1, *given.shape[1:])})
    scores = integers.tensors["scores"]
    expected = (codes["scores"].astype(np.float64) - scores.zero_point) * scores.scale
    assert np.abs(found.reshape(512, 3) - expected.reshape(512, 3)).max() <= 1.01 * scores.scale


@pytest.mark.skipif(not TROUBLES.is_dir(), reason="../shared/troubles is missing")
def test_a_sensor_with_spikes() -> None:
    sensor = read_network((TROUBLES / "sensor.onnx").read_bytes(), "sensor")
    override = {sensor.only_input.name: TensorOverride(range_setting=RangeSetting.PERCENTILE, range_percentile=98.0)}
    options = TrainingOptions(epochs=3, threads=1, overrides=override)
    allocation = allocation_of(sensor, 8, SCHEME)
    spikes = train(sensor, allocation, open_dataset(TROUBLES / "spikes.npz"), options)
    clipped = train(sensor, allocation, open_dataset(TROUBLES / "clipped.npz"), options.replace(overrides={}))
    assert accuracy_of(spikes).integer_only_percent > accuracy_of(clipped).integer_only_percent - 5
