"""Where a job's files lie."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from api.operations.train import STAGING_PREFIX
from api.schemas.reports import REPORT_FILE
from api.settings import Settings
from api.storage.process_lock import ProcessLock


@dataclass(frozen=True, slots=True)
class JobDirectory:
    """The directory of one job."""

    root: Path

    @classmethod
    def of(cls, job_id: str, settings: Settings) -> JobDirectory:
        return cls(settings.jobs_directory / job_id)

    @property
    def lock(self) -> ProcessLock:
        return ProcessLock(self.root / "lock")

    @property
    def log(self) -> Path:
        """What the worker printed; for the operator."""
        return self.root / "log.txt"

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint"

    @property
    def artifacts(self) -> Path:
        """There once all artifacts are whole."""
        return self.root / "artifacts"

    @property
    def has_artifacts(self) -> bool:
        return (self.artifacts / REPORT_FILE).is_file()

    def clear_unfinished(self) -> None:
        """Remove what a worker that died was writing."""
        for path in self.root.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)

    def clear_work(self) -> None:
        """Remove everything that only a running job needs."""
        self.clear_unfinished()
        shutil.rmtree(self.checkpoint, ignore_errors=True)

    def clear_results(self) -> None:
        """Leave nothing but the log."""
        self.clear_work()
        shutil.rmtree(self.artifacts, ignore_errors=True)
