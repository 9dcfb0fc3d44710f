"""Deletions in the store that are still to be done, so that deleting works while the store does not answer.

    data directory/deletions/SHA-256 of the place      a note with the place

A note is written before the first try, and deleted after the last object: what a service that was killed has not
deleted, the next one deletes. A network or dataset that was uploaded again in the meantime is kept.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from api.settings import Settings
from api.storage.content_lock import content_lock
from api.storage.database import Store
from api.storage.disk_space import DiskReserve
from api.storage.objects.errors import StoreUnavailable
from api.storage.objects.object_store import ObjectStore
from api.storage.objects.stored_attempts import StoredAttempts
from deploy.atomic_write import write_atomically

LOG: Final = logging.getLogger("bitbudget.store")

_UNTIL: Final = re.compile(r"jobs/([^/]+)/until-([0-9]+)")
_KINDS: Final = {"networks": "network", "datasets": "dataset"}


class Deletions:
    """Deletions in the store, noted in the data directory.

    Args:
        settings: Settings of the service.
        objects: The store.
    """

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self._settings = settings
        self._objects = objects
        self._directory = settings.data_directory / "deletions"
        self._reserve = DiskReserve(settings)

    def delete(self, *places: str) -> None:
        """Delete all objects below some places now, or later if the store does not answer.

        Args:
            places: `networks/ID` or `datasets/ID`, which the caller has locked, `jobs/ID`, or what `attempts_until`
                returns.

        Raises:
            OSError: If a note cannot be written.
        """
        notes = {place: self.note(place) for place in places}
        try:
            for place, note in notes.items():
                self._objects.delete(place)
                note.unlink(missing_ok=True)
        except StoreUnavailable:
            LOG.warning("'%s' is deleted from the store when the store answers", "', '".join(places))

    def note(self, place: str) -> Path:
        """Note that all objects below a place are to be deleted; return the path of the note.

        Raises:
            OSError: If the note cannot be written.
        """
        note = self._directory / hashlib.sha256(place.encode()).hexdigest()

        def write() -> None:
            self._directory.mkdir(exist_ok=True)
            write_atomically(note, place)

        self._reserve.with_room(write)  # deleting frees space, also on a disk that is full
        return note

    def work_off(self, store: Store) -> None:
        """Do the deletions that are noted, as long as the store answers.

        Args:
            store: The database, which says what was stored again.
        """
        for note in sorted(self._directory.glob("*[0-9a-f]")):
            try:
                self._work_off(store, note.read_text())
            except StoreUnavailable:
                return
            except FileNotFoundError:  # done by the request that has noted it
                continue
            note.unlink(missing_ok=True)

    def _work_off(self, store: Store, place: str) -> None:
        folder, _, rest = place.partition("/")
        if folder in _KINDS:
            with content_lock(store, self._settings, place):
                self._delete_unless(place, lambda: store.has_file_in_any_project(_KINDS[folder], rest))
        elif match := _UNTIL.fullmatch(place):
            StoredAttempts(self._objects, match[1]).delete_until(int(match[2]))
        else:
            self._delete_unless(place, lambda: store.job_of_any_project(rest) is not None)

    def _delete_unless(self, place: str, is_needed: Callable[[], bool]) -> None:
        if not is_needed():
            self._objects.delete(place)


def attempts_until(job_id: str, number: int) -> str:
    """Return the place that stands for the objects of an attempt of a job and of all earlier ones."""
    return f"jobs/{job_id}/until-{number}"
