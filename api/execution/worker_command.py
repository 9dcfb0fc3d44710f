"""What the worker of an attempt is given, wherever it runs: the options of its command and its environment.

Every executor uses these functions, so that a setting that workers need is added here alone. Secrets go by the
environment, because every user of a machine can read the options of a command.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from api.execution.executor import Attempt
from api.execution.machine import job_memory_bytes, job_threads
from api.execution.observed_attempt import observing_environment
from api.settings import Settings

WORKER_COMMAND: Final = (sys.executable, "-m", "api.execution.worker")

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]
_STORE_VARIABLES: Final = ("AWS_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Beginnings of the variables by which an S3-compatible store is reached: keys, region, endpoint, certificates."""


def worker_options(settings: Settings, attempt: Attempt) -> list[str]:
    """Return the options of the command of a worker, after the identifier of the job.

    Args:
        settings: Settings of the service. An executor on other machines passes a copy with the paths there.
        attempt: The attempt that the worker runs.
    """
    options = [
        f"--attempt={attempt.number}",
        f"--data-directory={settings.data_directory}",
        f"--max-dataset-bytes={settings.max_dataset_bytes}",
        f"--memory-bytes={job_memory_bytes(settings)}",
        f"--nice={settings.job_nice}",
    ]
    if settings.operator_datasets is not None:
        options.append(f"--operator-datasets={settings.operator_datasets}")
    return options


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables that give a worker the settings of its service, which may have secrets."""
    given = {
        "BITBUDGET_DATABASE": settings.database_url,
        "BITBUDGET_STORE": settings.store_url,
        "BITBUDGET_MAX_CACHE_SIZE": str(settings.max_cache_bytes),
    }
    return {name: value for name, value in given.items() if value is not None} | observing_environment(settings)


def store_environment() -> dict[str, str]:
    """Return the environment variables of this process by which it reaches an S3-compatible store, with its keys."""
    return {name: value for name, value in os.environ.items() if name.upper().startswith(_STORE_VARIABLES)}


def worker_environment(settings: Settings) -> dict[str, str]:
    """Return the whole environment of a worker on this machine: that of the service, and what the worker needs."""
    environment = {"OMP_NUM_THREADS": str(job_threads(settings)), **os.environ}
    return environment | {"PYTHONPATH": os.pathsep.join(_import_path())} | settings_environment(settings)


def _import_path() -> list[str]:
    """Return the directories in which a worker process finds the packages of bitbudget, installed or not."""
    return [str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
