"""Files of a job, wherever they are: in its directory, and in the store of the service if it has one."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from api.schemas.reports import Artifact
from api.settings import Settings
from api.storage.job_directory import JobDirectory
from api.storage.objects.bundles import Bundles, Entry
from api.storage.objects.cache import ObjectCache
from api.storage.objects.deletions import Deletions, attempts_until
from api.storage.objects.object_store import ObjectStore
from api.storage.objects.stored_attempts import ARTIFACTS, StoredAttempts, attempt_place


class JobFiles:
    """Files of one job, for the service; the worker of an attempt writes them.

    Args:
        job_id: Identifier of the job.
        settings: Settings of the service.
    """

    def __init__(self, job_id: str, settings: Settings) -> None:
        self._job_id = job_id
        self._settings = settings
        self._directory = JobDirectory.of(job_id, settings)
        self._objects = ObjectStore.of(settings)

    def clear_results(self, last_attempt: int) -> None:
        """Delete the files of a job's attempts; its log and its lock are kept.

        In the store, they are deleted soon, by the thread that does so.

        Args:
            last_attempt: Number of the last attempt whose files are deleted. A later attempt keeps its files.
        """
        if self._objects is not None:
            Deletions(self._settings, self._objects).note(attempts_until(self._job_id, last_attempt))
        self._directory.clear_results(last_attempt)

    def clear_results_now(self, last_attempt: int) -> None:
        """Delete the files of a job's attempts, so that the next attempt does not continue from them.

        Args:
            last_attempt: Number of the last attempt.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        if self._objects is not None:
            StoredAttempts(self._objects, self._job_id).delete_until(last_attempt)
        self._directory.clear_results(last_attempt)

    def delete(self) -> None:
        """Delete all files of a job; if the store does not answer, its objects are deleted later."""
        if self._objects is not None:
            Deletions(self._settings, self._objects).delete(f"jobs/{self._job_id}")
        shutil.rmtree(self._directory.root, ignore_errors=True)

    def held_artifact(self, attempt: int, artifact: Artifact, holds: ExitStack) -> Path:
        """Return the path of a file that a job has produced, on the local disk.

        Args:
            attempt: Number of the attempt that has produced it.
            artifact: Description of the file.
            holds: Stack that releases a copy of the file when it is closed.

        Raises:
            ObjectMissing: If the file is missing in the store.
            DamagedObject: If it is damaged there.
            StoreUnavailable: If the store does not answer.
            OSError: If the disk is full.
        """
        if self._objects is None:
            return self._directory.attempt(attempt).artifacts / artifact.name
        entry = Entry(name=f"{ARTIFACTS}/{artifact.name}", size_bytes=artifact.size_bytes, sha256=artifact.sha256)
        cache = ObjectCache(self._settings.cache_directory, self._settings.max_cache_bytes)
        place = attempt_place(self._job_id, attempt)
        return cache.hold(entry.sha256, partial(Bundles(self._objects).fetch, place, entry), holds)
