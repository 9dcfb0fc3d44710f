"""Warnings about the values of the input: rare spikes, and sets that calibration has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from network.layers import FullyConnected, Padding, Shape
from network.reading import read_network
from qat.data.dataset import Dataset, NoSamples
from qat.data.opening import open_dataset
from qat.options.names import RangeSetting, TensorOverride
from qat.options.training import TrainingOptions
from qat.quantizers.fake_quantize import Grid
from qat.train import train
from qat.training.input_warnings import outside_warning, spike_warning
from tests.builders import network_of
from tests.qat.data.test_feature_scales import after, convolution
from tests.qat.test_input_range import SCHEME
from tests.qat.zoo import allocation_of, floats

TROUBLES = Path(__file__).resolve().parents[4] / "shared" / "troubles"
CALIBRATED = TrainingOptions(epochs=0, threads=1)
VALUES = np.random.default_rng(0).normal(size=(400, 6, 1, 1)).astype(np.float32)


def warnings_of(dataset: Dataset, options: TrainingOptions = CALIBRATED) -> tuple[str, ...]:
    layer = FullyConnected(
        name="fc", inputs=("input",), output="y", output_channels=3, weight=floats(np.random.default_rng(1), 3, 6)
    )
    network = network_of([layer], Shape(6))
    return without_overlap(train(network, allocation_of(network, 8, SCHEME), dataset, options).warnings)


def without_overlap(warnings: tuple[str, ...]) -> tuple[str, ...]:
    """Return the warnings without that about test samples which are training samples, as they are here."""
    return tuple(each for each in warnings if "exactly equal to training samples" not in each)


def dataset(test: np.ndarray, training: np.ndarray = VALUES) -> Dataset:
    return Dataset("values", training, None, test.astype(np.float32), None)


def test_usual_samples_get_no_warning() -> None:
    assert warnings_of(dataset(VALUES[::-1])) == ()
    assert warnings_of(dataset(VALUES * 0.1)) == ()
    assert warnings_of(Dataset("values", VALUES, None, NoSamples(np.dtype(np.float32), (6, 1, 1)), None)) == ()


@pytest.mark.parametrize("test", [VALUES * 20, VALUES + 50, np.concatenate([VALUES, VALUES[:40] * 200])])
def test_a_test_set_of_another_range_is_named(test: np.ndarray) -> None:
    (warning,) = warnings_of(dataset(test))
    assert "% of the input values of the test samples are far outside -" in warning
    assert "(0.0 % of theirs)" in warning
    assert "check that both have the same preprocessing" in warning


def test_the_share_is_that_of_the_values() -> None:
    seen, values = np.linspace(0, 1, 101), np.linspace(0, 4, 400, dtype=np.float32)
    grid = Grid(8, 1 / 255, 0)
    warning = outside_warning("held-out", grid, seen.astype(np.float32), values)
    assert warning is not None
    assert warning.startswith(f"{100 * (values > 1.125).mean():.1f} % of the input values of the held-out samples")
    assert outside_warning("held-out", grid, values, values) is None, "calibration has seen them"


def test_spikes_are_named_with_the_option_that_helps() -> None:
    values = VALUES.copy().reshape(-1)
    values[::61] = 600.0
    values[30::61] = -600.0
    spiky = values.reshape(VALUES.shape)
    (warning,) = warnings_of(dataset(spiky, spiky))
    assert 'overrides: {"input": {"range_setting": "percentile", "range_percentile": 9' in warning
    assert "1 of 256 codes" in warning
    override = TensorOverride(range_setting=RangeSetting.PERCENTILE, range_percentile=96.0)
    assert warnings_of(dataset(spiky, spiky), CALIBRATED.replace(overrides={"input": override})) == ()
    assert spike_warning("input", Grid(4, 1.0, 8), VALUES) is None, "fewer bits were chosen"
    assert spike_warning("input", Grid(8, 1.0, 8), np.zeros((3, 1), np.float32)) is None
    assert spike_warning("input", Grid(8, 1.0, 0), np.arange(17, dtype=np.float32)) is None, "the values are codes"


def test_channels_of_different_units_before_padding_are_named() -> None:
    shape = Shape(4, 2, 3)
    network = network_of(after(convolution(padding=Padding(0, 1, 0, 1))), shape)
    values = np.random.default_rng(0).normal(size=(60, *shape)).astype(np.float32)
    values[:, 2] *= 1000
    found = Dataset("units", values, None, values, None)
    (warning,) = without_overlap(train(network, allocation_of(network, 8, SCHEME), found, CALIBRATED).warnings)
    assert "the channels of the input have different units: 0 (-2" in warning


@pytest.mark.skipif(not TROUBLES.is_dir(), reason="needs ../shared/troubles")
def test_the_spikes_of_the_trouble_are_named() -> None:
    network = read_network((TROUBLES / "sensor.onnx").read_bytes(), "sensor")
    allocation = allocation_of(network, 8, SCHEME)
    for name, is_named in (("spikes", True), ("clipped", False)):
        found = train(network, allocation, open_dataset(TROUBLES / f"{name}.npz"), CALIBRATED).warnings
        assert any("rare values widen" in each for each in found) == is_named
