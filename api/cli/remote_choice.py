"""The choice of a command between this machine and the service of `--server`, without the modules of either."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from network.errors import RequestError
from network.reading_options import ReadingOptions

if TYPE_CHECKING:
    from api.cli.remote import Remote


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The files of a command.

    Attributes:
        network_file: Path of the network file; `-` is the standard input.
        reading: Options of reading it.
        data: Path or name of the dataset; None without one.
        label_offset: Number that is added to each label.
    """

    network_file: str
    reading: ReadingOptions
    data: str | None
    label_offset: int


def remote_of_command(*, is_quiet: bool) -> Remote | None:
    """Return the service that the running command uses; None if it works on this machine.

    Args:
        is_quiet: Whether progress is hidden.

    Raises:
        RequestError: If the URL of the service is invalid.
        ServiceFailed: If the service cannot be reached.
    """
    context = click.get_current_context()
    if context.obj is None:
        return None
    from api.cli.remote import Remote

    remote = Remote(context.obj, is_quiet=is_quiet)
    context.call_on_close(remote.close)
    return remote


def check_checkpoints(folder: Path | None) -> None:
    """Reject a directory of checkpoints for a job on a service, which keeps its own.

    Args:
        folder: The directory that the user gave; None without one.

    Raises:
        RequestError: If there is one.
    """
    if folder is not None:
        raise RequestError(
            "--checkpoints is a directory of this machine, and the service keeps the checkpoints of its jobs itself; "
            "leave --checkpoints out"
        )
