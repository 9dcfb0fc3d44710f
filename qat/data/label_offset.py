"""Offset that the user declares for the labels of a dataset, such as 1 for a network whose output 0 is a background."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Dataset, Labels, TargetSource, classes_in

MAX_LABEL_OFFSET: Final = 1_000_000
"""Largest absolute value of a label offset: more than any network has classes."""


def with_label_offset(dataset: Dataset, offset: int) -> Dataset:
    """Return a dataset with a whole number added to each label.

    Args:
        dataset: The dataset.
        offset: The number that is added; 0 returns the same dataset.

    Raises:
        DatasetError: if the dataset has no labels, if its targets are not classes, or if a label becomes negative.
    """
    if offset == 0:
        return dataset
    if dataset.train_y is None and dataset.test_y is None:
        raise DatasetError(f"label_offset is {offset}, and the dataset has no labels; give labels, or no label_offset")
    return replace(
        dataset,
        train_y=_shifted(dataset.train_y, offset, "train"),
        test_y=_shifted(dataset.test_y, offset, "test"),
        class_names=_renumbered(dataset.class_names, offset),
    )


def _shifted(targets: TargetSource | None, offset: int, part: str) -> Labels | None:
    if targets is None:
        return None
    labels = classes_in(targets)
    if labels is None:
        raise DatasetError(
            f"label_offset is {offset}, and {part}_y is {targets.dtype} with the shape {list(targets.shape)}; expected "
            "the class of each sample, whole numbers [n]: give no label_offset"
        )
    shifted: Labels = labels + np.int64(offset)
    negative = np.flatnonzero(shifted < 0)
    if negative.size:
        first = int(negative[0])
        raise DatasetError(
            f"{part}_y[{first}] is {labels[first]}, and becomes {shifted[first]} with a label_offset of {offset} "
            f"({negative.size} labels become negative); expected labels of {-offset} or more: correct label_offset"
        )
    return shifted


def _renumbered(names: tuple[str, ...] | None, offset: int) -> tuple[str, ...] | None:
    """Return the name of each class after the labels were shifted; classes below the first name get their number."""
    if names is None:
        return None
    return tuple(str(number) for number in range(offset)) + names[max(0, -offset) :]
