"""Encoded images as a sample source, decoded to the network's input size when they are indexed. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from network.errors import DatasetError
from network.network import Network
from qat.data.dataset import (
    Dataset,
    GroupedSource,
    Indices,
    Samples,
    SampleSource,
    TargetSource,
    dims_of_samples,
    indices_of,
)
from qat.data.decoding import Crop, ImageSize, decode
from qat.data.encoded_store import EncodedStore
from qat.data.input_arrays import InputArrays
from qat.data.paired_images import EncodedTargets


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Encoded images that are decoded when they are indexed.

    Attributes:
        store: The encoded images.
        size: Size that the images are decoded to. None keeps the size of the images, which must then all be equal.
    """

    store: EncodedStore
    size: ImageSize | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels: uint8."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape [n, height, width, channels] of all images; without `size`, the size of the first image is used."""
        if self.size is not None:
            return (len(self), self.size.height, self.size.width, self.size.channels)
        if not len(self):
            return (0, 0, 0, 0)
        return (len(self), *decode(self.store.read(0), self.store.name_of(0), None).shape)

    @property
    def group_starts(self) -> Indices:
        """Index of the first image of each group, int64 [groups], ascending from 0."""
        store = self.store
        return store.group_starts if isinstance(store, GroupedSource) else np.zeros(1, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, selected: slice | Indices, /) -> Samples:
        return self.cropped(indices_of(selected, len(self)), None)

    def cropped(self, indices: Indices, crops: Sequence[Crop] | None) -> Samples:
        """Decode images and crop each of them.

        Args:
            indices: Indices of the images, int64 [n], from 0.
            crops: One crop for each image, n items, or None to decode without random crops.

        Returns:
            The pixels, uint8 [n, height, width, channels].

        Raises:
            DatasetError: if an image cannot be decoded, or if `size` is None and the images have different sizes.
        """
        images = []
        for place, index in enumerate(indices.tolist()):
            crop = None if crops is None else crops[place]
            images.append(decode(self.store.read(index), self.store.name_of(index), self.size, crop))
            if images[-1].shape != images[0].shape:
                raise DatasetError(
                    f"'{self.store.name_of(index)}' is {images[-1].shape} and others are {images[0].shape} (height, "
                    "width, channels); expected images of one size: resize them, or give the network whose input size "
                    "they are decoded to"
                )
        if not images:
            return np.zeros((0, *self.shape[1:]), dtype=np.uint8)
        return np.stack(images)


def fitted(dataset: Dataset, network: Network) -> Dataset:
    """Return the same dataset in the form that a network reads.

    Encoded images are decoded to the network's input size and channels. One array for each input is joined in the order
    of the network's inputs.

    Masks and target images are decoded to the size of the network's output.

    Args:
        dataset: The dataset. Samples of other kinds stay as they are.
        network: The network that will read the samples.

    Raises:
        DatasetError: if the dataset has encoded images and the network's input is not an image with 1, 3 or 4 channels,
            or if it has arrays that do not fit the network's inputs, or target images and the network's output is not
            such an image.
    """
    return replace(
        dataset,
        train_x=_fitted(dataset.train_x, network, "train_x"),
        train_y=_fitted_targets(dataset.train_y, network),
        test_x=_fitted(dataset.test_x, network, "test_x"),
        test_y=_fitted_targets(dataset.test_y, network),
    )


def _fitted_targets(targets: TargetSource | None, network: Network) -> TargetSource | None:
    return targets.fitted(network) if isinstance(targets, EncodedTargets) else targets


def _fitted(source: SampleSource, network: Network, part: str) -> SampleSource:
    if isinstance(source, InputArrays):
        return source.of_inputs(network.inputs, part)
    if not isinstance(source, EncodedImages):
        return source
    dims = dims_of_samples(network, source.dtype)
    if len(dims) != 3:
        raise DatasetError(
            f"the network reads samples of shape {list(dims)}; encoded images need a network with the input [height, "
            "width, channels]: give the samples as arrays (.npz or .npy)"
        )
    return replace(source, size=ImageSize(*dims))
