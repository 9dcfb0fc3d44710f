"""Settings of the service as its workers receive them: by environment variables, whichever executor starts the worker.

A worker has every setting of its service except those of the service's connections, so that a new setting reaches the
workers of all executors. Other users of a machine can read the options of a command, but not its environment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic.fields import FieldInfo

from api.server_settings import ServerSettings, secrets_directory
from api.settings import Settings

_FIELDS: Final[dict[str, FieldInfo]] = {
    name: field for name, field in Settings.model_fields.items() if name not in ServerSettings.model_fields
}
_NEEDED_SECRETS: Final = ("database_url",)
"""Names of the secret settings without which a worker cannot work."""


def worker_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables by which a worker of this machine has the settings of its service."""
    return {_variable(field): _text(getattr(settings, name)) for name, field in _FIELDS.items()}


def shown_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables of a worker without secrets, for a cluster that shows them to its users."""
    withheld = {_variable(_FIELDS[name]) for name in _secrets(settings)}
    return {name: text for name, text in worker_environment(settings).items() if name not in withheld}


def needed_variables(settings: Settings) -> list[str]:
    """Return the names of the variables that a worker needs and `shown_environment` leaves out."""
    return [_variable(_FIELDS[name]) for name in _secrets(settings) if name in _NEEDED_SECRETS]


def settings_of_worker(needed: Iterable[str]) -> Settings:
    """Return the settings of this worker, from its environment and from the files of secrets of its machine.

    Args:
        needed: Names of environment variables that must have a value.

    Raises:
        SystemExit: If one of them has none.
    """
    settings = Settings(_secrets_dir=secrets_directory())  # type: ignore[call-arg]  # of BaseSettings
    for name, field in _FIELDS.items():
        if _variable(field) in set(needed) and getattr(settings, name) is None:
            raise SystemExit(
                f"this machine has no {_variable(field)}, which the service does not send because it is a secret; set "
                "it in the environment of the cluster's nodes, or as a file in their BITBUDGET_SECRETS"
            )
    return settings


def _secrets(settings: Settings) -> list[str]:
    """Return the names of the secret settings that have a value; a secret is a field that `repr` leaves out."""
    return [name for name, field in _FIELDS.items() if not field.repr and getattr(settings, name) is not None]


def _variable(field: FieldInfo) -> str:
    return str(field.validation_alias)


def _text(value: Any) -> str:
    return "" if value is None else str(value)  # an empty variable counts as not set
