"""Datasets of the service: the uploaded ones, those in the operator's directory, and the built-in one."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from threading import Lock
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from api.errors import InUse, NotFound
from api.schemas.answer import Answer, Count
from api.schemas.jobs import DIGITS
from api.services.operator_datasets import OperatorDatasets
from api.settings import MAX_DATASET_EXPANSION, Settings
from api.storage.blobs import Blobs, is_digest
from api.storage.database import Store
from api.storage.records import KeptFile
from api.storage.uploads import Upload
from network.errors import DatasetError
from qat.data.class_counts import count_classes
from qat.data.dataset import Dataset, classes_in
from qat.data.digits import digits
from qat.data.opening import open_file

KIND: Final = "dataset"
FILE_SUFFIX: Final = ".npz"


class DatasetOrigin(StrEnum):
    """Origin of a dataset of the service: uploaded, built-in, or provided by the operator."""

    BUILT_IN = "built-in"
    UPLOADED = "uploaded"
    OPERATOR = "operator"


class DatasetAnswer(Answer):
    """Description of a dataset for training and testing."""

    id: str = Field(
        description="SHA-256 of an uploaded file, in hexadecimal; the name of an operator's dataset; or 'digits'"
    )
    name: str = Field(description="name of the dataset in reports")
    origin: DatasetOrigin = Field(
        default=DatasetOrigin.UPLOADED,
        description="uploaded; built-in; or operator: an entry of the directory of datasets of the operator",
    )
    size_bytes: Count | None = Field(
        description="size of the uploaded file, in bytes; 0 for the built-in dataset, null for an operator's dataset"
    )
    created_at: AwareDatetime | None = Field(
        description="time of the first upload; null if the dataset was not uploaded"
    )
    sample_shape: list[Annotated[int, Field(ge=1)]] | None = Field(
        description="shape of one sample; for images: height, width, channels. Encoded images are resized to the "
        "input of the network; this is the shape of the first one. In a list, the fields from here on are null for an "
        "operator's dataset, because only a request for this dataset reads it"
    )
    sample_type: str | None = Field(description="data type of a sample: uint8 or float32")
    train_samples: Count | None = Field(description="number of training samples")
    test_samples: Count | None = Field(description="number of test samples")
    target_shape: list[Annotated[int, Field(ge=1)]] | None = Field(
        default=None,
        description="shape of one target; [] for one number for each sample; null without targets. Masks beside "
        "encoded images are resized to the output of the network; this is the shape of the first one",
    )
    target_type: str | None = Field(
        default=None, description="data type of a target, such as int64 or float32; null without targets"
    )
    classes: Count | None = Field(
        description="number of classes: the largest label plus 1; null if the targets are not one whole number for "
        "each sample"
    )
    class_names: list[str] | None = Field(
        default=None,
        description="name of each class, or its number as text; null, like the counts, if the targets are not classes "
        "or there are more than 10,000 classes",
    )
    train_class_counts: list[Count] | None = Field(
        default=None, description="number of training samples of each class; null if they have no labels"
    )
    test_class_counts: list[Count] | None = Field(
        default=None, description="number of test samples of each class; null if they have no labels"
    )


class Datasets:
    """Store of the service's datasets: uploaded ones, those in the operator's directory, and the built-in one.

    One dataset at a time is in memory: it may occupy `max_dataset_bytes` times `MAX_DATASET_EXPANSION`.

    Args:
        store: Database with the records of the uploaded files.
        settings: Settings of the service, with the directories and the limits.

    Attributes:
        in_memory: Lock to hold while a dataset is in memory.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._blobs = Blobs(settings.datasets_directory, FILE_SUFFIX)
        self._max_bytes = settings.max_dataset_bytes * MAX_DATASET_EXPANSION
        self._of_operator = OperatorDatasets(settings.operator_datasets)
        self.in_memory = Lock()

    def keep(self, upload: Upload) -> tuple[DatasetAnswer, bool]:
        """Store an uploaded dataset, unless the same content is stored already.

        Args:
            upload: The uploaded file.

        Returns:
            The description of the dataset, and whether the dataset is new.

        Raises:
            DatasetError: If the file is not a valid dataset; it is not stored.
        """
        known = self._store.file(KIND, upload.digest)
        if known is not None:
            return DatasetAnswer.model_validate(known.summary), False
        with self.in_memory:
            dataset = open_file(upload.path, max_bytes=self._max_bytes)
            _check_samples(dataset)
            answer = _describe(replace(dataset, name=upload.name), upload.digest, DatasetOrigin.UPLOADED, upload)
            self._blobs.keep(upload.digest, upload.path)
            is_new = self._store.add_file(
                KeptFile(
                    kind=KIND,
                    id=upload.digest,
                    name=upload.name,
                    size_bytes=upload.size_bytes,
                    created_at=datetime.now(UTC).timestamp(),
                    summary=answer.model_dump(mode="json"),
                )
            )
        return (answer, True) if is_new else (self.describe(upload.digest), False)

    def describe(self, dataset_id: str) -> DatasetAnswer:
        """Return the description of a dataset.

        Args:
            dataset_id: SHA-256 of an upload in hexadecimal, name of an operator's dataset, or "digits".

        Raises:
            NotFound: If the dataset does not exist.
            DatasetError: If an operator's dataset cannot be read.
        """
        if dataset_id == DIGITS:
            return _describe(self._digits, DIGITS, DatasetOrigin.BUILT_IN)
        of_operator = self._of_operator.open(dataset_id, self._max_bytes)
        if of_operator is not None:
            return _describe(replace(of_operator, name=dataset_id), dataset_id, DatasetOrigin.OPERATOR)
        return DatasetAnswer.model_validate(self._file(dataset_id).summary)

    def summaries(self) -> list[DatasetAnswer]:
        """Describe all datasets: the built-in one, the operator's by name, then the uploaded ones, newest first."""
        kept = [DatasetAnswer.model_validate(file.summary) for file in self._store.files(KIND)]
        return [self.describe(DIGITS), *map(_describe_unread, self._of_operator.names()), *kept]

    def delete(self, dataset_id: str) -> None:
        """Delete an uploaded dataset; raise an error if an unfinished job uses the dataset.

        Args:
            dataset_id: SHA-256 of the file, in hexadecimal.

        Raises:
            NotFound: If the dataset does not exist.
            InUse: If an unfinished job uses the dataset, or if the dataset was not uploaded.
        """
        if dataset_id == DIGITS:
            raise InUse(f"the dataset '{DIGITS}' is built in and cannot be deleted")
        if dataset_id in self._of_operator.names():
            raise InUse(
                f"the dataset '{dataset_id}' belongs to the operator of the service: only the operator can delete it"
            )
        self._file(dataset_id)
        with self.in_memory:
            if not self._store.delete_file(KIND, dataset_id):
                raise InUse(
                    f"an unfinished job uses the dataset '{dataset_id}'; cancel the job, or wait until it has finished"
                )
            self._blobs.delete(dataset_id)

    def load(self, dataset_id: str) -> Dataset:
        """Load a dataset with its samples; the caller must hold the lock `in_memory` while it uses them.

        Args:
            dataset_id: SHA-256 of an upload in hexadecimal, name of an operator's dataset, or "digits".

        Raises:
            NotFound: If the dataset does not exist.
            DatasetError: If the dataset cannot be read.
        """
        if dataset_id == DIGITS:
            return self._digits
        of_operator = self._of_operator.open(dataset_id, self._max_bytes)
        if of_operator is not None:
            return replace(of_operator, name=dataset_id)
        file = self._file(dataset_id)
        return replace(open_file(self._blobs.path(dataset_id), max_bytes=self._max_bytes), name=file.name)

    @cached_property
    def _digits(self) -> Dataset:
        return digits()

    def _file(self, dataset_id: str) -> KeptFile:
        file = self._store.file(KIND, dataset_id) if is_digest(dataset_id) else None
        if file is None:
            raise NotFound(
                f"the dataset {dataset_id[:64]!r} does not exist; upload it with POST /v1/datasets, or use the "
                f"built-in '{DIGITS}'"
            )
        return file


def _check_samples(dataset: Dataset) -> None:
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


def _describe_unread(name: str) -> DatasetAnswer:
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


def _describe(dataset: Dataset, dataset_id: str, origin: DatasetOrigin, upload: Upload | None = None) -> DatasetAnswer:
    of_sets = [each for each in map(classes_in, (dataset.train_y, dataset.test_y)) if each is not None and each.size]
    labels = [] if any(each.min() < 0 for each in of_sets) else [int(each.max()) for each in of_sets]
    counts = count_classes(dataset)
    train, test = (None, None) if counts is None else (counts.train, counts.test)
    targets = dataset.train_y if dataset.train_y is not None else dataset.test_y
    sizes_bytes = {DatasetOrigin.BUILT_IN: 0, DatasetOrigin.OPERATOR: None}
    return DatasetAnswer(
        id=dataset_id,
        name=dataset.name,
        origin=origin,
        size_bytes=upload.size_bytes if upload else sizes_bytes[origin],
        created_at=datetime.now(UTC) if upload else None,
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
