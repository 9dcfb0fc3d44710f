"""Directory of the files of one job of the service."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from api.settings import Settings
from api.storage.process_lock import ProcessLock
from api.storage.result_files import REPORT_FILE, STAGING_PREFIX


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
        """Path of the file with the output of all workers of a job, which only the operator reads."""
        return self.root / "log.txt"

    @property
    def checkpoint(self) -> Path:
        """Path of the directory of training checkpoints, from which a later attempt continues the job."""
        return self.root / "checkpoint"

    @property
    def artifacts(self) -> Path:
        """Path of the directory of a job's artifacts, which appears only after all artifacts are complete."""
        return self.root / "artifacts"

    @property
    def has_artifacts(self) -> bool:
        """Whether a job has written all its artifacts."""
        return (self.artifacts / REPORT_FILE).is_file()

    def clear_unfinished(self) -> None:
        """Delete files that a job's worker had not finished when the worker ended."""
        for path in self.root.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)

    def clear_work(self) -> None:
        """Delete the files that only a running job needs: unfinished files and the training checkpoint."""
        self.clear_unfinished()
        shutil.rmtree(self.checkpoint, ignore_errors=True)

    def clear_results(self) -> None:
        """Delete all files of a job except its log and its lock."""
        self.clear_work()
        shutil.rmtree(self.artifacts, ignore_errors=True)
