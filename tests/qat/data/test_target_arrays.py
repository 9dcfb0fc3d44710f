"""Targets of any shape in `.npz` and `.npy`, and the refusal of targets that suit no output or not the task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import qat.data.npy
from network.errors import DatasetError
from network.layers import Convolution, FullyConnected, Shape
from network.network import Network
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset, NoSamples
from qat.data.opening import open_dataset
from qat.data.rows import RowsInFile
from qat.options.task import TaskKind
from qat.tasks.choice import choose_task
from tests.builders import network_of

Array = npt.NDArray[Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4, 6, 6)).astype(np.float32)


def written(directory: Path, form: str, train_y: Array, test_y: Array) -> Path:
    arrays = {"train_x": X, "train_y": train_y, "test_x": X[:5], "test_y": test_y}
    if form == "npy":
        for name, array in arrays.items():
            np.save(directory / f"{name}.npy", array)
        return directory
    save = np.savez if form == "npz" else np.savez_compressed
    save(directory / "data.npz", **arrays)  # type: ignore[arg-type]  # mypy matches the arrays with `allow_pickle`
    return directory / "data.npz"


TARGETS: dict[str, tuple[Array, str]] = {
    "classes": (RNG.integers(0, 3, 12).astype(np.uint8), "int64"),
    "flags": (RNG.integers(0, 2, 12).astype(bool), "int64"),
    "numbers": (RNG.normal(size=12).astype(np.float32), "float32"),
    "float64": (RNG.normal(size=(12, 5)), "float32"),
    "other byte order": (RNG.normal(size=(12, 5)).astype(">f8"), "float32"),
    "labels": (RNG.integers(0, 2, (12, 7)).astype(bool), "bool"),
    "masks": (RNG.integers(0, 3, (12, 6, 6)).astype(np.uint8), "uint8"),
    "images": (RNG.integers(0, 256, (12, 12, 12, 3)).astype(np.uint8), "uint8"),
    "large classes": (RNG.integers(0, 999, (12, 6, 6)).astype(">i2"), "int16"),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("form", ["npz", "compressed", "npy"])
@pytest.mark.parametrize("limit", [10, 2**28])
def test_targets_are_read_as_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: str, limit: int
) -> None:
    monkeypatch.setattr(qat.data.npy, "LEFT_IN_FILE_BYTES", limit)
    targets, dtype = TARGETS[name]
    dataset = open_dataset(written(tmp_path, form, targets, targets[:5]))
    assert dataset.train_y is not None
    assert dataset.test_y is not None
    in_file = limit == 10 and form != "compressed" and targets.ndim > 1
    assert isinstance(dataset.train_y, RowsInFile) == in_file
    assert (dataset.train_y.dtype, dataset.train_y.shape) == (np.dtype(dtype), targets.shape)
    chosen = np.array([7, 0, -1])
    found = dataset.train_y[chosen]
    assert found.dtype == dataset.train_y.dtype
    np.testing.assert_array_equal(found, targets[chosen].astype(dtype))
    np.testing.assert_array_equal(dataset.test_y[:], targets[:5].astype(dtype))


@pytest.mark.parametrize("limit", [10, 2**28])
def test_a_number_that_float32_cannot_hold_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(qat.data.npy, "LEFT_IN_FILE_BYTES", limit)
    targets = RNG.normal(size=(12, 2))
    targets[3, 1] = 1e300
    dataset = open_dataset(written(tmp_path, "npz", targets, targets[:2]))
    network = dense(2)
    with pytest.raises(DatasetError, match=r"train_y\[3\] holds NaN or infinity"):
        check_dataset(dataset, network)


@pytest.mark.parametrize("form", ["npz", "compressed", "npy"])
def test_the_memory_of_targets_is_limited_by_what_is_kept(tmp_path: Path, form: str) -> None:
    flags = np.zeros(12_000, dtype=bool)  # 12 kB in the file, 96 kB as int64
    with pytest.raises(DatasetError, match="at most 90000 are allowed"):
        open_dataset(written(tmp_path, form, flags, flags), max_bytes=90_000)


def dense(outputs: int, inputs: int = 144) -> Network:
    weight = np.ones((outputs, inputs), np.float32)
    layer = FullyConnected(name="f", inputs=("input",), output="out", output_channels=outputs, weight=weight)
    return network_of([layer], Shape(4, 6, 6))


def image(channels: int) -> Network:
    layer = Convolution(
        name="c", inputs=("input",), output="out", output_channels=channels, kernel=(1, 1),
        weight=np.ones((channels, 4, 1, 1), np.float32),
    )  # fmt: skip
    return network_of([layer], Shape(4, 6, 6))


def dataset_of(train_y: Array | None, test_y: Array | None = None) -> Dataset:
    return Dataset("tiny", X, train_y, X[:5], test_y)


FLAGS = np.arange(12) % 2
SUITED: dict[str, tuple[Network, Array, TaskKind]] = {
    "one class": (dense(3), np.arange(12) % 3, TaskKind.CLASSES),
    "classes as floats": (dense(3), (np.arange(12) % 3).astype(np.float32), TaskKind.CLASSES),
    "one-hot": (dense(3), np.eye(3, dtype=np.uint8)[np.arange(12) % 3], TaskKind.CLASSES),
    "one logit": (dense(1), FLAGS, TaskKind.TWO_CLASSES),
    "one number": (dense(1), np.arange(12) / 8, TaskKind.REGRESSION),
    "labels": (dense(3), np.ones((12, 3), bool), TaskKind.LABELS),
    "numbers": (dense(3), np.arange(36).reshape(12, 3) / 8, TaskKind.REGRESSION),
    "masks": (image(3), np.zeros((12, 6, 6), np.uint8), TaskKind.PIXELS),
    "mask of one logit": (image(1), np.full((12, 6, 6, 1), 255, np.uint8), TaskKind.PIXELS),
    "target images": (image(3), np.zeros((12, 6, 6, 3), np.uint8), TaskKind.IMAGES),
    "target signals": (image(3), np.zeros((12, 3, 6, 6), np.float32), TaskKind.IMAGES),
}


@pytest.mark.parametrize("name", SUITED)
def test_the_task_follows_from_the_targets(name: str) -> None:
    network, targets, kind = SUITED[name]
    dataset = dataset_of(targets, targets[:5])
    check_dataset(dataset, network)
    assert choose_task(network, dataset).kind is kind


UNSUITED: dict[str, tuple[Network, Array | None, Array | None, TaskKind | None]] = {
    r"shape \[n, 2\], which suits no task of the network's output 'out' \(3 values\)": (
        dense(3), np.zeros((12, 2), np.int64), None, None,
    ),
    r"float32 with the shape \[n\], which suits no task": (dense(3), np.full(12, 0.5, np.float32), None, None),
    r"shape \[n, 5, 6\], which suits no task .* \(3 channels of 6 x 6\)": (
        image(3), np.zeros((12, 5, 6), np.uint8), None, None,
    ),
    "which does not suit the task 'labels'": (dense(1), np.arange(12) / 8, None, TaskKind.LABELS),
    "which does not suit the task 'classes'": (dense(3), np.zeros((12, 3), np.float32), None, TaskKind.CLASSES),
    "which does not suit the task 'pixels'": (dense(3), np.arange(12) % 3, None, TaskKind.PIXELS),
    r"the task 'anomaly' compares the output with the input; the output 'out' has 3 values and the input 144": (
        dense(3), FLAGS, None, TaskKind.ANOMALY,
    ),
    "the task 'classes' needs an output with a value for each class; the output 'out' has 1 value": (
        dense(1), None, None, TaskKind.CLASSES,
    ),
    r"train_y has targets of the shape \[3\] and test_y of \[2\]": (
        dense(3), np.ones((12, 3), np.float32), np.ones((5, 2), np.float32), None,
    ),
    r"train_y marks 6 of 12 samples as anomalies": (dense(144), FLAGS, FLAGS[:5], TaskKind.ANOMALY),
    r"train_y\[4\] is 3 \(2 labels are out of range\); expected 0 to 2, because the network has 3 classes": (
        dense(3), np.where(np.arange(12) % 5 == 4, 3, 0), None, None,
    ),
    r"train_y\[0\] is 3 \(432 labels are out of range\)": (image(3), np.full((12, 6, 6), 3, np.uint8), None, None),
    r"test_y\[0\] is 7 \(5 labels are out of range\)": (dense(3), np.zeros(12, int), np.full(5, 7), None),
    "train_x holds 12 samples and train_y 11 labels": (dense(3), np.zeros((11, 3), np.float32), None, None),
    r"train_y\[2\] holds NaN or infinity": (
        dense(3), np.where(np.arange(12)[:, None] == 2, np.nan, 0) * np.ones(3), None, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", UNSUITED)
def test_targets_that_suit_no_output_or_not_the_task_are_refused(message: str) -> None:
    network, train_y, test_y, wanted = UNSUITED[message]
    with pytest.raises(DatasetError, match=message):
        check_dataset(dataset_of(train_y, test_y), network, wanted)


def test_a_dataset_without_targets_or_test_set_is_accepted() -> None:
    check_dataset(dataset_of(None), dense(3))
    check_dataset(Dataset("tiny", X, None, NoSamples(X.dtype, X.shape[1:]), None), image(3))
