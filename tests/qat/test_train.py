"""Training: it improves, repeats itself, resumes, and stops with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deploy.integer_network import IntegerConvolution, IntegerNetwork
from network.allocation import Allocation, Folding, Scheme, WeightScheme
from network.errors import DatasetError, TrainingError
from network.layers import RELU, AveragePool, BatchNorm, Convolution, FullyConnected, Padding, Shape
from network.network import Network
from qat.batches import augmented, batches_of, split_of
from qat.checkpoint import FILE_NAME
from qat.datasets import Dataset
from qat.options import TrainingOptions
from qat.progress import Progress
from qat.reporting import Reporter
from qat.train import TrainingResult, train
from tests.builders import network_of
from tests.qat.zoo import SCHEMES, allocation_of, floats

CLASSES = 4
PACT_FOLDED = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS)
PER_CHANNEL_ICN = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)


def stripes(count: int, seed: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Noisy images of 8 x 8: a bright quarter says the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    images = rng.integers(0, 120, (count, 8, 8, 1))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 60
    return images.astype(np.uint8), labels.astype(np.int64)


def problem(samples: int = 256) -> Dataset:
    return Dataset("stripes", *stripes(samples, 0), *stripes(64, 1))


def small_network(seed: int = 0) -> Network:
    """Two convolutions, whose weights are random, and a classifier: what it knows it must learn here."""
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


QUICK = TrainingOptions(epochs=3, batch_size=32, learning_rate=0.01, distillation=0.0, calibration_samples=64, seed=3)


def allocated(scheme: Scheme = PER_CHANNEL_ICN) -> Allocation:
    return allocation_of(small_network(), 4, scheme)


def trained(options: TrainingOptions = QUICK, scheme: Scheme = PER_CHANNEL_ICN, **more: Any) -> TrainingResult:
    return train(small_network(), allocated(scheme), problem(), options, **more)


def assert_same(one: TrainingResult, other: TrainingResult) -> None:
    for mine, its in zip(_epochs(one), _epochs(other), strict=True):
        assert mine == its
    assert one.accuracy == other.accuracy
    _assert_same_integers(one.integer_network, other.integer_network)


def _epochs(result: TrainingResult) -> list[Any]:
    return [replace(epoch, seconds=0.0) for epoch in result.epochs]


def _assert_same_integers(one: IntegerNetwork, other: IntegerNetwork) -> None:
    assert one.tensors == other.tensors
    for mine, its in zip(one.layers, other.layers, strict=True):
        if isinstance(mine, IntegerConvolution):
            assert isinstance(its, IntegerConvolution)
            np.testing.assert_array_equal(mine.codes, its.codes)
            np.testing.assert_array_equal(mine.bias, its.bias)
            np.testing.assert_array_equal(mine.requantization.multiplier, its.requantization.multiplier)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.folding}")
@pytest.mark.parametrize("activation_range", ["learned", "clipped"])
def test_training_improves_the_integer_network(scheme: Scheme, activation_range: str) -> None:
    options = replace(QUICK, epochs=6, activation_range=activation_range)  # type: ignore[arg-type]  # as JSON has it
    result = trained(options, scheme)
    assert [epoch.epoch for epoch in result.epochs] == list(range(7))
    assert result.epochs[0].validation_percent < 60
    assert result.accuracy.float_percent < 60
    assert result.accuracy.integer_only_percent >= 65
    assert result.accuracy.top1_agreement_percent >= 98
    assert result.best_epoch == max(result.epochs, key=lambda epoch: epoch.merit).epoch


def test_equal_inputs_give_equal_results() -> None:
    once = trained()
    assert_same(once, trained())
    assert _epochs(trained(replace(QUICK, seed=4))) != _epochs(once)


@pytest.mark.parametrize(
    ("stopped_after", "scheme"), [(0, PACT_FOLDED), (1, PER_CHANNEL_ICN), (2, PACT_FOLDED), (3, PER_CHANNEL_ICN)]
)
def test_a_resumed_run_ends_like_an_unbroken_one(tmp_path: Path, stopped_after: int, scheme: Scheme) -> None:
    options = replace(QUICK, distillation=0.5, augment=True)

    class Stopped(Exception):
        """What a crash would do."""

    def stop(progress: Progress) -> None:
        over = progress.phase == "converting" if stopped_after == 3 else progress.epoch == stopped_after + 1
        if over:
            raise Stopped

    with pytest.raises(Stopped):
        trained(options, scheme, report=stop, checkpoint_directory=tmp_path)
    epochs_seen = set()
    resumed = trained(
        options,
        scheme,
        report=lambda progress: epochs_seen.add(progress.epoch if progress.phase == "training" else None),
        checkpoint_directory=tmp_path,
    )
    assert epochs_seen - {None} == set(range(stopped_after + 1, 4))
    assert_same(resumed, trained(options, scheme))
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_refuses_the_checkpoint_of_another_run(tmp_path: Path) -> None:
    trained(replace(QUICK, epochs=1), checkpoint_directory=tmp_path)
    with pytest.raises(TrainingError, match="belongs to a run with another"):
        trained(replace(QUICK, epochs=2), checkpoint_directory=tmp_path)
    trained(replace(QUICK, epochs=1, threads=1), checkpoint_directory=tmp_path)  # only how fast


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, b"{"])
def test_refuses_a_damaged_checkpoint(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(damage)
    with pytest.raises(TrainingError, match="damaged"):
        trained(checkpoint_directory=tmp_path)


def test_names_the_step_at_which_the_loss_is_lost() -> None:
    network = small_network()
    dense = network.layers[-1]
    assert isinstance(dense, FullyConnected)
    assert dense.weight is not None
    dense.weight[:] *= np.float32(1e37)
    options = replace(QUICK, learning_rate=10.0)
    with pytest.raises(TrainingError, match=r"(loss|gradient) is (nan|inf) at step \d+ of epoch 1; lower the learning"):
        train(network, allocated(), problem(), options)


def test_refuses_what_is_too_small_to_split() -> None:
    dataset = problem(2)
    with pytest.raises(DatasetError, match="2 samples, 1 of which are held out"):
        train(small_network(), allocated(), dataset, QUICK)


def test_no_epochs_only_calibrates() -> None:
    result = trained(replace(QUICK, epochs=0))
    assert [epoch.epoch for epoch in result.epochs] == [0]
    assert result.epochs[0].training_loss is None


def test_reports_progress_to_the_end() -> None:
    told: list[Progress] = []
    trained(report=told.append)
    assert [progress.phase for progress in told if progress.step == 0] == [
        "calibrating", "validating", *["training", "validating"] * 3, "converting", "testing the float network",
        "testing the fake-quantized network", "testing the integer-only network",
    ]  # fmt: skip
    assert told[-1].step == told[-1].steps
    assert told[-1].seconds_left == pytest.approx(0.0, abs=1e-6)
    assert all(progress.epochs == 3 for progress in told)
    assert any(progress.validation_accuracy is not None for progress in told)


def test_seconds_left_is_what_the_rest_costs() -> None:
    seconds = iter([0.0, 0.0, 0.0, 10.0, 10.0, 10.0])
    told: list[Progress] = []
    reporter = Reporter(told.append, 1, 400.0, clock=lambda: next(seconds))
    reporter.begin("training", epoch=1, steps=2, cost=2.0)
    reporter.advance(50, 0.5)
    assert told[-1].seconds_left == pytest.approx(30.0)
    assert told[-1].images_per_second == pytest.approx(5.0)


def test_the_split_and_the_batches_hold_every_sample_once() -> None:
    split = split_of(problem(101), 0.1, seed=0)
    assert len(split.validation) == 10
    assert sorted([*split.training, *split.validation]) == list(range(101))
    batches = batches_of(split.training, 16, seed=0, epoch=1)
    assert sorted(np.concatenate(batches)) == sorted(split.training)
    assert {len(batch) for batch in batches} <= {15, 16}
    assert not np.array_equal(batches[0], batches_of(split.training, 16, seed=0, epoch=2)[0])
    assert [len(batch) for batch in batches_of(np.arange(5), 2, seed=0, epoch=1)] == [3, 2]


def test_augmented_images_are_shifted_and_mirrored() -> None:
    images = torch.zeros(200, 2, 16, 16)
    images[:, 1, 8, 3] = 1.0
    moved = augmented(images, np.random.default_rng(0))
    assert moved.shape == images.shape
    assert not moved[:, 0].any()
    where = moved[:, 1].nonzero()
    assert len(where) == 200
    assert set(where[:, 1].tolist()) == {6, 7, 8, 9, 10}
    assert set(where[:, 2].tolist()) == {1, 2, 3, 4, 5, 10, 11, 12, 13, 14}
