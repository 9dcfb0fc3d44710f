"""Datasets that are kept, those of the operator, and the built-in one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from threading import Lock
from typing import Final

from pydantic import AwareDatetime, Field

from api.errors import InUse, NotFound
from api.schemas.answer import Answer
from api.schemas.jobs import DIGITS
from api.services.operator_datasets import OperatorDatasets
from api.settings import MAX_DATASET_EXPANSION, Settings
from api.storage.blobs import Blobs, is_digest
from api.storage.database import Store
from api.storage.records import KeptFile
from api.storage.uploads import Upload
from network.errors import DatasetError
from qat.data.dataset import Dataset
from qat.data.digits import digits
from qat.data.opening import open_file

KIND: Final = "dataset"
FILE_SUFFIX: Final = ".npz"


class DatasetOrigin(StrEnum):
    """Where a dataset comes from."""

    BUILT_IN = "built-in"
    UPLOADED = "uploaded"
    OPERATOR = "operator"


class DatasetAnswer(Answer):
    """Samples to train and test on."""

    id: str = Field(
        description="of an upload the SHA-256 of its file, in hexadecimal; an operator's dataset's name; or 'digits'"
    )
    name: str = Field(description="what reports call it")
    origin: DatasetOrigin = Field(
        default=DatasetOrigin.UPLOADED,
        description="uploaded, built-in, or of the operator: in the directory that the service was given",
    )
    size_bytes: int | None = Field(
        description="of an uploaded file, in bytes; 0 for the built-in dataset, null for an operator's"
    )
    created_at: AwareDatetime | None = Field(description="when it was first uploaded; null for others")
    sample_shape: list[int] | None = Field(
        description="extents of one sample; images are height, width, channels; of encoded images the first one's, and "
        "they are resized to what the network takes. An operator's dataset is looked into when it is asked for by its "
        "name: in a list this and what follows are null"
    )
    sample_type: str | None = Field(description="uint8 or float32")
    train_samples: int | None = Field(description="samples to train on")
    test_samples: int | None = Field(description="samples that accuracy is measured on")
    classes: int | None = Field(description="labels are below this number; null where there are no labels")


class Datasets:
    """The datasets of a data directory, and of the operator's.

    One is in memory at a time: each may take as much as `max_dataset_bytes` times `MAX_DATASET_EXPANSION`.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._blobs = Blobs(settings.datasets_directory, FILE_SUFFIX)
        self._max_bytes = settings.max_dataset_bytes * MAX_DATASET_EXPANSION
        self._of_operator = OperatorDatasets(settings.operator_datasets)
        self.in_memory = Lock()

    def keep(self, upload: Upload) -> tuple[DatasetAnswer, bool]:
        """Keep a dataset, once; and whether it is new.

        Raises:
            DatasetError: it cannot be read; nothing is kept.
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
        if dataset_id == DIGITS:
            return _describe(self._digits, DIGITS, DatasetOrigin.BUILT_IN)
        of_operator = self._of_operator.open(dataset_id, self._max_bytes)
        if of_operator is not None:
            return _describe(replace(of_operator, name=dataset_id), dataset_id, DatasetOrigin.OPERATOR)
        return DatasetAnswer.model_validate(self._file(dataset_id).summary)

    def summaries(self) -> list[DatasetAnswer]:
        """The built-in one, the operator's by name, then uploads, newest first."""
        kept = [DatasetAnswer.model_validate(file.summary) for file in self._store.files(KIND)]
        return [self.describe(DIGITS), *map(_named, self._of_operator.names()), *kept]

    def delete(self, dataset_id: str) -> None:
        """Forget a dataset.

        Raises:
            InUse: an unfinished job needs it, or it is built in or the operator's.
        """
        if dataset_id == DIGITS:
            raise InUse(f"'{DIGITS}' is built in")
        if dataset_id in self._of_operator.names():
            raise InUse(f"'{dataset_id}' is the operator's; it is taken out of the directory of datasets by hand")
        self._file(dataset_id)
        with self.in_memory:
            if not self._store.delete_file(KIND, dataset_id):
                raise InUse("an unfinished job needs this dataset; cancel the job, or wait for it")
            self._blobs.delete(dataset_id)

    def load(self, dataset_id: str) -> Dataset:
        """The samples themselves; hold `in_memory` meanwhile."""
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
                f"there is no dataset {dataset_id[:64]!r}; upload it with POST /v1/datasets, or take '{DIGITS}'"
            )
        return file


def _check_samples(dataset: Dataset) -> None:
    """What is wrong whatever the network; the rest is judged when a job brings both together."""
    for part, samples, labels in (
        ("train", dataset.train_x, dataset.train_y),
        ("test", dataset.test_x, dataset.test_y),
    ):
        if len(samples.shape) < 2 or (labels is not None and (labels.ndim != 1 or len(samples) != len(labels))):
            of_labels = "none" if labels is None else list(labels.shape)
            raise DatasetError(
                f"{part}_x has shape {list(samples.shape)} and {part}_y {of_labels}; "
                "expected [n, ...] and [n]: one label for each sample"
            )
        if not len(samples):
            raise DatasetError(f"{part}_x holds no samples; expected at least one")
        samples[:1]  # raises what is wrong with it
        if labels is not None and labels.min() < 0:
            raise DatasetError(f"{part}_y has the label {labels.min()}; expected classes from 0")


def _named(name: str) -> DatasetAnswer:
    """An operator's dataset that nobody has looked into."""
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
    labels = [int(each.max()) for each in (dataset.train_y, dataset.test_y) if each is not None and each.size]
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
        classes=max(labels) + 1 if labels else None,
    )
