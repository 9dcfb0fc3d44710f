"""Stores of encoded images: files of a directory tree, and subsets of a store. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from qat.data.dataset import GroupedSource, Indices
from qat.data.decoding import MAX_ENCODED_BYTES
from qat.data.files import read_whole
from qat.data.names import Names, printable


class EncodedStore(Protocol):
    """Encoded images in files, which are read one at a time by their index."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> bytes:
        """Read the encoded content of an image.

        Args:
            index: Index of the image, from 0.

        Raises:
            DatasetError: if the image cannot be read or is too large.
        """

    def name_of(self, index: int) -> str:
        """Name of an image in errors.

        Args:
            index: Index of the image, from 0.
        """


@dataclass(frozen=True, eq=False)
class StorePart:
    """A subset of a store's images, which is itself a store.

    Attributes:
        store: The store of all images.
        indices: Indices of the subset's images in the store, int64 [n], ascending.
    """

    store: EncodedStore
    indices: Indices

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int) -> bytes:
        """Read the encoded content of an image.

        Args:
            index: Index of the image in the subset, from 0.

        Raises:
            DatasetError: if the image cannot be read or is too large.
        """
        return self.store.read(int(self.indices[index]))

    def name_of(self, index: int) -> str:
        """Name of an image in errors.

        Args:
            index: Index of the image in the subset, from 0.
        """
        return self.store.name_of(int(self.indices[index]))

    @property
    def group_starts(self) -> Indices:
        """Index in the subset of the first image of each group, int64 [groups], ascending from 0."""
        if not isinstance(self.store, GroupedSource):
            return np.zeros(1, dtype=np.int64)
        starts = np.unique(np.searchsorted(self.indices, self.store.group_starts))
        return starts[starts < max(1, len(self))]


@dataclass(frozen=True, eq=False)
class FolderStore:
    """Image files of a directory tree.

    Attributes:
        root: Root directory of the tree.
        files: Path of each image relative to the root, with `/` as separator.
    """

    root: Path
    files: Names

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> bytes:
        """Read the content of an image file.

        Args:
            index: Index of the image, from 0.

        Raises:
            DatasetError: if the file cannot be read or is larger than `MAX_ENCODED_BYTES`.
        """
        return read_whole(self.root / self.files[index], MAX_ENCODED_BYTES)

    def name_of(self, index: int) -> str:
        """Name of an image in errors: its path relative to the root.

        Args:
            index: Index of the image, from 0.
        """
        return printable(self.files[index])
