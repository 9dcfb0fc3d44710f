"""Descriptions of datasets for callers, and the check of an uploaded one."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from api.schemas.datasets import DatasetAnswer, DatasetOrigin
from network.errors import DatasetError
from qat.data.class_counts import count_classes
from qat.data.dataset import Dataset, classes_in


def check_samples(dataset: Dataset) -> None:
    """Reject a dataset without samples, without exactly one target for each sample, or with targets of two shapes."""
    for part, samples, targets in (
        ("train", dataset.train_x, dataset.train_y),
        ("test", dataset.test_x, dataset.test_y),
    ):
        if part == "test" and not dataset.has_test_set:
            continue
        if len(samples.shape) < 2 or (targets is not None and len(samples) != len(targets)):
            of_targets = "none" if targets is None else list(targets.shape)
            raise DatasetError(
                f"{part}_x has the shape {list(samples.shape)} and {part}_y the shape {of_targets}; "
                "expected [n, ...] for both: one target for each sample"
            )
        if not len(samples):
            raise DatasetError(f"the array {part}_x has no samples; expected at least one")
        for each in (samples, targets):
            if each is not None:
                each[:1]  # raises DatasetError if the first sample or target cannot be read
    shapes = [list(each.shape[1:]) for each in (dataset.train_y, dataset.test_y) if each is not None]
    if len(shapes) == 2 and math.prod(shapes[0]) != math.prod(shapes[1]):
        raise DatasetError(
            f"a target of train_y has the shape {shapes[0]} and one of test_y {shapes[1]}; expected equal shapes"
        )
    train, test = classes_in(dataset.train_y), classes_in(dataset.test_y)
    if train is not None and test is not None and train.min(initial=0) >= 0 > test.min(initial=0):
        raise DatasetError(
            f"test_y[{int(test.argmin())}] is {test.min()}, and the labels of train_y are classes from 0; expected the "
            "classes of the test set: leave test_y out if they are unknown, or give real numbers as float32"
        )


def describe_unread(name: str) -> DatasetAnswer:
    """Describe a dataset of the operator by its name only, without reading its file."""
    return DatasetAnswer(
        id=name,
        name=name,
        origin=DatasetOrigin.OPERATOR,
        size_bytes=None,
        created_at=None,
        sample_shape=None,
        sample_type=None,
        train_samples=None,
        test_samples=None,
        classes=None,
    )


def describe_dataset(
    dataset: Dataset, dataset_id: str, origin: DatasetOrigin, size_bytes: int | None = None
) -> DatasetAnswer:
    """Describe a dataset that was read.

    Args:
        dataset: The dataset.
        dataset_id: Identifier of the dataset.
        origin: Origin of the dataset.
        size_bytes: Size of an uploaded file, in bytes; None if the dataset was not uploaded.
    """
    of_sets = [each for each in map(classes_in, (dataset.train_y, dataset.test_y)) if each is not None and each.size]
    labels = [] if any(each.min() < 0 for each in of_sets) else [int(each.max()) for each in of_sets]
    counts = count_classes(dataset)
    train, test = (None, None) if counts is None else (counts.train, counts.test)
    targets = dataset.train_y if dataset.train_y is not None else dataset.test_y
    is_upload = origin is DatasetOrigin.UPLOADED
    return DatasetAnswer(
        id=dataset_id,
        name=dataset.name,
        origin=origin,
        size_bytes=0 if origin is DatasetOrigin.BUILT_IN else size_bytes,
        created_at=datetime.now(UTC) if is_upload else None,
        sample_shape=list(dataset.train_x.shape[1:]),
        sample_type=str(dataset.train_x.dtype),
        train_samples=len(dataset.train_x),
        test_samples=len(dataset.test_x),
        target_shape=None if targets is None else list(targets.shape[1:]),
        target_type=None if targets is None else str(targets.dtype),
        classes=max(labels) + 1 if labels else None,
        class_names=None if counts is None else list(counts.names),
        train_class_counts=None if train is None else train.tolist(),
        test_class_counts=None if test is None else test.tolist(),
    )
