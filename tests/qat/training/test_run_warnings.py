"""Warnings before a training: few steps, the dataset, a float network near chance, labels with an offset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from network.layers import FullyConnected, Shape
from network.network import Network
from network.reading import read_network
from qat.data.dataset import Dataset, Labels, NoSamples
from qat.data.opening import open_dataset
from qat.options.training import TrainingOptions
from qat.progress import Progress
from qat.train import TrainingResult, train
from qat.training import run_warnings
from qat.training.run_warnings import few_steps_warning, label_warning
from tests.builders import network_of
from tests.qat.complete_options import complete
from tests.qat.small_problem import PER_CHANNEL_ICN
from tests.qat.zoo import allocation_of

TROUBLES = Path(__file__).resolve().parents[4] / "shared" / "troubles"
CALIBRATED = TrainingOptions(epochs=0, calibration_samples=32, distillation=0.0)
RNG = np.random.default_rng(5)


def network_with(outputs: int) -> Network:
    """Return a network whose output i is the i-th input, so that its predictions are correct for `dataset_of`."""
    layer = FullyConnected(
        name="classes",
        inputs=("input",),
        output="logits",
        output_channels=outputs,
        weight=np.eye(outputs, dtype=np.float32),
        bias=np.zeros(outputs, dtype=np.float32),
    )
    return network_of([layer], Shape(outputs, 1, 1), name="identity")


def dataset_of(labels: Labels, outputs: int, offset: int = 0) -> Dataset:
    """Return samples of which the element `label + offset` is the largest; half of them are the test set."""
    x = RNG.uniform(0, 0.5, (len(labels), outputs, 1, 1)).astype(np.float32)
    x[np.arange(len(labels)), labels + offset] += 0.6
    half = len(labels) // 2
    return Dataset("peaks", x[:half], labels[:half], x[half:], labels[half:])


def run(network: Network, dataset: Dataset, options: TrainingOptions = CALIBRATED) -> TrainingResult:
    return train(network, allocation_of(network, 8, PER_CHANNEL_ICN), dataset, options)


def labels_of(classes: int, count: int = 400) -> Labels:
    return np.arange(count, dtype=np.int64) % classes


def test_a_good_network_gets_no_warning() -> None:
    result = run(network_with(5), dataset_of(labels_of(5), 5))
    assert result.warnings == ()
    assert result.accuracy is not None
    assert result.accuracy.float_percent == 100.0


def test_a_good_network_with_a_spare_output_gets_no_warning() -> None:
    assert run(network_with(6), dataset_of(labels_of(5), 6)).warnings == ()


def test_samples_with_a_wrong_preprocessing_are_near_chance() -> None:
    network = network_with(5)
    dataset = dataset_of(labels_of(5), 5)
    wrong_sign = replace(dataset, train_x=-np.asarray(dataset.train_x), test_x=-np.asarray(dataset.test_x))
    (warning,) = run(network, wrong_sign).warnings
    assert warning.startswith("the float network classifies 0.0 % of 200 labelled samples correctly")
    assert "the largest class has 20.0 % of the samples" in warning
    assert "subtract and multiply" in warning
    unlabelled = replace(wrong_sign, train_y=None)
    assert run(network, unlabelled).warnings == (warning,), "the labels of the test set are enough"
    assert run(network, replace(unlabelled, test_y=None)).warnings == ()


@pytest.mark.parametrize(("offset", "labels"), [(1, labels_of(5)), (-1, labels_of(5) + 1)])
def test_labels_with_an_offset_are_named(offset: int, labels: Labels) -> None:
    (warning,) = run(network_with(6), dataset_of(labels, 6, offset)).warnings
    assert f"0.0 % of 200 labelled samples correctly, and 100.0 % if the labels are shifted by {offset:+d}" in warning
    assert "6 outputs, the labels have 5 classes" in warning
    assert warning.endswith(f"{'add 1 to' if offset > 0 else 'subtract 1 from'} every label of the dataset")


def test_no_offset_is_named_that_the_network_has_no_class_for() -> None:
    """All classes are exchanged in a circle: labels + 1 would fit two of three, and the last one has no output."""
    labels = np.arange(60) % 3
    warning = label_warning((labels + 1) % 3, labels, labels, 3)
    assert warning is not None
    assert "near chance" in warning
    assert "offset" not in warning


def test_warnings_are_reported_before_the_training_and_change_no_result() -> None:
    dataset, options = dataset_of(labels_of(5), 6, 1), CALIBRATED.replace(epochs=2, batch_size=64)
    network = network_with(6)
    told: list[Progress] = []
    result = train(network, allocation_of(network, 8, PER_CHANNEL_ICN), dataset, options, report=told.append)
    few_steps, offset = result.warnings
    assert (
        "few optimizer steps: 6 (epochs: 2, steps of each epoch: 3, training samples: 180, batch_size: 64)" in few_steps
    )
    assert "shifted by +1" in offset
    first = next(progress for progress in told if progress.phase == "training")
    assert first.warnings == result.warnings
    without_test_set = replace(dataset, test_x=NoSamples(np.dtype(np.float32), (6, 1, 1)), test_y=None)
    assert run(network, without_test_set, options).warnings == result.warnings


@pytest.mark.parametrize(("epochs", "is_short"), [(0, False), (1, True), (9, True), (10, False)])
def test_few_steps_are_those_of_the_whole_run(epochs: int, is_short: bool) -> None:
    options = complete(epochs=epochs, batch_size=20)
    assert (few_steps_warning(options, 100) is not None) == is_short


@pytest.mark.parametrize(
    ("labels", "correct", "is_near_chance"),
    [
        (labels_of(10), 60, True),  # 15 % of 400, 1.5 times 10 %
        (labels_of(10), 61, False),
        (labels_of(2), 250, True),  # 62.5 %: 75 % would call a usable detector random
        (labels_of(2), 251, False),
        (np.minimum(labels_of(5), 1), 400, False),  # the largest class has 80 %
        (np.minimum(labels_of(5), 1), 320, True),
        (labels_of(400), 1, True),  # one correct sample of 1 / 400 each
        (labels_of(400), 2, False),
    ],
)
def test_where_chance_ends(labels: Labels, correct: int, is_near_chance: bool) -> None:
    predicted = labels.copy()
    predicted[correct:] = -7  # no class, so that no offset fits
    outputs = len(np.unique(labels))
    assert (label_warning(predicted, labels, labels, outputs) is not None) == is_near_chance


@pytest.mark.skipif(not TROUBLES.is_dir(), reason="needs ../shared/troubles")
def test_a_published_network_without_its_normalisation_is_named() -> None:
    good, without = (read_network((TROUBLES / f"{name}.onnx").read_bytes(), name) for name in ("colours", "colours01"))
    dataset = open_dataset(TROUBLES / "folders_good")
    assert run(good, dataset).warnings == ()
    (warning,) = run(without, dataset).warnings
    assert "near chance" in warning


def test_few_samples_are_not_judged() -> None:
    assert run(network_with(6), dataset_of(labels_of(5, 38), 6, 1)).warnings == ()
    assert len(run(network_with(6), dataset_of(labels_of(5, 40), 6, 1)).warnings) == 1


def test_the_dataset_and_the_memory_are_checked_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataset_of(np.minimum(labels_of(200), 1)[:400], 2)
    assert dataset.train_y is not None
    some = replace(dataset, test_x=np.asarray(dataset.train_x)[:50], test_y=dataset.train_y[:50])
    monkeypatch.setattr(run_warnings, "free_memory_bytes", lambda _: 100)
    told: list[Progress] = []
    options = CALIBRATED.replace(epochs=1, batch_size=3)
    network = network_with(2)
    result = train(network, allocation_of(network, 8, PER_CHANNEL_ICN), some, options, report=told.append)
    memory, sizes, overlap = result.warnings
    assert "GiB of memory (batch_size: 3" in memory
    assert "of 200 training samples, class 1 has 199 and class 0 1" in sizes
    assert "50 of 50 test samples (100.0 %) are exactly equal to training samples" in overlap
    first = next(progress for progress in told if progress.phase == "training")
    assert first.warnings == result.warnings
