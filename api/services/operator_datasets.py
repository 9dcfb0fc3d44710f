"""Datasets that the operator of the service provides in a directory, which the service only reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from api.schemas.jobs import DIGITS
from api.storage.blobs import is_digest
from network.errors import RequestError
from qat.data.unseen import NO_DATA

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class OperatorDatasets:
    """Datasets in a directory of the service's operator: each entry is a dataset in any supported format.

    A name in a request is compared with the entries and never used as a path. An entry may be a symbolic link, because
    only the operator can create entries.

    Args:
        directory: Path of the directory; None if the operator provides no datasets.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def names(self) -> list[str]:
        """Return the sorted names of the operator's datasets, without names that are not allowed in a request."""
        if self._directory is None:
            return []
        try:
            listed = sorted(each.name for each in self._directory.iterdir())
        except OSError:
            return []  # for example not mounted at the moment: the service works without these datasets
        return [
            each for each in listed if _NAME.fullmatch(each) and each not in {DIGITS, NO_DATA} and not is_digest(each)
        ]

    def path(self, name: str) -> Path | None:
        """Return the path of a dataset in the operator's directory by its name; None if it does not exist.

        Args:
            name: Name of the dataset.
        """
        if self._directory is None or name not in self.names():
            return None
        return self._directory / name


def check_directory(directory: Path) -> None:
    """Check that the operator's directory of datasets exists and can be read.

    Args:
        directory: Path of the directory.

    Raises:
        RequestError: If the directory does not exist or cannot be read.
    """
    try:
        next(directory.iterdir(), None)
    except OSError as error:
        raise RequestError(
            f"cannot read '{directory}' as the directory of datasets: {error.strerror}; expected a directory whose "
            "entries are datasets"
        ) from None
