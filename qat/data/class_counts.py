"""Number of samples of each class of a dataset, which show a wrong split or wrong labels. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from qat.data.dataset import Dataset, Indices, Labels, classes_in

MAX_CLASSES: Final = 10_000
"""Largest number of classes that are counted. The labels of an uploaded file can be any numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassCounts:
    """Number of samples of each class in both sets.

    Attributes:
        names: Name of each class; the class number as text if the dataset has no names.
        train: Number of training samples of each class, int64 [classes]; None if they have no labels.
        test: Number of test samples of each class, int64 [classes]; None if they have no labels.
    """

    names: tuple[str, ...]
    train: Indices | None
    test: Indices | None


def count_classes(dataset: Dataset) -> ClassCounts | None:
    """Count the samples of each class.

    Args:
        dataset: The dataset.

    Returns:
        The counts; None if the targets are not one class for each sample, a label is negative, or there are more than
        `MAX_CLASSES` classes.
    """
    train, test = classes_in(dataset.train_y), classes_in(dataset.test_y)
    labels = [each for each in (train, test) if each is not None and each.size]
    if not labels or min(each.min() for each in labels) < 0 or max(each.max() for each in labels) >= MAX_CLASSES:
        return None
    classes = max(int(each.max()) + 1 for each in labels)
    if dataset.class_names is not None:
        classes = max(classes, len(dataset.class_names))
    named = dict(enumerate(dataset.class_names or ()))
    names = tuple(named.get(number, str(number)) for number in range(classes))
    return ClassCounts(names, _counts(train, classes), _counts(test, classes))


def _counts(labels: Labels | None, classes: int) -> Indices | None:
    return None if labels is None else np.bincount(labels, minlength=classes)
