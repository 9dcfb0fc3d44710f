"""Datasets for training and testing, and the conversion of their samples to a network's input. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError
from network.joined_samples import joined_dims, joined_input
from network.layers import Float32Array
from network.network import Network
from network.network_input import InputFormat, NetworkInput

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


class SampleSource(Protocol):
    """Samples that are indexed like an array: an array in memory, or files that are read when they are indexed.

    Indexing with a slice or with int64 indices returns an array in memory, [selected, *dims], in the requested order.
    If a sample cannot be read, indexing raises a `DatasetError` that names the sample.
    """

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples: uint8 or float32."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all samples together: [n, height, width, channels] for uint8 images, else [n, *dims]."""

    def __len__(self) -> int: ...

    def __getitem__(self, selected: slice | Indices, /) -> Samples: ...


class TargetSource(Protocol):
    """Targets that are indexed like an array: an array in memory, or files such as masks that are read when indexed.

    Indexing with a slice or with int64 indices returns an array in memory, [selected, *dims], in the requested order.
    """

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the targets: an integer type, or float32."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all targets together, [n, *dims]; [n] for one class or number for each sample."""

    def __len__(self) -> int: ...

    def __getitem__(self, selected: slice | Indices, /) -> npt.NDArray[Any]: ...


@runtime_checkable
class GroupedSource(Protocol):
    """A source with samples in groups (row groups, shards), which are fastest to read one group after another."""

    @property
    def group_starts(self) -> Indices:
        """Index of the first sample of each group, int64 [groups], ascending from 0."""


@dataclass(frozen=True)
class NoSamples:
    """The test set of a dataset that has none, such as samples that only calibrate a network.

    Attributes:
        dtype: Type of the training samples.
        dims: Shape of one training sample.
    """

    dtype: np.dtype[Any]
    dims: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all samples together, [0, *dims]."""
        return (0, *self.dims)

    def __len__(self) -> int:
        return 0

    def __getitem__(self, selected: slice | Indices, /) -> Samples:
        none: Samples = np.zeros(self.shape, dtype=self.dtype)[selected]
        return none


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training set and a test set, with or without labels.

    Attributes:
        name: Name of the dataset in reports.
        train_x: Training samples, uint8 [n, height, width, channels] or float32 [n, *dims] in the network's layout.
        train_y: Target of each training sample: its class, int64 [n], from 0; labels, numbers, an image or a mask of
            classes, [n, *dims] (`qat.tasks.choice`). None if the samples have no targets.
        test_x: Test samples, with the type and layout of `train_x`. They only measure quality and never influence
            training. `NoSamples` if there is no test set: nothing is known about quality then.
        test_y: Target of each test sample, in the form of `train_y`; None if the samples have no targets.
        class_names: Name of each class, in the order of the class numbers; None if the dataset has no names.
    """

    name: str
    train_x: SampleSource
    train_y: TargetSource | None
    test_x: SampleSource
    test_y: TargetSource | None
    class_names: tuple[str, ...] | None = None

    @property
    def has_test_set(self) -> bool:
        """Whether there are test samples to measure accuracy on."""
        return not isinstance(self.test_x, NoSamples)


@dataclass(frozen=True, eq=False)
class Part:
    """A subset of a source's samples, which is itself a source and reads nothing before it is indexed.

    Attributes:
        source: The source of all samples.
        indices: Indices of the subset's samples in the source, int64 [n].
    """

    source: SampleSource
    indices: Indices

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples: uint8 or float32."""
        return self.source.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the subset's samples together, [n, *dims]."""
        return (len(self.indices), *self.source.shape[1:])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, selected: slice | Indices, /) -> Samples:
        return self.source[self.indices[selected]]


def classes_in(targets: TargetSource | None) -> Labels | None:
    """Return the class numbers of samples, int64 [n]; None if the targets are missing or are not one whole number each.

    Whole numbers of the shape [n, 1] are one number for each sample, too.

    Args:
        targets: Targets of a dataset, or None.
    """
    if not isinstance(targets, np.ndarray) or targets.dtype.kind not in "iub" or not targets.ndim:
        return None
    if targets.size != len(targets):
        return None
    return targets.reshape(-1).astype(np.int64, copy=False)


def labelled(targets: TargetSource | None) -> Labels:
    """Return the class of each sample, int64 [n], or reject a dataset without classes.

    Args:
        targets: Targets of a dataset, or None.

    Raises:
        DatasetError: if the targets are missing or are not one whole number each.
    """
    labels = classes_in(targets)
    if labels is None:
        raise DatasetError("the samples have no labels; expected the class of each sample: give train_y and test_y")
    return labels


def indices_of(selected: slice | Indices, count: int) -> Indices:
    """Convert a slice or an index array to indices from 0 to `count` - 1, in the requested order.

    Args:
        selected: A slice, or int64 indices [n] from -`count` to `count` - 1.
        count: Number of samples of the source.

    Raises:
        IndexError: if an index is out of range.
    """
    if isinstance(selected, slice):
        return np.arange(*selected.indices(count), dtype=np.int64)
    indices = np.asarray(selected, dtype=np.int64)
    if indices.size and not -count <= indices.min() <= indices.max() < count:
        raise IndexError(f"samples {indices.min()} to {indices.max()} were requested; expected {-count} to {count - 1}")
    return np.where(indices < 0, indices + count, indices)


def sample_dims(input_format: InputFormat, dtype: np.dtype[np.generic]) -> tuple[int, ...]:
    """Return the shape that one sample must have in a dataset; uint8 images are always height, width, channels.

    Args:
        input_format: The network's input format, whose dimensions exclude the batch.
        dtype: Type of the samples, uint8 or float32.
    """
    dims = input_format.dims
    if dtype == np.uint8 and len(dims) == 3 and not input_format.channels_last:
        channels, height, width = dims
        return (height, width, channels)
    return dims


def dims_of_samples(network: Network, dtype: np.dtype[np.generic]) -> tuple[int, ...]:
    """Return the shape that one sample of a network must have in a dataset; that of joined inputs if it has several.

    Args:
        network: The network that reads the samples.
        dtype: Type of the samples, uint8 or float32.
    """
    if len(network.inputs) == 1:
        return sample_dims(network.only_input.format, dtype)
    return joined_dims(network.inputs)


def to_input_tensor(samples: Samples, network: Network) -> Float32Array:
    """Convert samples of a dataset to the normalised input of the network's first layer.

    Args:
        samples: Samples in the layout of the dataset, [n, *dims]; joined if the network has several inputs.
        network: The network that reads them.

    Returns:
        The input, float32 [n, channels, height, width]; several inputs joined, float32 [n, elements].
    """
    if len(network.inputs) == 1:
        return input_tensor_of(samples, network.only_input)
    return joined_input(samples, network.inputs)


def input_tensor_of(samples: Samples, given: NetworkInput) -> Float32Array:
    """Convert the samples of one input of a network to the normalised input tensor.

    Args:
        samples: Samples in the layout of the dataset, [n, *dims].
        given: The input that reads them.

    Returns:
        The tensor, float32 [n, channels, height, width].
    """
    return given.format.to_input_tensor(in_layout_of(samples, given), given.shape)


def in_layout_of(samples: Samples, given: NetworkInput) -> Samples:
    """Return samples in the layout of a network's input; uint8 images of a dataset are height, width, channels."""
    if sample_dims(given.format, samples.dtype) != given.format.dims:
        samples = samples.transpose(0, 3, 1, 2)
    return samples
