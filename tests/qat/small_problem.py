"""A small network, noisy images that it learns to classify in a second, and comparison of training results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from deploy.integer_network import IntegerConvolution, IntegerNetwork
from network.allocation import Allocation, Bits, Folding, Scheme, WeightScheme
from network.layers import RELU, AveragePool, BatchNorm, Convolution, FullyConnected, Padding, Shape
from network.network import Network
from qat.data.dataset import Dataset
from qat.options.names import BatchNormMode, BestBy
from qat.options.post_training import NO_POST_TRAINING
from qat.options.training import TrainingOptions
from qat.train import Accuracy, TrainingResult, train
from tests.builders import network_of
from tests.qat.zoo import allocation_of, floats

CLASSES = 4
PACT_FOLDED = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS)
PER_CHANNEL_ICN = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)


def stripes(count: int, seed: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Return noisy images of 8 x 8 pixels and their labels; the position of a bright quarter is the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    images = rng.integers(0, 120, (count, 8, 8, 1))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 60
    return images.astype(np.uint8), labels.astype(np.int64)


def accuracy_of(result: TrainingResult) -> Accuracy:
    """Return the accuracies of a training whose dataset has a test set."""
    assert result.accuracy is not None
    return result.accuracy


def problem(samples: int = 256) -> Dataset:
    return Dataset("stripes", *stripes(samples, 0), *stripes(64, 1))


def small_network(seed: int = 0) -> Network:
    """Return an untrained network of two convolutions and a classifier, with random weights."""
    rng = np.random.default_rng(seed)
    ones = np.ones(8, dtype=np.float32)

    def convolution(name: str, source: str, inputs: int, scale: float) -> Convolution:
        return Convolution(
            name=name, inputs=(source,), output=f"{name}.out", activation=RELU, output_channels=8, kernel=(3, 3),
            padding=Padding(0, 0, 1, 1), stride=(2, 2), weight=floats(rng, 8, inputs, 3, 3, scale=scale),
            batch_norm=BatchNorm(ones, ones * 0, ones * 0, ones, 1e-3),
        )  # fmt: skip

    layers = [
        convolution("one", "input", 1, 0.005),
        convolution("two", "one.out", 8, 0.2),
        AveragePool(name="pool", inputs=("two.out",), output="pooled", kernel=(1, 1)),
        FullyConnected(
            name="classes", inputs=("pooled",), output="logits", output_channels=CLASSES,
            weight=floats(rng, CLASSES, 32, scale=0.2),
        ),
    ]  # fmt: skip
    return network_of(layers, Shape(1, 8, 8), name="small")


QUICK = TrainingOptions(
    epochs=3, batch_size=32, learning_rate=0.01, distillation=0.0, calibration_samples=64, seed=3,
    batch_norm=BatchNormMode.TRAIN, best_by=BestBy.QUALITY, post_training=NO_POST_TRAINING,
)  # fmt: skip
"""Options of quick runs, all of them given, so that no recipe measures or chooses anything."""


def allocated(scheme: Scheme = PER_CHANNEL_ICN, bits: Bits = 4) -> Allocation:
    return allocation_of(small_network(), bits, scheme)


def trained(options: TrainingOptions = QUICK, scheme: Scheme = PER_CHANNEL_ICN, **more: Any) -> TrainingResult:
    return train(small_network(), allocated(scheme), problem(), options, **more)


def assert_same(one: TrainingResult, other: TrainingResult) -> None:
    for mine, its in zip(epochs_of(one), epochs_of(other), strict=True):
        assert mine == its
    assert one.accuracy == other.accuracy
    assert_same_integers(one.integer_network, other.integer_network)


def epochs_of(result: TrainingResult) -> list[Any]:
    return [replace(epoch, seconds=0.0) for epoch in result.epochs]


def assert_same_integers(one: IntegerNetwork, other: IntegerNetwork) -> None:
    assert one.tensors == other.tensors
    for mine, its in zip(one.layers, other.layers, strict=True):
        if isinstance(mine, IntegerConvolution):
            assert isinstance(its, IntegerConvolution)
            np.testing.assert_array_equal(mine.codes, its.codes)
            np.testing.assert_array_equal(mine.bias, its.bias)
            np.testing.assert_array_equal(mine.requantization.multiplier, its.requantization.multiplier)
