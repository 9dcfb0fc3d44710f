"""What the worker of an attempt is given, wherever it runs: the options of its command and its environment.

Every executor uses these functions. A worker has all settings of its service except those of the service's connections,
so that a new setting reaches the workers of all executors. They go by the environment, because every user of a machine
can read the options of a command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo

from api.execution.executor import Attempt
from api.execution.job_share import JobShare
from api.server_settings import ServerSettings, secrets_directory
from api.settings import Settings

WORKER_ARGUMENTS: Final = ("-m", "api.execution.worker")
"""Arguments of Python that run a worker."""
WORKER_COMMAND: Final = (sys.executable, *WORKER_ARGUMENTS)

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]
_FIELDS: Final[dict[str, FieldInfo]] = {
    name: field for name, field in Settings.model_fields.items() if name not in ServerSettings.model_fields
}
_NEEDED_SECRETS: Final = ("database_url",)
"""Names of the secret settings without which a worker cannot work."""


def worker_options(attempt: Attempt, share: JobShare) -> list[str]:
    """Return the options of the command of a worker, after the identifier of the job.

    Args:
        attempt: The attempt that the worker runs.
        share: What the job gets of the machine.
    """
    memory = [] if share.memory_bytes is None else [f"--memory-bytes={share.memory_bytes}"]
    return [f"--attempt={attempt.number}", *memory]


def environment_here(settings: Settings, share: JobShare) -> dict[str, str]:
    """Return the whole environment of a worker on this machine: that of the service, and what the worker needs.

    Args:
        settings: Settings of the service.
        share: What the job gets. A number of threads that nobody has chosen gives way to that of the environment.
    """
    threads = {"OMP_NUM_THREADS": str(share.processors)}
    environment = os.environ | threads if share.is_chosen else threads | os.environ
    return environment | {"PYTHONPATH": os.pathsep.join(_import_path())} | _settings_environment(settings)


def environment_elsewhere(settings: Settings, share: JobShare) -> dict[str, str]:
    """Return what a worker on a cluster needs in its environment, without secrets: clusters show it to their users.

    Args:
        settings: Settings of the service.
        share: What the job gets.
    """
    withheld = {_variable(_FIELDS[name]) for name in _secrets(settings)}
    shown = {name: text for name, text in _settings_environment(settings).items() if name not in withheld}
    return shown | {"OMP_NUM_THREADS": str(share.processors)}


def options_elsewhere(settings: Settings) -> list[str]:
    """Return the options that name what a worker needs and `environment_elsewhere` leaves out."""
    return [f"--needs={name}" for name in needed_elsewhere(settings)]


def needed_elsewhere(settings: Settings) -> tuple[str, ...]:
    """Return the names of the environment variables that a process on a cluster needs and is not given."""
    return tuple(_variable(_FIELDS[name]) for name in _secrets(settings) if name in _NEEDED_SECRETS)


def settings_of_worker(needed: Collection[str]) -> Settings:
    """Return the settings of this worker, from its environment and from the files of secrets of its machine.

    Args:
        needed: Names of environment variables that must have a value.

    Raises:
        SystemExit: If one of them has none.
    """
    settings = Settings(_secrets_dir=secrets_directory())  # type: ignore[call-arg]  # of BaseSettings
    for name, field in _FIELDS.items():
        if _variable(field) in needed and getattr(settings, name) is None:
            raise SystemExit(
                f"this machine has no {_variable(field)}, which the service does not send because it is a secret; set "
                "it in the environment of the cluster's nodes, or as a file in their BITBUDGET_SECRETS"
            )
    return settings


def _settings_environment(settings: Settings) -> dict[str, str]:
    return {_variable(field): _text(getattr(settings, name)) for name, field in _FIELDS.items()}


def _secrets(settings: Settings) -> list[str]:
    """Return the names of the secret settings that have a value; a secret is a field that `repr` leaves out."""
    return [name for name, field in _FIELDS.items() if not field.repr and getattr(settings, name) is not None]


def _variable(field: FieldInfo) -> str:
    return str(field.validation_alias)


def _text(value: Any) -> str:
    return "" if value is None else str(value)  # an empty variable counts as not set


def _import_path() -> list[str]:
    """Return the directories in which a worker process finds the packages of bitbudget, installed or not."""
    return [str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
