"""Warnings about a float network that is no better than a trivial predictor, for each task other than classes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from network.layers import Convolution, FullyConnected, Shape
from network.network import Network
from qat.data.dataset import Dataset, NoSamples
from qat.options.task import TaskKind
from qat.options.training import TrainingOptions
from qat.train import train
from tests.builders import network_of
from tests.qat.small_problem import PER_CHANNEL_ICN
from tests.qat.zoo import allocation_of

Array = npt.NDArray[Any]
RNG = np.random.default_rng(8)
CALIBRATED = TrainingOptions(epochs=0, calibration_samples=32, distillation=0.0)
COUNT, VALUES, SIDE = 200, 4, 6


def dense(outputs: int) -> Network:
    """Return a network whose output i is the i-th input."""
    weight = np.eye(outputs, VALUES, dtype=np.float32)
    layer = FullyConnected(name="f", inputs=("input",), output="out", output_channels=outputs, weight=weight)
    return network_of([layer], Shape(VALUES, 1, 1))


def image(channels: int) -> Network:
    """Return a network whose output channel i is the i-th input channel."""
    layer = Convolution(
        name="c", inputs=("input",), output="out", output_channels=channels, kernel=(1, 1),
        weight=np.eye(channels, VALUES, dtype=np.float32)[:, :, None, None],
    )  # fmt: skip
    return network_of([layer], Shape(VALUES, SIDE, SIDE))


VECTORS = RNG.normal(size=(COUNT, VALUES, 1, 1)).astype(np.float32)
FLAT = VECTORS.reshape(COUNT, VALUES)
MAPS = RNG.normal(size=(COUNT, VALUES, SIDE, SIDE)).astype(np.float32)


def warnings_of(
    network: Network, x: Array, y: Array, test_y: Array | None = None, options: TrainingOptions = CALIBRATED
) -> tuple[str, ...]:
    half = len(x) // 2
    dataset = Dataset("x", x[:half], y[:half], x[half:], y[half:] if test_y is None else test_y)
    return train(network, allocation_of(network, 8, PER_CHANNEL_ICN), dataset, options).warnings


GOOD: dict[str, tuple[Network, Array, Array]] = {
    "regression": (dense(2), VECTORS, FLAT[:, :2] + 0.1),
    "two classes": (dense(1), VECTORS, (FLAT[:, 0] > 0).astype(np.int64)),
    "labels": (dense(3), VECTORS, (FLAT[:, :3] > 0.5).astype(np.uint8)),
    "images": (image(2), MAPS, MAPS[:, :2] * 1.1),
    "pixels": (image(3), MAPS, MAPS[:, :3].argmax(axis=1).astype(np.uint8)),
    "pixels of one logit": (image(1), MAPS, (MAPS[:, 0] > 0).astype(np.uint8)),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_network_gets_no_warning(name: str) -> None:
    assert warnings_of(*GOOD[name]) == ()


BAD: dict[str, tuple[Network, Array, Array, str]] = {
    "another unit": (
        dense(1), VECTORS, 25 * FLAT[:, :1] + 37,
        "an R2 of -.*no better than the mean of the targets .*unit than the outputs .25 . output . 37 explains 100 %",
    ),
    "unrelated numbers": (
        dense(1), VECTORS, RNG.normal(size=COUNT) * 0.1 + 5,
        "an R2 of -.* on 100 samples.*Likely causes: the targets have another unit or order.*subtract and multiply",
    ),
    "exchanged classes": (
        dense(1), VECTORS, (FLAT[:, 0] < 0).astype(np.int64),
        "classifies 0.0 % of 100 samples correctly .area under the ROC curve 0.00.*classes are exchanged",
    ),
    "another threshold": (
        dense(1), VECTORS + 9, (FLAT[:, 0] > 0).astype(np.int64),
        "which is near chance: the larger class has .*the output is no logit with the threshold 0",
    ),
    "random classes": (
        dense(1), VECTORS, RNG.integers(0, 2, COUNT),
        "near chance: .* Likely cause: the normalisation of the samples is missing",
    ),
    "labels in another order": (
        dense(3), VECTORS, (FLAT[:, [2, 0, 1]] > 0.5).astype(np.uint8),
        "mean average precision of .* near the .* % of random scores",
    ),
    "bytes as targets": (
        image(2), MAPS, MAPS[:, :2] * 255,
        "0.03 dB on 100 samples, which is no better than an output of zeros. .*.255 . output explains 100 %",
    ),
    "inverted images": (
        image(2), MAPS, -MAPS[:, :2],
        "signal-to-noise ratio of -6.* dB on 100 samples.* another unit than the outputs .-1 . output explains",
    ),
    "images without their mean": (
        image(2), MAPS, MAPS[:, :2] + 1.2,
        "ratio of .* dB on 100 samples.* no better than the mean of the targets. .*.1 . output . 1.2 explains 100 %",
    ),
    "masks in another order": (
        image(3), MAPS, ((MAPS[:, :3].argmax(axis=1) + 1) % 3).astype(np.uint8),
        "mean intersection over union of 0.0 % on 100 samples, .* masks number the classes in another order",
    ),
    "random masks": (
        image(3), MAPS, RNG.integers(0, 3, (COUNT, SIDE, SIDE)).astype(np.uint8),
        "mean intersection over union of .* near the 20.. % of classes without regard to the image",
    ),
    "masks of one class nearly": (
        image(3), MAPS, (RNG.random((COUNT, SIDE, SIDE)) > 0.95).astype(np.uint8),
        "mean intersection over union of .* near the 4.* % of classes without regard to the image",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_network_without_use_is_named_with_the_likely_cause(name: str) -> None:
    network, x, y, message = BAD[name]
    (warning,) = warnings_of(network, x, y)
    assert re.search(message, warning), warning


def test_an_autoencoder_whose_scores_are_random_is_named() -> None:
    weight = np.diag([1.0, 1.0, 1.0, 0.5]).astype(np.float32)
    layer = FullyConnected(name="f", inputs=("input",), output="out", output_channels=VALUES, weight=weight)
    network = network_of([layer], Shape(VALUES, 1, 1))
    flags = np.zeros(COUNT, dtype=np.int64)
    tested = np.arange(COUNT // 2) % 2
    options = CALIBRATED.replace(task=TaskKind.ANOMALY)
    x = VECTORS.copy()
    x[COUNT // 2 + 1 :: 2] = x[COUNT // 2 :: 2]
    (warning,) = [each for each in warnings_of(network, x, flags, tested, options) if "ROC" in each]
    assert re.search(r"area under the ROC curve of 0\.[45]. on 100 test samples, which is near chance", warning)
    x[COUNT // 2 :][tested == 1, 3] += 9
    assert not any("ROC" in each for each in warnings_of(network, x, flags, tested, options))


def test_the_test_set_is_enough_and_few_samples_tell_nothing() -> None:
    network, x, y, _ = BAD["another unit"]
    half = COUNT // 2
    dataset = Dataset("x", x[:half], None, x[half:], y[half:])
    allocation = allocation_of(network, 8, PER_CHANNEL_ICN)
    (warning,) = train(network, allocation, dataset, CALIBRATED).warnings
    assert "an R2 of" in warning
    assert train(network, allocation, replace(dataset, test_y=None), CALIBRATED).warnings == ()
    few = Dataset("x", x[:19], y[:19], NoSamples(x.dtype, x.shape[1:]), None)
    assert train(network, allocation, few, CALIBRATED).warnings == ()
