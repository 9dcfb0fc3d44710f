"""Encoded images as a sample source: decoded when they are taken, to what a network takes. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from network.errors import DatasetError
from network.network import Network
from qat.data.dataset import Dataset, GroupedSource, Indices, Samples, SampleSource, indices_of, sample_dims
from qat.data.decoding import Crop, ImageSize, decode


class EncodedStore(Protocol):
    """Encoded images as they lie in files."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> bytes:
        """An image's file.

        Raises:
            DatasetError: it is not there, or too large.
        """

    def name_of(self, index: int) -> str:
        """What errors call an image."""


@dataclass(frozen=True, eq=False)
class StorePart:
    """Some of a store's images.

    Attributes:
        store: all of them.
        indices: int64, ascending.
    """

    store: EncodedStore
    indices: Indices

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int) -> bytes:
        return self.store.read(int(self.indices[index]))

    def name_of(self, index: int) -> str:
        return self.store.name_of(int(self.indices[index]))

    @property
    def group_starts(self) -> Indices:
        if not isinstance(self.store, GroupedSource):
            return np.zeros(1, dtype=np.int64)
        starts = np.unique(np.searchsorted(self.indices, self.store.group_starts))
        return starts[starts < max(1, len(self))]


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images that are decoded when they are taken.

    Attributes:
        store: where they lie.
        size: what they are decoded to; None before a network is known, when only images of one size can be taken.
    """

    store: EncodedStore
    size: ImageSize | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """Before a network is known, of images as large as the first."""
        if self.size is not None:
            return (len(self), self.size.height, self.size.width, self.size.channels)
        if not len(self):
            return (0, 0, 0, 0)
        return (len(self), *decode(self.store.read(0), self.store.name_of(0), None).shape)

    @property
    def group_starts(self) -> Indices:
        store = self.store
        return store.group_starts if isinstance(store, GroupedSource) else np.zeros(1, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, taken: slice | Indices, /) -> Samples:
        return self.cropped(indices_of(taken, len(self)), None)

    def cropped(self, indices: Indices, crops: Sequence[Crop] | None) -> Samples:
        """uint8 [taken, height, width, channels]; of each image its crop, where there are some.

        Raises:
            DatasetError: one cannot be decoded, or has another size while no network is known.
        """
        images = []
        for place, index in enumerate(indices.tolist()):
            crop = None if crops is None else crops[place]
            images.append(decode(self.store.read(index), self.store.name_of(index), self.size, crop))
            if images[-1].shape != images[0].shape:
                raise DatasetError(
                    f"'{self.store.name_of(index)}' is {images[-1].shape} and others are {images[0].shape} (height, "
                    "width, channels): a network has to say which size they are decoded to"
                )
        if not images:
            return np.zeros((0, *self.shape[1:]), dtype=np.uint8)
        return np.stack(images)


def fitted(dataset: Dataset, network: Network) -> Dataset:
    """The same dataset, its encoded images decoded to the size and the channels that a network takes.

    Raises:
        DatasetError: the network takes no images.
    """
    return replace(dataset, train_x=_fitted(dataset.train_x, network), test_x=_fitted(dataset.test_x, network))


def _fitted(source: SampleSource, network: Network) -> SampleSource:
    if not isinstance(source, EncodedImages):
        return source
    dims = sample_dims(network.input_format, source.dtype)
    if len(dims) != 3:
        raise DatasetError(
            f"the network takes samples of shape {list(dims)}; encoded images need [height, width, channels]"
        )
    return replace(source, size=ImageSize(*dims))
