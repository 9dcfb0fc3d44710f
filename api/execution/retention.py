"""Retention: networks, datasets and finished jobs that were not used for long are deleted, in small steps.

Each thing is deleted as a caller would delete it, under the same locks, and only if it is still unused in the
transaction that deletes its record: what a job needs that is queued or runs is never deleted. Jobs come first, because
they may need datasets and networks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

from api.errors import InUse, JobNotFinished, NotFound
from api.services.datasets import KIND as DATASET
from api.services.datasets import Datasets
from api.services.jobs import Jobs
from api.services.networks import Networks
from api.settings import Settings
from api.storage.answer_cache import AnswerCache, ProjectAnswers
from api.storage.database import Store
from api.storage.database.quotas import UNLIMITED

LOG: Final = logging.getLogger("bitbudget.retention")

STEP: Final = 5
"""Largest number of things of a kind that one step deletes."""
PAUSE_SECONDS: Final = 60.0
"""Time in seconds to the next step after one that found nothing."""
DELIVERY_DAYS: Final = 30
"""Days for which deliveries to webhooks that have ended are kept."""
_TURN_SECONDS: Final = 0.5
"""Time in seconds between two steps."""
_LAST_SECONDS: Final = 1.0
"""Longest time in seconds that the end of the service waits for a step."""
_DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class _Rule:
    """Retention of one project, or of all projects that have none of their own."""

    project: str | None
    other_than: tuple[str, ...]
    days: float

    @property
    def before(self) -> float:
        """Unix time in seconds before which a deleted thing was last used."""
        return time.time() - self.days * _DAY_SECONDS


class Retention:
    """Deletion of what is not used, in a thread of its own: a store that is slow to delete delays no job.

    Args:
        store: The database.
        settings: Settings of the service, with the days of projects that have none of their own.
        answers: Kept answers, which are deleted with their network.
    """

    def __init__(self, store: Store, settings: Settings, answers: AnswerCache) -> None:
        self._store = store
        self._settings = settings
        self._answers = answers
        self._next_at = 0.0
        self._thread = Thread(target=self._run, name="retention", daemon=True)
        self._is_stopping = Event()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a deletion that does not end soon is given up with the process, and done again later."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join(_LAST_SECONDS)

    def step(self) -> None:
        """Delete a few things, if it is time to."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + PAUSE_SECONDS  # also after an error
        deleted = sum(self._apply(rule) for rule in self._rules())
        deleted += self._store.delete_old_deliveries_of_all_projects(time.time() - DELIVERY_DAYS * _DAY_SECONDS)
        if deleted:
            self._next_at = 0.0

    def _run(self) -> None:
        while not self._is_stopping.wait(_TURN_SECONDS):
            try:
                self.step()
            except Exception:
                if not self._is_stopping.is_set():
                    LOG.exception("retention failed; it is tried again in %g s", PAUSE_SECONDS)

    def _rules(self) -> Iterator[_Rule]:
        own = self._store.retention_of_all_projects()
        for project, days in own.items():
            if days != UNLIMITED:
                yield _Rule(project, (), days)
        if self._settings.retention_days is not None:
            yield _Rule(None, tuple(own), self._settings.retention_days)

    def _apply(self, rule: _Rule) -> int:
        """Delete a few things that a rule concerns; return their number."""
        before = rule.before
        deleted = 0
        for project, job_id in self._store.unused_jobs_of_all_projects(before, STEP, rule.project, rule.other_than):
            jobs = Jobs(self._store.of_project(project), self._settings, _nothing)
            deleted += self._delete(jobs.delete, "job", job_id, project, rule.days, before)
        for project, kind, file_id in self._store.unused_files_of_all_projects(
            before, STEP, rule.project, rule.other_than
        ):
            view = self._store.of_project(project)
            delete = (Datasets if kind == DATASET else Networks)(view, self._settings).delete
            if self._delete(delete, kind, file_id, project, rule.days, before):
                deleted += 1
                ProjectAnswers(self._answers, project).forget(file_id)
            else:  # an unfinished job needs it: it must not come before others in each step
                view.note_file_use(kind, file_id)
        return deleted

    @staticmethod
    def _delete(
        delete: Callable[[str, float], None], kind: str, identifier: str, project: str, days: float, before: float
    ) -> bool:
        try:
            delete(identifier, before)
        except (NotFound, InUse, JobNotFinished):  # another service was faster, or somebody uses it
            return False
        LOG.info("the %s %s of project %s was deleted: not used for %g days", kind, identifier, project, days)
        return True


def _nothing() -> None:
    """Do nothing: a deleted job gives the scheduler nothing to do."""
