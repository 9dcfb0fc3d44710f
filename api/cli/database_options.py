"""Options and opening of the database of a service, for commands that work on it directly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from api.settings import Settings
from api.storage.database import Store

_Command = TypeVar("_Command", bound=Callable[..., Any])


def database_options(command: _Command) -> _Command:
    """Add the options that say on which service a command works, and --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        click.option(
            "--database",
            "database_url",
            help="URL of the database of the service.  [env: BITBUDGET_DATABASE; default: the file in the data "
            "directory]",
        ),
        click.option(
            "--data",
            "data_directory",
            type=click.Path(path_type=Path),
            help="Data directory of the service.  [env: BITBUDGET_DATA; default: bitbudget-data]",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def opened_database(settings: Settings) -> Iterator[Store]:
    """Open the database of the service for the duration of the context, and create it if it does not exist."""
    if settings.database_url is None:
        settings.data_directory.mkdir(parents=True, exist_ok=True)
    store = Store(settings.database)
    try:
        yield store
    finally:
        store.close()
