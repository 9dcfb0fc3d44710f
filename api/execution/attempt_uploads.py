"""Upload of what an attempt saves to the store of the service, while the attempt goes on.

A thread looks for new checkpoints and uploads them. If the store does not answer, the work goes on, and the upload is
tried again: only work that is in the store counts as saved, because the next attempt may run on another machine.
"""

from __future__ import annotations

import logging
import shutil
import time
from threading import Event, Thread
from typing import Final

from api.settings import Settings
from api.storage.attempt_directory import AttemptDirectory, AttemptSuperseded
from api.storage.objects.cache import ObjectCache
from api.storage.objects.errors import StoreUnavailable
from api.storage.objects.object_store import ObjectStore
from api.storage.objects.stored_attempts import ARTIFACTS, CHECKPOINT, AttemptBundle, StoredAttempts
from api.storage.records import Job
from api.storage.saved_work import SavedWork

LOG: Final = logging.getLogger("bitbudget.worker")

LOOK_SECONDS: Final = 1.0
"""Time in seconds between two looks for new checkpoints."""
PAUSE_SECONDS: Final = 5.0
"""Time in seconds after which an upload that has failed is tried again."""
PATIENCE_SECONDS: Final = 60.0
"""Longest time in seconds for which a worker tries to upload the artifacts before the job waits."""


class AttemptUploads:
    """Uploads of one attempt: of checkpoints by a thread, from `start` to `stop`, and of artifacts.

    Args:
        settings: Settings of the worker.
        objects: The store.
        job: The job, with the number of the attempt.
        directory: Directory of the attempt.
    """

    def __init__(self, settings: Settings, objects: ObjectStore, job: Job, directory: AttemptDirectory) -> None:
        self._directory = directory
        self._number = job.attempt
        self._attempts = StoredAttempts(objects, job.id)
        self._bundle = AttemptBundle(objects, job.id, job.attempt, directory)
        self._is_alone = False
        self._cache = ObjectCache(settings.cache_directory, settings.max_cache_bytes)
        self._saved = SavedWork(directory.checkpoint)
        self._uploads = 0
        self._reported = 0
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="uploads", daemon=True)

    def has_grown(self) -> bool:
        """Return whether new work was stored since the last call."""
        uploads = self._uploads
        has_grown, self._reported = uploads > self._reported, uploads
        return has_grown

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, after an upload that is under way."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def store_artifacts(self) -> None:
        """Upload the artifacts, which are complete, in place of the checkpoint; move them into the cache.

        Raises:
            StoreUnavailable: If the store does not answer for a while.
            AttemptSuperseded: If a later attempt has taken the files over.
        """
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._save(ARTIFACTS)
            except StoreUnavailable as error:
                if time.monotonic() > give_up_at:
                    raise
                LOG.warning("the artifacts could not be stored; the worker tries again: %s", error)
                time.sleep(PAUSE_SECONDS)
            except FileNotFoundError as error:
                raise AttemptSuperseded("a later attempt has taken over the files of this one") from error
            else:
                return

    def clear(self, sha256_of: dict[str, str]) -> None:
        """Delete the directory of the attempt, whose artifacts are stored and registered.

        Args:
            sha256_of: SHA-256 of each artifact, by its name; it is moved into the cache.
        """
        for name, sha256 in sha256_of.items():
            self._cache.add(sha256, self._directory.artifacts / name)
        shutil.rmtree(self._directory.root, ignore_errors=True)

    def _run(self) -> None:
        is_new = self._directory.checkpoint.is_dir()  # of an earlier attempt, and perhaps not stored yet
        has_own = False
        pause_seconds = LOOK_SECONDS
        while not self._stopped.wait(pause_seconds):
            has_grown = self._saved.has_grown()
            if not (is_new or has_grown):
                continue
            is_new, has_own, pause_seconds = True, has_own or has_grown, PAUSE_SECONDS
            try:
                self._save(CHECKPOINT)
            except StoreUnavailable as error:
                LOG.warning("the checkpoint could not be stored; it is tried again in %.0f s: %s", PAUSE_SECONDS, error)
            except OSError as error:  # a full disk, or a later attempt has taken the files over
                LOG.warning("the checkpoint could not be stored: %s", error)
            else:
                is_new, pause_seconds = False, LOOK_SECONDS
                self._uploads += has_own

    def _save(self, folder: str) -> None:
        self._bundle.save(folder)
        if not self._is_alone:
            self._attempts.delete_until(self._number - 1)
            self._is_alone = True
