"""Features of different units: the same function with a normalised input, and integers that keep every feature."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from api.cli.main import run
from network.layers import RELU, Add, Convolution, FullyConnected, Layer, Padding, Shape
from network.network import Network
from qat.data.dataset import to_input_tensor
from qat.data.feature_scales import (
    MIN_CODES,
    can_scale_features,
    feature_extents,
    narrow_feature_warning,
    with_feature_scales,
)
from qat.float_network import FloatNetwork
from tests.builders import network_of, random_batch_norm, with_input_format
from tests.qat.zoo import floats

TROUBLES = Path(__file__).resolve().parents[4] / "shared" / "troubles"
RNG = np.random.default_rng(0)
UNITS = np.array([1e-3, 1.0, 40.0, 5e4], dtype=np.float32)
OFFSETS = np.array([0.0, 20.0, -1e3, 1e5], dtype=np.float32)


def fully_connected(**changes: Any) -> FullyConnected:
    layer = FullyConnected(name="fc", inputs=("input",), output="y", output_channels=3, weight=floats(RNG, 3, 24))
    return replace(layer, **changes)


def convolution(**changes: Any) -> Convolution:
    layer = Convolution(
        name="conv", inputs=("input",), output="z", activation=RELU, output_channels=8, kernel=(2, 3),
        weight=floats(RNG, 8, 4, 2, 3),
    )  # fmt: skip
    return replace(layer, **changes)


def after(layer: Layer) -> list[Layer]:
    reader = FullyConnected(name="last", inputs=(layer.output,), output="y", output_channels=3)
    elements = network_of([layer], SHAPE).shapes[layer.output].elements
    return [layer, replace(reader, weight=floats(RNG, 3, elements))]


SHAPE = Shape(4, 2, 3)
FIRST_LAYERS: dict[str, list[Layer]] = {
    "fully connected": [fully_connected()],
    "with a bias": [fully_connected(bias=floats(RNG, 3))],
    "with a batch norm": [fully_connected(batch_norm=random_batch_norm(RNG, 3))],
    "convolution": after(convolution()),
    "convolution with groups and batch norm": after(
        convolution(groups=2, weight=floats(RNG, 8, 2, 2, 3), batch_norm=random_batch_norm(RNG, 8))
    ),
    "depthwise convolution": after(convolution(groups=4, weight=floats(RNG, 8, 1, 2, 3), bias=floats(RNG, 8))),
    "two readers": [
        fully_connected(output="a"),
        fully_connected(name="other", output="b", weight=floats(RNG, 3, 24)),
        Add(name="sum", inputs=("a", "b"), output="y"),
    ],
}


def samples(count: int = 300) -> np.ndarray:
    """Return samples whose channels have very different units and offsets, float32 [n, 4, 2, 3]."""
    values = np.random.default_rng(1).normal(size=(count, *SHAPE)).astype(np.float32)
    return values * UNITS[:, None, None] + OFFSETS[:, None, None]


def outputs_of(network: Network, values: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        outputs = FloatNetwork(network).eval()(torch.from_numpy(to_input_tensor(values, network)))
    return np.asarray(outputs.double())


@pytest.mark.parametrize("multiply", [(1.0,), (0.5, -2.0, 1.0, 1.0)])
@pytest.mark.parametrize("layers", FIRST_LAYERS.values(), ids=list(FIRST_LAYERS))
def test_the_network_computes_the_same_function(layers: list[Layer], multiply: tuple[float, ...]) -> None:
    network = network_of(layers, SHAPE)
    network = with_input_format(network, replace(network.only_input.format, subtract=(3.0,), multiply=multiply))
    scaled = with_feature_scales(network, samples())
    assert scaled is not network
    expected = outputs_of(network, samples())
    # Both networks compute in float32, in which sums of values near 1e5 have errors of 0.01.
    np.testing.assert_allclose(outputs_of(scaled, samples()), expected, atol=2e-6 * np.abs(expected).max())
    inputs = to_input_tensor(samples(), scaled)
    ends = np.percentile(inputs.transpose(1, 0, 2, 3).reshape(4, -1), [0.5, 99.5], axis=1)
    np.testing.assert_allclose(np.abs(ends), 1.0, atol=0.02)
    assert with_feature_scales(scaled, samples()) is scaled, "once is enough"


def test_networks_whose_features_have_one_unit_stay_as_they_are() -> None:
    network = network_of([fully_connected()], SHAPE)
    alike = samples() / UNITS[:, None, None] - (OFFSETS / UNITS)[:, None, None]
    for values in (alike, alike.clip(0), (alike * 30 + 128).clip(0, 255)):
        assert with_feature_scales(network, values.astype(np.float32)) is network
    as_bytes = np.zeros((5, 2, 3, 4), dtype=np.uint8)
    as_bytes[..., 0] = 200
    assert with_feature_scales(network, as_bytes) is network
    not_finite = samples()
    not_finite[3, 2, 1, 1] = np.nan
    assert with_feature_scales(network, not_finite) is network
    of_quantized_file = replace(network, ranges={"input": (-1.0, 1.0)})
    assert with_feature_scales(of_quantized_file, samples()) is of_quantized_file
    assert with_feature_scales(network, samples()[:, :3]) is network


def test_one_channel_far_from_zero_is_moved() -> None:
    values = np.random.default_rng(2).normal(1000.0, 1.0, (50, 1, 2, 3)).astype(np.float32)
    network = network_of([fully_connected(weight=floats(RNG, 3, 6))], Shape(1, 2, 3))
    scaled = with_feature_scales(network, values)
    assert scaled.only_input.format.subtract[0] == pytest.approx(1000.0, abs=1.0)


def test_rare_and_constant_features_have_finite_scales() -> None:
    values = samples()
    values[:, 0] = 0.0
    values[::150, 0] = 1.0
    values[:, 1] = 7.0
    scaled = with_feature_scales(network_of([fully_connected()], SHAPE), values)
    inputs = to_input_tensor(values, scaled)
    assert (inputs[:, 0].min(), inputs[:, 0].max()) == (-1.0, 1.0)
    assert (inputs[:, 1] == 0.0).all()


@pytest.mark.parametrize(
    "layers",
    [
        after(convolution(padding=Padding(0, 1, 0, 1))),
        [*after(convolution()), Add(name="sum", inputs=("input", "input"), output="twice")],
        [replace(fully_connected(), weight=None)],
    ],
    ids=["padding", "another layer", "no weights"],
)
def test_other_networks_get_a_warning(layers: list[Layer]) -> None:
    network = network_of(layers, SHAPE, outputs=("y",) if len(layers) < 3 else ("y", "twice"))
    assert not can_scale_features(network, "input")
    assert with_feature_scales(network, samples()) is network
    warning = narrow_feature_warning(network, samples(), network.only_input)
    assert warning is not None
    assert "the channels of the input have different units: 0 (-0.002" in warning
    assert "3 of 4" not in warning
    assert "normalise each channel by its own mean and scale" in warning


def test_codes_are_those_of_one_scale_for_all_features() -> None:
    values = np.array([[[[-1.0]], [[0.0]]], [[[1.0]], [[14.9375]]]], dtype=np.float32)
    network = network_of([fully_connected(weight=floats(RNG, 3, 2))], Shape(2, 1, 1))
    extents = feature_extents(network, np.repeat(values, 300, axis=0), network.only_input)
    assert extents is not None
    np.testing.assert_allclose(extents.codes, [2 / 15.9375 * 255, 14.9375 / 15.9375 * 255])
    assert extents.codes[0] == MIN_CODES
    assert not extents.narrow


@pytest.mark.skipif(not TROUBLES.is_dir(), reason="needs ../shared/troubles")
def test_a_sensor_with_raw_units_keeps_its_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["train", str(TROUBLES / "sensor_raw.onnx"), f"--data={TROUBLES / 'raw_units.npz'}",
             f"--out={tmp_path / 'out'}", "--flash=1MB", "--ram=1MB", "--epochs=5", "--json"]  # fmt: skip
    assert run(given) == 0
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    assert accuracy["float"] == 100.0
    assert accuracy["integer_only"] > 97.0
    saved = json.loads((tmp_path / "out" / "network.json").read_text())["input"]
    assert len(saved["subtract"]) == len(saved["multiply"]) == 6
