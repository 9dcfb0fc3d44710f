"""Labels with a declared offset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from network.errors import DatasetError
from qat.data.dataset import Dataset, labelled
from qat.data.label_offset import with_label_offset


def dataset(offset: int = 0, names: tuple[str, ...] | None = None) -> Dataset:
    samples = np.zeros((6, 2), dtype=np.float32)
    labels = np.array([0, 1, 2, 0, 1, 2]) + offset
    return Dataset("d", samples, labels, samples, labels[::-1].copy(), names)


def test_every_label_is_shifted() -> None:
    shifted = with_label_offset(dataset(), 1)
    assert labelled(shifted.train_y).tolist() == [1, 2, 3, 1, 2, 3]
    assert labelled(shifted.test_y).tolist() == [3, 2, 1, 3, 2, 1]
    assert with_label_offset(dataset(), 0).train_y is not None
    back = with_label_offset(dataset(1), -1)
    np.testing.assert_array_equal(back.train_y, dataset().train_y)
    part = with_label_offset(replace(dataset(), train_y=None), 2)
    assert part.train_y is None
    assert part.test_y is not None


def test_class_names_move_with_their_labels() -> None:
    names = ("cat", "dog", "cow")
    assert with_label_offset(dataset(names=names), 2).class_names == ("0", "1", "cat", "dog", "cow")
    assert with_label_offset(dataset(1, ("none", *names)), -1).class_names == names


def test_refuses_negative_labels_and_a_dataset_without_labels() -> None:
    with pytest.raises(DatasetError, match=r"train_y\[0\] is 0, and becomes -1 with a label_offset of -1 \(2 labels"):
        with_label_offset(dataset(), -1)
    with pytest.raises(DatasetError, match="label_offset is 1, and the dataset has no labels"):
        with_label_offset(replace(dataset(), train_y=None, test_y=None), 1)


def test_real_targets_have_no_offset() -> None:
    real = replace(dataset(), train_y=np.zeros(6, dtype=np.float32))
    with pytest.raises(DatasetError, match="train_y is float32 with the shape"):
        with_label_offset(real, 1)
