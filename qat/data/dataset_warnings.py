"""Warnings about a dataset: unequal classes, equal test targets, and test samples that are in the training set, too.

Warnings never change a result. This module does not import torch.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import numpy as np

from network.errors import DatasetError
from network.network import Network
from qat.data.dataset import Dataset, GroupedSource, Labels, SampleSource
from qat.data.images import EncodedImages
from qat.data.names import some_of
from qat.data.unseen import MadeDataset
from qat.options.task import TaskKind
from qat.tasks.choice import Task, targets_of
from qat.training.label_source import LabelSource

UNEQUAL_FACTOR: Final = 20
"""Ratio of the largest to the smallest class from which the sizes are reported as very unequal."""
MIN_OVERLAP: Final = 0.005
"""Share of the compared test samples that must be in the training set for a warning."""
MAX_IN_MEMORY: Final = 60_000
"""Largest number of samples of a set that are compared if they are in memory; their content has at most `MAX_BYTES`."""
MAX_FROM_FILES: Final = 4_000
"""Largest number of samples of a set that are compared if they are read from files."""
MAX_BYTES: Final = 2**27
"""Largest size of the compared samples of a set, in bytes. A core compares about 2**28 bytes or 150,000 samples in a
second."""
MAX_SECONDS: Final = 5.0
"""Time in seconds after which no more samples of a set are read from files."""
_ROWS_AT_ONCE: Final = 64
_NEED_DIFFERENT_TARGETS: Final = {
    TaskKind.TWO_CLASSES: "the AUC",
    TaskKind.LABELS: "the average precision",
    TaskKind.REGRESSION: "R2",
    TaskKind.ANOMALY: "the AUC",
}
"""Tasks with a metric for which the targets of the test set must differ, and the metric in words."""


def dataset_warnings(
    dataset: Dataset, network: Network, task: Task, clock: Callable[[], float] = time.monotonic
) -> tuple[str, ...]:
    """Return the warnings about a dataset; those of one whose samples are made come first.

    Args:
        dataset: The dataset, in shapes that fit the network.
        network: The network.
        task: The task; the sizes of classes are checked for tasks with one class for each sample.
        clock: Function that returns the time in seconds, from an arbitrary origin.
    """
    found = [class_sizes_warning(dataset, network, task), equal_targets_warning(dataset, task)]
    with suppress(DatasetError):  # an unreadable sample; what needs the sample reports the error
        found.append(overlap_warning(dataset, clock))
    notes = dataset.notes if isinstance(dataset, MadeDataset) else ()
    return (*notes, *(each for each in found if each is not None))


def class_sizes_warning(dataset: Dataset, network: Network, task: Task) -> str | None:
    """Return the warning about classes without training samples or of very unequal sizes; None if there is no reason.

    Args:
        dataset: The dataset, in shapes that fit the network.
        network: The network.
        task: The task.
    """
    if task.kind not in {TaskKind.CLASSES, TaskKind.TWO_CLASSES} or task.learned_from is not LabelSource.LABELS:
        return None
    train = _classes(targets_of(task, network, dataset.train_x, dataset.train_y)[:])
    test = None if dataset.test_y is None else _classes(targets_of(task, network, dataset.test_x, dataset.test_y)[:])
    names = dataset.class_names or ()
    classes = max(int(train.max(initial=0)), 0 if test is None else int(test.max(initial=0)), len(names) - 1) + 1
    counts = np.bincount(train, minlength=classes)

    def name_of(number: int) -> str:
        return f"'{names[number]}'" if number < len(names) else str(number)

    lowest = 0 if names else min(int(each.min(initial=classes)) for each in (train, test) if each is not None)
    missing = (lowest + np.flatnonzero(counts[lowest:] == 0)).tolist()  # labels from 1 may be an offset
    if missing:
        listed = some_of([name_of(each) for each in missing])
        return (
            f"{len(missing)} of {classes} classes have no training samples: {listed}; the training may lose them: add "
            "samples of these classes, and check that the labels number the classes as the network's outputs do"
        )
    largest, smallest = int(counts.argmax()), lowest + int(counts[lowest:].argmin())
    if counts[largest] < UNEQUAL_FACTOR * counts[smallest]:
        return None
    return (
        f"the classes have very unequal sizes: of {len(train):,} training samples, class {name_of(largest)} has "
        f"{counts[largest]:,} and class {name_of(smallest)} {counts[smallest]:,}; the loss and the accuracy count each "
        "sample equally, so that small classes hardly matter: balance the training set, or judge each class on its own"
    )


def equal_targets_warning(dataset: Dataset, task: Task) -> str | None:
    """Return the warning about test targets that are equal in all samples, so that a metric cannot judge them.

    The average precision of a label, the AUC of two classes or of anomalies, and the R2 of a target need different
    targets. None is returned for other tasks, for targets in files, and if no target is equal in all samples.

    Args:
        dataset: The dataset.
        task: The task.
    """
    targets = dataset.test_y
    metric = _NEED_DIFFERENT_TARGETS.get(task.kind)
    if metric is None or not isinstance(targets, np.ndarray) or len(targets) < 2:
        return None
    rows = targets.reshape(len(targets), -1)
    equal = np.flatnonzero((rows == rows[0]).all(axis=0))
    if not equal.size:
        return None
    which = "" if rows.shape[1] == 1 else f" number {some_of([str(each) for each in equal])} (from 0)"
    return (
        f"the target{which} is the same in all {len(rows):,} test samples, so that {metric} says nothing about it: "
        "give a test set with different targets"
    )


def overlap_warning(dataset: Dataset, clock: Callable[[], float] = time.monotonic) -> str | None:
    """Return the warning about test samples that are exactly equal to training samples; None if there are few or none.

    Samples are compared by a hash of their bytes, encoded images by that of their encoded bytes. Of large sets, some
    samples are compared.

    Args:
        dataset: The dataset.
        clock: Function that returns the time in seconds, from an arbitrary origin.

    Raises:
        DatasetError: If a sample cannot be read.
    """
    if not dataset.has_test_set:
        return None
    test = list(_digests(dataset.test_x, clock))
    train = set(_digests(dataset.train_x, clock)) if test else set()
    count = sum(each in train for each in test)
    if count < MIN_OVERLAP * len(test) or not count:
        return None
    compared_train = _compared(dataset.train_x)
    is_complete = len(test) == len(dataset.test_x) and compared_train == len(dataset.train_x)
    of_all = "" if is_complete else (
        f" (compared: {len(test):,} of {len(dataset.test_x):,} test samples with at most {compared_train:,} of "
        f"{len(dataset.train_x):,} training samples)"
    )  # fmt: skip
    return (
        f"{count:,} of {len(test):,} test samples ({100 * count / len(test):.1f} %) are exactly equal to training "
        f"samples{of_all}, so that the quality on the test set is too good: remove them from one of the two sets"
    )


def _digests(source: SampleSource, clock: Callable[[], float]) -> Iterator[bytes]:
    """Yield a hash of each compared sample; samples in files until `MAX_SECONDS` have passed."""
    started = clock()
    count = _compared(source)
    # Samples in groups are read from the beginning: to read them at equal distances, all groups would be read.
    is_grouped = isinstance(source, GroupedSource) and len(source.group_starts) > 1
    chosen = np.arange(count) if is_grouped else np.linspace(0, len(source) - 1, count).astype(np.int64)
    for start in range(0, count, _ROWS_AT_ONCE):
        if not isinstance(source, np.ndarray) and clock() - started > MAX_SECONDS:
            return
        indices = chosen[start : start + _ROWS_AT_ONCE]
        if isinstance(source, EncodedImages):
            contents = (source.store.read(int(index)) for index in indices)
        else:
            contents = (row.tobytes() for row in source[indices])
        for content in contents:
            yield hashlib.blake2b(content, digest_size=16).digest()


def _compared(source: SampleSource) -> int:
    """Return the largest number of samples of a set that are compared."""
    if isinstance(source, EncodedImages):
        return min(len(source), MAX_FROM_FILES)
    sample_bytes = max(1, int(np.prod(source.shape[1:])) * source.dtype.itemsize)
    most = MAX_IN_MEMORY if isinstance(source, np.ndarray) else MAX_FROM_FILES
    return min(len(source), most, max(1, MAX_BYTES // sample_bytes))


def _classes(targets: np.ndarray) -> Labels:
    """Return the class of each sample, int64 [n], from targets in the form that a task compares with outputs."""
    labels: Labels = targets.reshape(len(targets)).astype(np.int64)
    return labels
