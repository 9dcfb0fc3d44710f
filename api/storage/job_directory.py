"""Directory of the files of one job of the service."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from api.settings import Settings
from api.storage.attempt_directory import PREFIX, AttemptDirectory, attempt_numbers, claim
from api.storage.process_lock import ProcessLock
from deploy.result_folder import STAGING_PREFIX

_DELETED_PREFIX = f"{STAGING_PREFIX}deleted-"


@dataclass(frozen=True, slots=True)
class JobDirectory:
    """Directory of the files of one job of the service.

    Attributes:
        root: Path of the directory.
    """

    root: Path

    @classmethod
    def of(cls, job_id: str, settings: Settings) -> JobDirectory:
        """Return the directory of a job, which may not exist yet."""
        return cls(settings.jobs_directory / job_id)

    @property
    def lock(self) -> ProcessLock:
        """Lock file that the worker of a job holds while the worker is alive."""
        return ProcessLock(self.root / "lock")

    @property
    def log(self) -> Path:
        """Path of the file with the newest output of all workers of a job."""
        return self.root / "log.txt"

    def attempt(self, number: int) -> AttemptDirectory:
        """Return the directory with the files of one attempt, which may not exist."""
        own = AttemptDirectory(self.root / f"{PREFIX}{number}")
        earlier = AttemptDirectory(self.root)  # earlier versions had no directories of attempts
        return earlier if earlier.has_artifacts and not own.root.exists() else own

    def claim_attempt(self, number: int) -> AttemptDirectory:
        """Take over the files of earlier attempts for one attempt.

        Args:
            number: Number of the attempt, whose worker calls this.

        Raises:
            AttemptSuperseded: If a later attempt has started.
            OSError: If the directory cannot be made.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        return claim(self.root, number)

    def clear_results(self, last_attempt: int) -> None:
        """Delete the files of a job's attempts; its log and its lock are kept.

        Args:
            last_attempt: Number of the last attempt whose files are deleted. A later attempt keeps its files.
        """
        names = [f"{PREFIX}{number}" for number in attempt_numbers(self.root) if number <= last_attempt]
        for name in (*names, "checkpoint", "artifacts"):
            # The atomic rename decides between this deletion and a later attempt that takes the files over.
            deleted = self.root / f"{_DELETED_PREFIX}{uuid.uuid4().hex}"
            try:
                (self.root / name).rename(deleted)
            except FileNotFoundError:
                continue
            except OSError:  # a full disk may refuse the new name
                shutil.rmtree(self.root / name, ignore_errors=True)
        for path in self.root.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)
