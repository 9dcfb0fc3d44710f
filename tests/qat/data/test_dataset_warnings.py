"""Warnings about a dataset: sizes of classes, and test samples that are in the training set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from network.layers import FullyConnected, Shape
from network.network import Network
from qat.data import dataset_warnings as tested
from qat.data.dataset import Dataset, NoSamples
from qat.data.dataset_warnings import class_sizes_warning, dataset_warnings, equal_targets_warning, overlap_warning
from qat.data.digits import digits
from qat.data.opening import open_dataset
from qat.tasks.choice import choose_task
from tests.builders import network_of
from tests.qat.data import making

Array = npt.NDArray[Any]
RNG = np.random.default_rng(2)
VALUES = 5


def network_with(outputs: int) -> Network:
    weight = np.ones((outputs, VALUES), np.float32)
    layer = FullyConnected(name="f", inputs=("input",), output="out", output_channels=outputs, weight=weight)
    return network_of([layer], Shape(VALUES, 1, 1))


def samples(count: int) -> Array:
    return RNG.normal(size=(count, VALUES, 1, 1)).astype(np.float32)


def labels_of(*counts: int) -> Array:
    return np.repeat(np.arange(len(counts)), counts)


def sizes_warning(train_y: Array, test_y: Array | None = None, outputs: int = 3, **changes: Any) -> str | None:
    test = samples(6 if test_y is None else len(test_y))
    dataset = replace(Dataset("x", samples(len(train_y)), train_y, test, test_y), **changes)
    network = network_with(outputs)
    return class_sizes_warning(dataset, network, choose_task(network, dataset))


def test_classes_of_very_unequal_size_are_named() -> None:
    assert sizes_warning(labels_of(190, 40, 10)) is None
    warning = sizes_warning(labels_of(200, 40, 10), class_names=("cat", "dog", "fox"))
    assert warning is not None
    assert "of 250 training samples, class 'cat' has 200 and class 'fox' 10" in warning
    assert "class 0 has 200 and class 2 10" in (sizes_warning(np.eye(3, dtype=np.uint8)[labels_of(200, 40, 10)]) or "")
    assert "class 1 has 200 and class 0 10" in (sizes_warning(labels_of(10, 200).astype(np.float32), outputs=1) or "")


def test_classes_without_training_samples_are_named() -> None:
    assert sizes_warning(labels_of(0, 10, 10)) is None, "labels from 1 are an offset"
    assert "1 of 3 classes have no training samples: 1;" in (sizes_warning(labels_of(10, 0, 10)) or "")
    assert "2 of 3 classes have no training samples: 0, 2;" in (
        sizes_warning(labels_of(0, 9), labels_of(2, 2, 2)) or ""
    )
    named = sizes_warning(labels_of(9, 9), class_names=("cat", "dog", "fox"))
    assert "1 of 3 classes have no training samples: 'fox'" in (named or "")


def test_other_tasks_have_no_sizes_of_classes() -> None:
    assert sizes_warning(np.arange(12).reshape(4, 3) / 8) is None
    assert sizes_warning(labels_of(200, 1) * 7.5, outputs=1) is None


@pytest.mark.parametrize("form", ["npz", "npy", "folders", "shards", "parquet"])
def test_test_samples_in_the_training_set_are_counted(tmp_path: Path, form: str) -> None:
    images = making.images(train=40, test=20)
    path = making.FORMS[form](tmp_path / "good", images) if form != "npz" else making.npz(tmp_path, images)
    assert overlap_warning(open_dataset(path)) is None
    images.test_x[3:8] = images.train_x[[30, 2, 17, 4, 4]]
    path = making.FORMS[form](tmp_path / "bad", images) if form != "npz" else making.npz(tmp_path, images)
    warning = overlap_warning(open_dataset(path))
    assert warning is not None
    assert warning.startswith("5 of 20 test samples (25.0 %) are exactly equal to training samples, so")


def test_few_equal_samples_and_no_test_set_get_no_warning() -> None:
    x, test = samples(600), samples(600)
    test[:2] = x[:2]
    assert overlap_warning(Dataset("x", x, None, test, None)) is None, "2 of 600 are no pattern"
    test[2] = x[5]
    assert "3 of 600 test samples (0.5 %)" in (overlap_warning(Dataset("x", x, None, test, None)) or "")
    assert overlap_warning(Dataset("x", x, None, NoSamples(x.dtype, x.shape[1:]), None)) is None
    assert overlap_warning(digits()) is None


def test_large_sets_are_compared_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    x = samples(400)
    monkeypatch.setattr(tested, "MAX_IN_MEMORY", 100)
    warning = overlap_warning(Dataset("x", x, None, x, None))
    assert warning is not None
    assert "100 of 100 test samples (100.0 %)" in warning
    assert "(compared: 100 of 400 test samples with at most 100 of 400 training samples)" in warning
    monkeypatch.setattr(tested, "MAX_BYTES", 10 * VALUES * 4)
    assert "10 of 10 test samples" in (overlap_warning(Dataset("x", x, None, x, None)) or "")


def test_slow_files_are_read_for_a_limited_time(tmp_path: Path) -> None:
    images = making.images(train=200, test=150)
    images.test_x[:] = images.train_x[:150]
    times = iter(range(1000))
    dataset = open_dataset(making.folders(tmp_path / "data", images))
    warning = overlap_warning(dataset, clock=lambda: 3.0 * next(times))
    assert warning is not None
    assert "of 64 test samples" in warning
    assert "compared: 64 of 150 test samples" in warning


def test_an_unreadable_sample_gives_no_warning(tmp_path: Path) -> None:
    dataset = open_dataset(making.folders(tmp_path / "data", making.images()))
    next((tmp_path / "data" / "val" / "ant").iterdir()).unlink()
    network = making.network_for()
    assert dataset_warnings(dataset, network, choose_task(network, dataset)) == ()


EQUAL: dict[str, tuple[int, Array, str | None]] = {
    "labels": (3, np.stack([np.arange(8) % 2, np.zeros(8), np.arange(8) < 3], axis=1), "number 1 (from 0) is the same"),
    "all labels": (2, np.ones((8, 2)), "number 0, 1 (from 0) is the same in all 8 test samples, so that the average"),
    "one logit": (1, np.ones(8, dtype=np.int64), "the target is the same in all 8 test samples, so that the AUC"),
    "regression": (2, np.stack([np.arange(8) / 3, np.full(8, 0.5)], axis=1), "so that R2 says nothing about it"),
    "different": (2, RNG.normal(size=(8, 2)), None),
    "classes": (3, np.zeros(8, dtype=np.int64), None),
}


@pytest.mark.parametrize("name", EQUAL)
def test_test_targets_that_are_all_equal_are_named(name: str) -> None:
    outputs, targets, expected = EQUAL[name]
    dataset = Dataset("x", samples(8), targets, samples(8), targets)
    warning = equal_targets_warning(dataset, choose_task(network_with(outputs), dataset))
    assert (warning is None) if expected is None else (expected in str(warning))
