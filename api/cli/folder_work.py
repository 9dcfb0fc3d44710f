"""The work of `train` and `shrink`, whose result is a folder: on this machine, or on a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from api.cli.files import read_dataset, read_network_file
from api.cli.remote_choice import Inputs, check_checkpoints, remote_of_command
from api.cli.text.dataset import shown_first
from api.cli.text.progress import notes_shown, progress_line
from api.schemas.answer import NetworkName
from deploy.result_folder import check_output
from network.network import Network
from qat.data.dataset import Dataset
from qat.progress import Report
from qat.training.process_rank import is_first_process

if TYPE_CHECKING:
    from api.cli.remote import Remote

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class FolderWork:
    """Work whose result is a folder.

    Attributes:
        inputs: The files of the command.
        data: Path or name of the dataset.
        out: The folder.
        checkpoints: Directory of the checkpoints on this machine; None if the user gave none.
        is_quiet: Whether progress is hidden.
    """

    inputs: Inputs
    data: str
    out: Path
    checkpoints: Path | None
    is_quiet: bool

    def done(
        self,
        here: Callable[[Network, NetworkName, Dataset, Report], Found],
        on_service: Callable[[Remote], Found],
    ) -> Found:
        """Do the work where the user wants it, after all checks that cost nothing, and return what was found.

        Args:
            here: Function that does the work on this machine, with the read files and a callback for the progress.
            on_service: Function that lets a service do it.

        Raises:
            BitbudgetError: If the input is invalid, or the work cannot be done.
        """
        service = remote_of_command(is_quiet=self.is_quiet)
        if service is not None:
            check_checkpoints(self.checkpoints)
            check_output(self.out)
            return on_service(service)
        network, name = read_network_file(self.inputs.network_file, self.inputs.reading)
        check_output(self.out)
        dataset = read_dataset(self.data, self.inputs.label_offset)
        with progress_line(is_wanted=not self.is_quiet and is_first_process()) as line:
            return here(network, name, dataset, shown_first(dataset, notes_shown(line)))
