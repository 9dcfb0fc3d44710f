"""The task follows from targets and outputs, or from the user."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from network.errors import DatasetError
from network.network import Network
from qat.data.checks import check_dataset
from qat.options.task import TaskKind
from qat.tasks.choice import choose_task, targets_of
from qat.tasks.targets import NO_CLASS
from qat.training.label_source import LabelSource
from tests.builders import with_input_format
from tests.qat.tasks.task_networks import dataset_for, image_network, two_outputs, vector_network

RNG = np.random.default_rng(0)
N = 24
CLASS_NUMBERS = np.arange(N) % 3
MASKS = RNG.integers(0, 3, (N, 6, 5))
REALS = RNG.standard_normal

CHOICES: dict[str, tuple[Network, npt.NDArray[Any] | None, TaskKind]] = {
    "one whole number, three outputs": (vector_network(3), CLASS_NUMBERS, TaskKind.CLASSES),
    "a column of whole numbers": (vector_network(3), CLASS_NUMBERS[:, None], TaskKind.CLASSES),
    "whole numbers as floats": (vector_network(3), CLASS_NUMBERS.astype(np.float32), TaskKind.CLASSES),
    "one-hot": (vector_network(3), np.eye(3, dtype=np.float32)[CLASS_NUMBERS], TaskKind.CLASSES),
    "zero or one, one output": (vector_network(1), np.arange(N) % 2, TaskKind.TWO_CLASSES),
    "booleans, one output": (vector_network(1), np.arange(N) % 2 == 0, TaskKind.TWO_CLASSES),
    "several labels": (vector_network(3), (REALS((N, 3)) > 0).astype(np.uint8), TaskKind.LABELS),
    "a number, one output": (vector_network(1), REALS(N).astype(np.float32), TaskKind.REGRESSION),
    "a whole number, one output": (vector_network(1), np.arange(N), TaskKind.REGRESSION),
    "a number for each output": (vector_network(3), REALS((N, 3)).astype(np.float32), TaskKind.REGRESSION),
    "images": (image_network(2), REALS((N, 2, 6, 5)).astype(np.float32), TaskKind.IMAGES),
    "images, channels last": (image_network(3), REALS((N, 6, 5, 3)).astype(np.float32), TaskKind.IMAGES),
    "masks": (image_network(3), MASKS, TaskKind.PIXELS),
    "masks with a channel": (image_network(3), MASKS[:, None], TaskKind.PIXELS),
    "one-hot masks": (image_network(3), np.eye(3, dtype=np.float32)[MASKS], TaskKind.PIXELS),
    "masks of one logit": (image_network(1), MASKS % 2 * 255, TaskKind.PIXELS),
    "no targets": (vector_network(3), None, TaskKind.FLOAT_OUTPUTS),
    "no targets before a softmax": (vector_network(3, steps=("Softmax",)), None, TaskKind.CLASSES),
    "no targets before a sigmoid": (vector_network(3, steps=("Sigmoid",)), None, TaskKind.FLOAT_OUTPUTS),
    "anomalies": (vector_network(6), np.zeros(N, dtype=np.int64), TaskKind.ANOMALY),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_task_follows_from_targets_and_outputs(name: str) -> None:
    network, targets, kind = CHOICES[name]
    test = np.arange(N) % 2 if kind is TaskKind.ANOMALY else targets
    dataset = dataset_for(network, targets, test)
    check_dataset(dataset, network)
    task = choose_task(network, dataset)
    assert task.kind is kind
    assert task.learned_from is (LabelSource.FLOAT_NETWORK if targets is None else LabelSource.LABELS)


def test_labels_train_the_output_that_they_suit_and_others_follow_the_float_network() -> None:
    network = two_outputs()
    assert choose_task(network, dataset_for(network, CLASS_NUMBERS)).output == "out"
    hidden = REALS((N, 16)).astype(np.float32)
    assert choose_task(network, dataset_for(network, hidden)).output == "hidden.out"


REFUSED: dict[str, tuple[Network, npt.NDArray[Any], TaskKind | None]] = {
    r"float32 with the shape \[n, 4\], which suits no task of the network's output 'out' \(3 values\)": (
        vector_network(3), REALS((N, 4)).astype(np.float32), None,
    ),
    r"float32 with the shape \[n\], which suits no task": (vector_network(3), REALS(N).astype(np.float32), None),
    r"train_y\[3\] is 3 \(6 labels are out of range\); expected 0 to 2": (vector_network(3), np.arange(N) % 4, None),
    r"train_y\[0\] is -1": (vector_network(3), np.full(N, -1), None),
    r"\[n, 3\], which does not suit the task 'labels'": (
        vector_network(3), REALS((N, 3)).astype(np.float32), TaskKind.LABELS,
    ),
    "does not suit the task 'two_classes'": (vector_network(3), CLASS_NUMBERS, TaskKind.TWO_CLASSES),
    "the output 'out' has 3 values and the input 6": (vector_network(3), CLASS_NUMBERS, TaskKind.ANOMALY),
    r"train_y\[1\] holds NaN": (vector_network(1), np.where(np.arange(N) == 1, np.nan, 0.5).astype(np.float32), None),
    "3 is out|out of range": (image_network(3), MASKS + 1, None),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_refuses_targets_that_do_not_suit(message: str) -> None:
    network, targets, wanted = REFUSED[message]
    with pytest.raises(DatasetError, match=message):
        check_dataset(dataset_for(network, targets), network, wanted)


def test_the_user_chooses_between_tasks_that_the_targets_allow() -> None:
    network = vector_network(1)
    dataset = dataset_for(network, np.arange(N) % 2)
    assert choose_task(network, dataset, TaskKind.REGRESSION).kind is TaskKind.REGRESSION
    assert choose_task(network, dataset, TaskKind.FLOAT_OUTPUTS).learned_from is LabelSource.FLOAT_NETWORK


def rows(network: Network, targets: npt.NDArray[Any]) -> npt.NDArray[Any]:
    dataset = dataset_for(network, targets)
    found = targets_of(choose_task(network, dataset), network, dataset.train_x, dataset.train_y)[np.arange(N)]
    assert isinstance(found, np.ndarray)
    return found


def test_channels_last_images_are_arranged_as_the_output() -> None:
    images = REALS((N, 6, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(rows(image_network(3), images), images.transpose(0, 3, 1, 2).reshape(N, -1))


def test_one_hot_masks_are_their_classes() -> None:
    np.testing.assert_array_equal(rows(image_network(3), np.eye(3, dtype=np.float32)[MASKS]), MASKS.reshape(N, -1))


def test_pixels_of_class_255_do_not_count() -> None:
    masks = np.where(MASKS == 2, 255, MASKS)
    np.testing.assert_array_equal(rows(image_network(3), masks) == NO_CLASS, (MASKS == 2).reshape(N, -1))


def test_bytes_are_converted_as_the_input_is() -> None:
    """Target images as bytes have the input's normalisation."""
    from dataclasses import replace

    network = image_network(2)
    network = with_input_format(network, replace(network.only_input.format, subtract=(10.0,), multiply=(0.5,)))
    images = RNG.integers(0, 256, (N, 6, 5, 2), dtype=np.uint8)
    expected = ((images.astype(np.float32) - 10) * 0.5).transpose(0, 3, 1, 2).reshape(N, -1)
    np.testing.assert_array_equal(rows(network, images), expected)
