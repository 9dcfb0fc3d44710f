"""Datasets that an operator lays into a directory: named by their entries, read where they lie, never written to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from api.schemas.jobs import DIGITS
from api.storage.blobs import is_digest
from network.errors import RequestError
from qat.data.dataset import Dataset
from qat.data.opening import open_dataset

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class OperatorDatasets:
    """The entries of a directory, each a dataset in any form that is taken.

    A name that comes from outside is looked for among the entries, and never made into a path. An entry may be a
    symbolic link: the operator has put it there.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def names(self) -> list[str]:
        """Those that can be named in a request, in order; an entry of another name is not offered."""
        if self._directory is None:
            return []
        try:
            listed = sorted(each.name for each in self._directory.iterdir())
        except OSError:
            return []  # unmounted for now: the service goes on without
        return [each for each in listed if _NAME.fullmatch(each) and each != DIGITS and not is_digest(each)]

    def open(self, name: str, max_bytes: int) -> Dataset | None:
        """A dataset by its name; None where there is none.

        Raises:
            DatasetError: what lies there is none, or damaged.
        """
        if self._directory is None or name not in self.names():
            return None
        return open_dataset(self._directory / name, max_bytes=max_bytes)


def check_directory(directory: Path) -> None:
    """Refuse a directory that is not there.

    Raises:
        RequestError: no directory, or one that cannot be read.
    """
    try:
        next(directory.iterdir(), None)
    except OSError as error:
        raise RequestError(
            f"cannot read '{directory}' as the directory of datasets: {error.strerror}; name one whose entries are "
            "datasets"
        ) from None
