"""Datasets that are kept, and the built-in one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from threading import Lock
from typing import Final

import numpy as np
from pydantic import AwareDatetime, Field

from api.answers import Answer
from api.blobs import Blobs, is_digest
from api.job_requests import DIGITS
from api.problems import InUse, NotFound
from api.records import KeptFile
from api.settings import MAX_DATASET_EXPANSION, Settings
from api.store import Store
from api.uploads import Upload
from network.errors import DatasetError
from qat.datasets import Dataset, digits, read_npz

KIND: Final = "dataset"
FILE_SUFFIX: Final = ".npz"


class DatasetAnswer(Answer):
    """Labelled samples to train and test on."""

    id: str = Field(description="SHA-256 of the file, in hexadecimal; or 'digits', the built-in dataset")
    name: str = Field(description="what reports call it")
    size_bytes: int = Field(description="of the file, in bytes; 0 for the built-in dataset")
    created_at: AwareDatetime | None = Field(description="when it was first uploaded; null for the built-in dataset")
    sample_shape: list[int] = Field(description="extents of one sample; images are height, width, channels")
    sample_type: str = Field(description="uint8 or float32")
    train_samples: int = Field(description="samples to train on")
    test_samples: int = Field(description="samples that accuracy is measured on")
    classes: int = Field(description="labels are below this number")


class Datasets:
    """The datasets of a data directory.

    One is in memory at a time: each may take as much as `max_dataset_bytes` times `MAX_DATASET_EXPANSION`.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._blobs = Blobs(settings.datasets_directory, FILE_SUFFIX)
        self._max_bytes = settings.max_dataset_bytes * MAX_DATASET_EXPANSION
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
            dataset = read_npz(upload.path, max_bytes=self._max_bytes)
            _check_labelled(dataset)
            answer = _describe(replace(dataset, name=upload.name), upload)
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
            return _describe(self._digits, None)
        return DatasetAnswer.model_validate(self._file(dataset_id).summary)

    def summaries(self) -> list[DatasetAnswer]:
        """The built-in one, then newest first."""
        kept = [DatasetAnswer.model_validate(file.summary) for file in self._store.files(KIND)]
        return [self.describe(DIGITS), *kept]

    def delete(self, dataset_id: str) -> None:
        """Forget a dataset.

        Raises:
            InUse: an unfinished job needs it, or it is built in.
        """
        if dataset_id == DIGITS:
            raise InUse(f"'{DIGITS}' is built in")
        self._file(dataset_id)
        with self.in_memory:
            if not self._store.delete_file(KIND, dataset_id):
                raise InUse("an unfinished job needs this dataset; cancel the job, or wait for it")
            self._blobs.delete(dataset_id)

    def load(self, dataset_id: str) -> Dataset:
        """The samples themselves; hold `in_memory` meanwhile."""
        if dataset_id == DIGITS:
            return self._digits
        file = self._file(dataset_id)
        return replace(read_npz(self._blobs.path(dataset_id), max_bytes=self._max_bytes), name=file.name)

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


def _check_labelled(dataset: Dataset) -> None:
    """What is wrong whatever the network; the rest is judged when a job brings both together."""
    for part, samples, labels in (
        ("train", dataset.train_x, dataset.train_y),
        ("test", dataset.test_x, dataset.test_y),
    ):
        if labels.ndim != 1 or samples.ndim < 2 or len(samples) != len(labels):
            raise DatasetError(
                f"{part}_x has shape {list(samples.shape)} and {part}_y {list(labels.shape)}; "
                "expected [n, ...] and [n]: one label for each sample"
            )
        if not len(samples):
            raise DatasetError(f"{part}_x holds no samples; expected at least one")
        if labels.min() < 0:
            raise DatasetError(f"{part}_y has the label {labels.min()}; expected classes from 0")


def _describe(dataset: Dataset, upload: Upload | None) -> DatasetAnswer:
    return DatasetAnswer(
        id=upload.digest if upload else dataset.name,
        name=dataset.name,
        size_bytes=upload.size_bytes if upload else 0,
        created_at=datetime.now(UTC) if upload else None,
        sample_shape=list(dataset.train_x.shape[1:]),
        sample_type=str(dataset.train_x.dtype),
        train_samples=len(dataset.train_x),
        test_samples=len(dataset.test_x),
        classes=int(max(np.max(dataset.train_y), np.max(dataset.test_y))) + 1,
    )
