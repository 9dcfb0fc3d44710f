"""Labelled samples to train and test on, and how they become a network's input. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError
from network.layers import Float32Array
from network.network import InputFormat, Network

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


class SampleSource(Protocol):
    """Samples that are taken a few at a time, as from an array: an array in memory, or files that are read when asked.

    Taking some gives an array in memory, [taken, *dims], in the order in which they were asked for. A sample that
    cannot be read raises a `DatasetError` that names it.
    """

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, or float32."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, *dims]: of images of bytes, [n, height, width, channels]."""

    def __len__(self) -> int: ...

    def __getitem__(self, taken: slice | Indices, /) -> Samples: ...


@runtime_checkable
class GroupedSource(Protocol):
    """A source whose samples lie in groups (row groups, shards): one after another, a group's samples are cheap."""

    @property
    def group_starts(self) -> Indices:
        """The index of each group's first sample, ascending, from 0."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples, with labels or without.

    Attributes:
        name: what reports call it.
        train_x: uint8 [n, height, width, channels], or float32 [n, *dims] in the network's own layout.
        train_y: int64 [n], classes from 0; None where nobody has labelled them.
        test_x: as `train_x`. It is only ever measured on: it decides nothing.
        test_y: as `train_y`.
    """

    name: str
    train_x: SampleSource
    train_y: Labels | None
    test_x: SampleSource
    test_y: Labels | None


@dataclass(frozen=True, eq=False)
class Part:
    """Some of a source's samples, themselves a source: what is held out is not read before it is asked for."""

    source: SampleSource
    indices: Indices

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.indices), *self.source.shape[1:])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, taken: slice | Indices, /) -> Samples:
        return self.source[self.indices[taken]]


def labelled(labels: Labels | None) -> Labels:
    """Labels where they are needed.

    Raises:
        DatasetError: there are none.
    """
    if labels is None:
        raise DatasetError("the samples have no labels, and they are needed here")
    return labels


def indices_of(taken: slice | Indices, count: int) -> Indices:
    """Which of `count` samples are asked for, in order, from 0.

    Raises:
        IndexError: one that is not there.
    """
    if isinstance(taken, slice):
        return np.arange(*taken.indices(count), dtype=np.int64)
    indices = np.asarray(taken, dtype=np.int64)
    if indices.size and not -count <= indices.min() <= indices.max() < count:
        raise IndexError(f"samples {indices.min()} to {indices.max()} are asked for, of {count}")
    return np.where(indices < 0, indices + count, indices)


def sample_dims(input_format: InputFormat, dtype: np.dtype[np.generic]) -> tuple[int, ...]:
    """One sample's extents as a dataset must have them: images of bytes are height, width, channels always."""
    dims = input_format.dims
    if dtype == np.uint8 and len(dims) == 3 and not input_format.channels_last:
        channels, height, width = dims
        return (height, width, channels)
    return dims


def to_input_tensor(samples: Samples, network: Network) -> Float32Array:
    """A dataset's samples -> float32 [n, channels, height, width] as the network's first layer takes them."""
    dims = network.input_format.dims
    if sample_dims(network.input_format, samples.dtype) != dims:
        samples = samples.transpose(0, 3, 1, 2)
    return network.input_format.to_input_tensor(samples, network.input_shape)
