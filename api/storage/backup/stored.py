"""Files of a store of objects in a backup: under the names that they have in a data directory, so that a backup of one
can be restored into the other.

    networks/ID, networks/ID.PART, datasets/ID.npz      bundles `networks/ID`, `datasets/ID`
    jobs/ID/attempt-NUMBER/...                          bundles `jobs/ID/attempt-NUMBER`
"""

from __future__ import annotations

import logging
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from api.settings import Settings
from api.storage.attempt_directory import PREFIX
from api.storage.backup.archive import BackupError
from api.storage.objects.bundles import Bundles
from api.storage.objects.errors import DamagedObject, ObjectMissing
from api.storage.objects.object_store import ObjectStore
from api.storage.objects.stored_attempts import ARTIFACTS, CHECKPOINT, StoredAttempts, attempt_place

LOG: Final = logging.getLogger("bitbudget.store")

FOLDERS: Final = ("networks", "datasets", "jobs")
_ATTEMPT: Final = re.compile(rf"{PREFIX}([0-9]+)")
_TRIES: Final = 3
"""Number of times that a checkpoint is read, which its worker may replace at the same moment."""


class StoredFiles:
    """Files of the store of a service, for its backup.

    Args:
        settings: Settings of the service.
        scratch: Existing directory for copies of files while they are added to the backup.
    """

    def __init__(self, settings: Settings, scratch: Path) -> None:
        self._objects = ObjectStore.of(settings)
        self._scratch = scratch

    @property
    def is_used(self) -> bool:
        """Whether the service has a store."""
        return self._objects is not None

    def of_content(self, folder: str, file_id: str) -> Iterator[tuple[str, Path]]:
        """Yield the name in a backup and a copy of each file of a network or dataset; none if one is damaged.

        Args:
            folder: "networks" or "datasets".
            file_id: Identity of the content.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        return self._of_bundle(f"{folder}/{file_id}", folder, tries=1)

    def of_job(self, job_id: str) -> Iterator[tuple[str, Path]]:
        """Yield the name in a backup and a copy of each file of the newest attempt of a job.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        if self._objects is None or not (numbers := StoredAttempts(self._objects, job_id).numbers()):
            return iter(())
        place = attempt_place(job_id, numbers[-1])
        return self._of_bundle(place, place, tries=_TRIES)

    def _of_bundle(self, place: str, folder: str, tries: int) -> Iterator[tuple[str, Path]]:
        if self._objects is None:
            return
        bundles = Bundles(self._objects)
        for _ in range(tries):
            with TemporaryDirectory(dir=self._scratch, prefix=".backup-") as temporary:
                copies: dict[str, Path] = {}
                try:
                    for number, entry in enumerate(bundles.manifest(place).entries):
                        copies[f"{folder}/{entry.name}"] = Path(temporary) / str(number)
                        bundles.fetch(place, entry, Path(temporary) / str(number))
                except (ObjectMissing, DamagedObject) as error:
                    LOG.info("'%s' could not be read: %s", place, error)
                    continue
                yield from copies.items()
                return


def require_empty(settings: Settings) -> None:
    """Refuse a store that has objects of a service already.

    Raises:
        BackupError: If it has.
        StoreUnavailable: If the store does not answer.
    """
    objects = ObjectStore.of(settings)
    if objects is not None and any(objects.names(folder) for folder in FOLDERS):
        raise BackupError(f"the store '{objects.url}' is not empty; restore into another prefix or bucket")


def move_into_store(settings: Settings, directory: Path, attempts: Mapping[str, int]) -> None:
    """Move restored networks, datasets, checkpoints and artifacts into the store of a service, if it has one.

    Args:
        settings: Settings of the service.
        directory: Directory with the restored files; logs of jobs stay in it.
        attempts: Number of the last attempt of each job, by its identifier.

    Raises:
        StoreUnavailable: If the store does not answer; `clear` deletes what was moved.
    """
    objects = ObjectStore.of(settings)
    if objects is None:
        return
    places: dict[str, dict[str, Path]] = defaultdict(dict)
    for folder in ("networks", "datasets"):
        for path in (directory / folder).glob("*"):
            places[f"{folder}/{path.name.partition('.')[0]}"][path.name] = path
    for root in (directory / "jobs").glob("*"):
        for part in root.iterdir():
            if match := _ATTEMPT.fullmatch(part.name):
                _collect(part, part, places[attempt_place(root.name, int(match[1]))])
            elif part.name in {ARTIFACTS, CHECKPOINT}:  # earlier versions had no directories of attempts
                _collect(part, root, places[attempt_place(root.name, attempts.get(root.name, 0))])
    for place, files in places.items():
        Bundles(objects).write(place, files)
    for folder in ("networks", "datasets"):
        shutil.rmtree(directory / folder, ignore_errors=True)
    for part in (directory / "jobs").glob("*/*"):
        if part.is_dir():
            shutil.rmtree(part)


def clear(settings: Settings) -> None:
    """Delete what a restore that failed has moved into a store, which was empty before."""
    objects = ObjectStore.of(settings)
    if objects is not None:
        for folder in FOLDERS:
            objects.delete(folder)


def _collect(part: Path, root: Path, files: dict[str, Path]) -> None:
    files |= {str(path.relative_to(root)): path for path in part.rglob("*") if path.is_file()}
