"""Datasets of the service: the uploaded ones, those in the operator's directory, and the built-in one.

The service itself reads no dataset: processes with limits read an upload, and describe it. What a later request must
know about it is kept beside the file, as a sketch (`qat.data.sketch`).
"""

from __future__ import annotations

import contextlib
import hashlib
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from api.errors import InUse, NotFound
from api.schemas.datasets import DatasetAnswer, DatasetOrigin
from api.schemas.jobs import DIGITS
from api.services.dataset_descriptions import describe_unread
from api.services.operator_datasets import OperatorDatasets
from api.services.stored_content import add_record, damage_of
from api.settings import MAX_DATASET_EXPANSION, Settings
from api.storage.blobs import is_digest
from api.storage.database import Store
from api.storage.database.quotas import Limits
from api.storage.derived_files import DerivedFiles
from api.storage.disk_space import DiskReserve
from api.storage.objects.errors import DamagedObject
from api.storage.objects.stored_blobs import blobs_of
from api.storage.records import KeptFile
from api.storage.uploads import Upload
from network.errors import DatasetError
from qat.data.dataset import Dataset
from qat.data.digits import digits
from qat.data.opening import open_dataset, open_file
from qat.data.unseen import without_samples

KIND: Final = "dataset"
FILE_SUFFIX: Final = ".npz"

_SKETCH_FILE: Final = "sketch-1.npz"
"""File name with a version number, which must grow when the sketch has something else."""
_OF_DIGITS: Final = hashlib.sha256(DIGITS.encode()).hexdigest()
"""Digest under which the sketch of the built-in dataset is kept."""
Position = tuple[int, float, str]
"""Position in the list of datasets: section, Unix time of an upload in seconds (else 0), name or SHA-256."""
BUILT_IN, OPERATOR, UPLOADED = 0, 1, 2
"""Sections of the list of datasets."""
BEFORE_ALL: Final[Position] = (BUILT_IN, 0.0, "")


class Datasets:
    """Store of the service's datasets: uploaded ones, those in the operator's directory, and the built-in one.

    Args:
        store: Database with the records of the uploaded files.
        settings: Settings of the service, with the directories and the limits.

    Attributes:
        max_bytes: Largest memory that the arrays of one dataset may occupy, in bytes.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._limits = Limits.of(settings)
        self._reserve = DiskReserve(settings)
        self._blobs = blobs_of(store, settings, settings.datasets_directory, FILE_SUFFIX)
        self._sketches = DerivedFiles(settings.derived_directory_of(store.project))
        self._of_operator = OperatorDatasets(settings.operator_datasets)
        self.max_bytes = settings.max_dataset_bytes * MAX_DATASET_EXPANSION

    def known(self, upload: Upload) -> DatasetAnswer | None:
        """Return the description of an upload's content if it is stored already; otherwise None.

        The uploaded file replaces the stored one, which a fault of the disk may have damaged.
        """
        with self._blobs.locked(upload.digest):
            known = self._store.file(KIND, upload.digest)
            if known is None:
                return None
            self._blobs.keep(upload.digest, upload.path)
            self._store.note_file_use(KIND, upload.digest)
        return DatasetAnswer.model_validate(known.summary)

    def require_room(self, size_bytes: int) -> None:
        """Refuse a new upload at once if the quota of the project has no room for it.

        Args:
            size_bytes: Size of the file, in bytes.

        Raises:
            QuotaExceeded: If it has none.
        """
        self._store.require_room(size_bytes, self._limits)

    def keep(self, upload: Upload, answer: DatasetAnswer, sketch: bytes | None) -> tuple[DatasetAnswer, bool]:
        """Store an uploaded dataset that was read, unless the same content is stored already.

        Args:
            upload: The uploaded file.
            answer: Description of the dataset.
            sketch: Content of its sketch; None if it has none.

        Returns:
            The description of the dataset, and whether the dataset is new.

        Raises:
            QuotaExceeded: If the quota of the project has no room for the dataset, which is not stored.
        """
        # The process that reads untrusted files describes the dataset; what identifies the file is known here.
        identity = {"id": upload.digest, "size_bytes": upload.size_bytes, "name": upload.name}
        answer = answer.model_copy(update=identity | {"created_at": datetime.now(UTC)})
        with self._blobs.locked(upload.digest):
            self._blobs.keep(upload.digest, upload.path)
            self.keep_sketch(upload.digest, sketch)
            record = KeptFile(
                kind=KIND,
                id=upload.digest,
                name=upload.name,
                size_bytes=upload.size_bytes,
                created_at=datetime.now(UTC).timestamp(),
                summary=answer.model_dump(mode="json"),
            )
            is_new = add_record(record, self._store, self._blobs, self._limits)
        return (answer, True) if is_new else (self.kept(upload.digest), False)

    def kept(self, dataset_id: str) -> DatasetAnswer:
        """Return the description of an uploaded dataset.

        Raises:
            NotFound: If the dataset does not exist.
        """
        return DatasetAnswer.model_validate(self._file(dataset_id).summary)

    def summaries(self, limit: int, after: Position | None) -> list[tuple[Position, DatasetAnswer]]:
        """Describe the operator's datasets by name, without reading them, then the uploaded ones, newest first.

        Args:
            limit: Largest number of datasets.
            after: Position of the dataset after which the list begins; None for its beginning.

        Returns:
            The position and the description of each dataset.
        """
        section, created_at, last = after or BEFORE_ALL
        found: list[tuple[Position, DatasetAnswer]] = []
        if section < UPLOADED:
            names = [name for name in self._of_operator.names() if section < OPERATOR or name > last]
            found = [((OPERATOR, 0.0, name), describe_unread(name)) for name in names[:limit]]
        if len(found) < limit:
            before = (created_at, last) if section == UPLOADED else None
            files = self._store.files_page(KIND, limit - len(found), before)[: limit - len(found)]
            found += [
                ((UPLOADED, file.created_at, file.id), DatasetAnswer.model_validate(file.summary)) for file in files
            ]
        return found

    def origin(self, dataset_id: str) -> tuple[DatasetOrigin, Path | None, str]:
        """Return the origin, the path and the name of a dataset; only an operator's dataset has a path.

        Args:
            dataset_id: SHA-256 of an upload in hexadecimal, name of an operator's dataset, or "digits".

        Raises:
            NotFound: If the dataset does not exist.
        """
        if dataset_id == DIGITS:
            return DatasetOrigin.BUILT_IN, None, DIGITS
        of_operator = self._of_operator.path(dataset_id)
        if of_operator is not None:
            return DatasetOrigin.OPERATOR, of_operator, dataset_id
        return DatasetOrigin.UPLOADED, None, self._file(dataset_id).name

    def held(self, dataset_id: str, holds: ExitStack, *, is_checked: bool = False) -> Path:
        """Return the path of the file of an uploaded dataset on the local disk.

        Args:
            dataset_id: SHA-256 of the file, in hexadecimal.
            holds: Stack that releases a copy of the file when it is closed.
            is_checked: Whether a copy that is on the disk already is compared with its SHA-256.

        Raises:
            DatasetError: If the file is damaged or missing in the store.
            StoreUnavailable: If the store does not answer.
        """
        try:
            return self._blobs.held(dataset_id, (), holds, is_checked=is_checked)[0]
        except DamagedObject as error:
            raise DatasetError(str(error)) from error

    def sketch_path(self, dataset_id: str) -> Path | None:
        """Return the path of the sketch of an uploaded or built-in dataset; None if there is none."""
        return self._sketches.path(_OF_DIGITS if dataset_id == DIGITS else dataset_id, _SKETCH_FILE)

    def keep_sketch(self, dataset_id: str, sketch: bytes | None) -> None:
        """Store the sketch of an uploaded or built-in dataset; with a full disk, it is made again when it is needed."""
        if sketch is not None:
            with contextlib.suppress(OSError):
                self._sketches.write(_OF_DIGITS if dataset_id == DIGITS else dataset_id, _SKETCH_FILE, sketch)

    def delete(self, dataset_id: str, unused_since: float | None = None) -> None:
        """Delete an uploaded dataset; raise an error if an unfinished job uses the dataset.

        Args:
            dataset_id: SHA-256 of the file, in hexadecimal.
            unused_since: Unix time in seconds; a dataset that was used later counts as in use. None: it does not.

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
        with self._blobs.locked(dataset_id):
            if not self._reserve.with_room(lambda: self._store.delete_file(KIND, dataset_id, unused_since)):
                raise InUse(
                    f"an unfinished job uses the dataset '{dataset_id}'; cancel the job, or wait until it has finished"
                )
            if not self._store.has_file_in_any_project(KIND, dataset_id):
                self._blobs.delete(dataset_id)
        self._sketches.delete(dataset_id)

    def load(self, dataset_id: str) -> Dataset:
        """Load a dataset with its samples; only the worker of a job does so.

        Args:
            dataset_id: SHA-256 of an upload in hexadecimal, name of an operator's dataset, "digits", or "none", which
                has no samples.

        Raises:
            NotFound: If the dataset does not exist.
            DatasetError: If the dataset cannot be read, is damaged or missing.
            StoreUnavailable: If the store does not answer.
        """
        unseen = without_samples(dataset_id)
        if unseen is not None:
            return unseen
        origin, path, name = self.origin(dataset_id)
        if origin is DatasetOrigin.UPLOADED:
            with ExitStack() as holds:
                path = self.held(dataset_id, holds, is_checked=True)
                if damage := damage_of(dataset_id, path):
                    raise DatasetError(damage)
                return replace(open_file(path, max_bytes=self.max_bytes), name=name)
        return digits() if path is None else replace(open_dataset(path, max_bytes=self.max_bytes), name=name)

    def _file(self, dataset_id: str) -> KeptFile:
        file = self._store.file(KIND, dataset_id) if is_digest(dataset_id) else None
        if file is None:
            raise NotFound(
                f"the dataset {dataset_id[:64]!r} does not exist; upload it with POST /v1/datasets, or use the "
                f"built-in '{DIGITS}'"
            )
        return file
