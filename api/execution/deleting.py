"""Thread that deletes in the store what requests and jobs have noted, also what was noted while it did not answer."""

from __future__ import annotations

import logging
from threading import Event, Thread
from typing import Final

from api.storage.database import Store
from api.storage.objects.deletions import Deletions

LOG: Final = logging.getLogger("bitbudget.store")

LOOK_SECONDS: Final = 5.0
"""Time in seconds between two looks at the notes."""
_END_SECONDS: Final = 2.0
"""Longest time in seconds that the end of the service waits for a store that does not answer."""


class DeletionThread:
    """Thread that works off the deletions of a service, from `start` to `stop`.

    Args:
        store: The database.
        deletions: Deletions that are noted.
    """

    def __init__(self, store: Store, deletions: Deletions) -> None:
        self._store = store
        self._deletions = deletions
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="deletions", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; what is not deleted yet stays noted."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                self._deletions.work_off(self._store)
            except Exception:
                LOG.exception("the deletions in the store failed; they are tried again in %s s", LOOK_SECONDS)
