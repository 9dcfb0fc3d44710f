"""Files of the attempts of a job in a store: checkpoints while it runs, artifacts when it is complete.

    jobs/JOB/attempt-NUMBER/      a bundle: checkpoint/..., or artifacts/... when they are complete

An attempt writes into its own bundle alone, so that one that was superseded cannot touch what a later one has saved. A
later attempt continues from the newest bundle, unless the disk has files of the same attempt or of a later one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Final

from api.storage.attempt_directory import PREFIX, AttemptDirectory, AttemptSuperseded, attempt_numbers
from api.storage.objects.bundles import MANIFEST, Bundles, Entry, Manifest
from api.storage.objects.errors import DamagedObject, ObjectMissing
from api.storage.objects.object_store import ObjectStore
from deploy.result_folder import STAGING_PREFIX

LOG: Final = logging.getLogger("bitbudget.store")

ARTIFACTS: Final = "artifacts"
CHECKPOINT: Final = "checkpoint"
_MANIFEST: Final = re.compile(rf"{PREFIX}([1-9][0-9]*)/{re.escape(MANIFEST)}")
_OWNER: Final = re.compile(rf"{PREFIX}([0-9]+)/")
_TRIES: Final = 5
"""Number of times that files are read which a worker replaces at the same moment."""

_Mark = tuple[int, int, int]
"""What changes when a file is replaced: inode, time of the change in nanoseconds, size in bytes."""


def attempt_place(job_id: str, number: int) -> str:
    """Return the name of the bundle of an attempt in the store."""
    return f"jobs/{job_id}/{PREFIX}{number}"


class StoredAttempts:
    """Bundles of all attempts of one job.

    Args:
        objects: The store.
        job_id: Identifier of the job.
    """

    def __init__(self, objects: ObjectStore, job_id: str) -> None:
        self._objects = objects
        self._bundles = Bundles(objects)
        self._job_id = job_id

    def numbers(self) -> list[int]:
        """Return the numbers of the attempts that have a bundle, in ascending order.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        folder = f"jobs/{self._job_id}"
        names = (name.removeprefix(f"{folder}/") for name in self._objects.names(folder))
        return sorted(int(match[1]) for match in map(_MANIFEST.fullmatch, names) if match)

    def bring(self, number: int, job_root: Path) -> None:
        """Copy the files of the newest earlier attempt to the disk, unless the disk has them already.

        Args:
            number: Number of the attempt that is about to take over the files of earlier ones.
            job_root: Directory of the job, which exists.

        Raises:
            AttemptSuperseded: If a later attempt has stored something.
            StoreUnavailable: If the store does not answer.
            OSError: If the disk cannot be written.
        """
        for _ in range(_TRIES):
            stored = self.numbers()
            if stored and stored[-1] > number:
                raise AttemptSuperseded(f"attempt {stored[-1]} of the job has started; attempt {number} ends")
            local = attempt_numbers(job_root)
            if not stored or (local and local[-1] >= stored[-1]):
                return
            try:
                self._copy(stored[-1], job_root)
            except (ObjectMissing, DamagedObject) as error:  # its worker, which lives on, has just replaced them
                LOG.warning("the checkpoint of attempt %d could not be read: %s", stored[-1], error)
                continue
            for earlier in local:
                shutil.rmtree(job_root / f"{PREFIX}{earlier}", ignore_errors=True)
            return
        LOG.warning("job %s begins without the checkpoint in the store, which is damaged", self._job_id)

    def delete_until(self, number: int) -> None:
        """Delete all that an attempt and earlier ones have stored; what later ones have stored is kept.

        Args:
            number: Number of the attempt.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        folder = f"jobs/{self._job_id}"
        found = [(name, _OWNER.match(name.removeprefix(f"{folder}/"))) for name in self._objects.names(folder)]
        self._objects.delete_objects([name for name, match in found if match and int(match[1]) <= number])

    def _copy(self, number: int, job_root: Path) -> None:
        place = attempt_place(self._job_id, number)
        manifest = self._bundles.manifest(place)
        copied = Path(mkdtemp(prefix=STAGING_PREFIX, dir=job_root))
        try:
            for entry in manifest.entries:
                target = copied / entry.name
                target.parent.mkdir(parents=True, exist_ok=True)
                self._bundles.fetch(place, entry, target)
            copied.rename(job_root / f"{PREFIX}{number}")
        finally:
            shutil.rmtree(copied, ignore_errors=True)


class AttemptBundle:
    """Bundle of one attempt, which its worker writes.

    Args:
        objects: The store.
        job_id: Identifier of the job.
        number: Number of the attempt.
        directory: Directory of the attempt on the disk.
    """

    def __init__(self, objects: ObjectStore, job_id: str, number: int, directory: AttemptDirectory) -> None:
        self._bundles = Bundles(objects)
        self._place = attempt_place(job_id, number)
        self._directory = directory
        self._saved: dict[str, tuple[_Mark, Entry]] = {}

    def save(self, folder: str) -> Manifest:
        """Replace the bundle by the present files of a folder; files that are written meanwhile are as they were.

        Args:
            folder: `checkpoint` or `artifacts`.

        Raises:
            StoreUnavailable: If the store does not answer; the earlier bundle is as it was.
            OSError: If the disk cannot be read, or the attempt was superseded.
        """
        with TemporaryDirectory(prefix=STAGING_PREFIX, dir=self._directory.root) as linked:
            marks = self._link(folder, Path(linked))
            saved = {name: entry for name, (mark, entry) in self._saved.items() if marks.get(name) == mark}
            files = {name: Path(linked) / name for name in marks.keys() - saved.keys()}
            manifest = self._bundles.write(self._place, files, saved)
        self._saved = {entry.name: (marks[entry.name], entry) for entry in manifest.entries}
        self._bundles.delete_others(self._place, manifest)
        return manifest

    def _link(self, folder: str, target: Path) -> dict[str, _Mark]:
        """Give the files of a folder second names, which keep their contents when they are replaced.

        They are those of one moment, unless files are replaced all the time: then they are like those that a crash
        leaves, from which a job continues too.
        """
        linked: dict[str, _Mark] = {}
        for _ in range(_TRIES):
            shutil.rmtree(target, ignore_errors=True)
            for name in _marks(self._directory.root, folder):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # replaced or deleted in this moment
                    os.link(self._directory.root / name, target / name)
            linked = _marks(target, folder)
            if linked == _marks(self._directory.root, folder):
                break
        if not linked:
            raise FileNotFoundError(f"the folder '{folder}' has no files")
        return linked


def _marks(root: Path, folder: str) -> dict[str, _Mark]:
    """Return the mark of each finished file of a folder, by its path from the root."""
    marks: dict[str, _Mark] = {}
    for place, _, names in os.walk(root / folder):
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            marks[str(path.relative_to(root))] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return marks
