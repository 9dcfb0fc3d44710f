"""Directory of the files of one job."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from api.settings import Settings
from api.storage.process_lock import ProcessLock
from api.storage.result_files import REPORT_FILE, STAGING_PREFIX


@dataclass(frozen=True, slots=True)
class JobDirectory:
    """Directory of the files of one job.

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
        """Lock that the worker of the job holds while it is alive."""
        return ProcessLock(self.root / "lock")

    @property
    def log(self) -> Path:
        """Path of the file with the output of all workers of the job, which only the operator reads."""
        return self.root / "log.txt"

    @property
    def checkpoint(self) -> Path:
        """Path of the directory from which a later attempt continues the training."""
        return self.root / "checkpoint"

    @property
    def artifacts(self) -> Path:
        """Path of the directory of the artifacts. It appears only after all artifacts are complete."""
        return self.root / "artifacts"

    @property
    def has_artifacts(self) -> bool:
        """Whether the job has written all its artifacts."""
        return (self.artifacts / REPORT_FILE).is_file()

    def clear_unfinished(self) -> None:
        """Delete files that a worker had not finished when it ended."""
        for path in self.root.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)

    def clear_work(self) -> None:
        """Delete the files that only a running job needs: unfinished files and the checkpoint."""
        self.clear_unfinished()
        shutil.rmtree(self.checkpoint, ignore_errors=True)

    def clear_results(self) -> None:
        """Delete all files except the log and the lock."""
        self.clear_work()
        shutil.rmtree(self.artifacts, ignore_errors=True)
