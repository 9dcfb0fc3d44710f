"""What an operator can set about the service, and where its data lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIB: Final = 2**20

DEFAULT_DATA_DIRECTORY: Final = Path("bitbudget-data")
DEFAULT_MAX_NETWORK_BYTES: Final = 64 * MIB
DEFAULT_MAX_DATASET_BYTES: Final = 512 * MIB
MAX_DATASET_EXPANSION: Final = 4
"""How many times the upload limit a dataset's arrays may take of memory once they are unpacked."""
MAX_JSON_BODY_BYTES: Final = MIB
MULTIPART_OVERHEAD_BYTES: Final = 64 * 1024
"""Boundaries and headers around the file of a multipart upload."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The service's settings.

    Attributes:
        data_directory: everything that the service keeps; no two services may share one.
        max_network_bytes: the largest network file that is taken.
        max_dataset_bytes: the largest dataset file that is taken.
        max_concurrent_jobs: jobs that train at once; the others wait.
        max_crashes: how often the worker of one job may die and be started again before the job has failed.
        grace_seconds: between asking a worker to end and ending it.
        turn_seconds: how often the runner looks after its jobs.
        operator_datasets: a directory whose entries are datasets by their names; None: there are none.
    """

    data_directory: Path
    max_network_bytes: int = DEFAULT_MAX_NETWORK_BYTES
    max_dataset_bytes: int = DEFAULT_MAX_DATASET_BYTES
    max_concurrent_jobs: int = 1
    max_crashes: int = 1
    grace_seconds: float = 5.0
    turn_seconds: float = 0.2
    operator_datasets: Path | None = None

    @property
    def database(self) -> Path:
        return self.data_directory / "bitbudget.sqlite"

    @property
    def networks_directory(self) -> Path:
        return self.data_directory / "networks"

    @property
    def derived_directory(self) -> Path:
        """What was computed from kept networks; it may be deleted at any time."""
        return self.data_directory / "derived"

    @property
    def datasets_directory(self) -> Path:
        return self.data_directory / "datasets"

    @property
    def incoming_directory(self) -> Path:
        """Uploads on their way; whatever a crash left here is worthless."""
        return self.data_directory / "incoming"

    @property
    def jobs_directory(self) -> Path:
        return self.data_directory / "jobs"
