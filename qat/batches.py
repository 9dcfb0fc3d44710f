"""Which samples are trained on, in which order, and how a batch becomes a tensor.

Every random choice comes from the seed and the epoch alone, so that a run that is resumed goes on as if unbroken. The
samples stay as they are in memory (bytes, for images); only one batch at a time becomes float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from network.errors import DatasetError
from network.network import Network
from qat.datasets import Dataset, Samples, to_input_tensor

Indices = npt.NDArray[np.int64]

LEAST_TRAINED_ON = 2
"""Batch norm needs two samples for its statistics."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The training set in two: indices of samples that are learned from, and of those that judge each epoch."""

    training: Indices
    validation: Indices


def split_of(dataset: Dataset, fraction: float, seed: int) -> Split:
    """A random split; both parts keep at least one sample.

    Raises:
        DatasetError: too few samples.
    """
    count = len(dataset.train_x)
    held_out = max(1, round(count * fraction))
    if count - held_out < LEAST_TRAINED_ON:
        raise DatasetError(
            f"train_x holds {count} samples, {held_out} of which are held out to choose the best epoch; "
            f"expected at least {LEAST_TRAINED_ON} to remain: give more samples or a smaller validation_fraction"
        )
    order = np.random.default_rng([seed, 0]).permutation(count)
    return Split(order[held_out:], order[:held_out])


def batches_of(indices: Indices, batch_size: int, seed: int, epoch: int) -> list[Indices]:
    """All the indices once, in a random order, in batches of nearly equal size and at most `batch_size`, or one more.

    Nearly equal, so that none is too small for batch norm.
    """
    order = np.random.default_rng([seed, 1, epoch]).permutation(indices)
    count = min(math.ceil(len(order) / batch_size), len(order) // LEAST_TRAINED_ON)
    return list(np.array_split(order, count))


def tensor_of(samples: Samples, network: Network) -> Tensor:
    """A dataset's samples -> float32 [n, c, h, w], channels next to each other in memory: convolutions run faster."""
    # A copy: the dataset's own arrays may be read-only.
    return torch.tensor(to_input_tensor(samples, network)).contiguous(memory_format=torch.channels_last)


def augmented(images: Tensor, generator: np.random.Generator) -> Tensor:
    """Images [n, c, h, w], each shifted by up to an eighth of its side (zeros come in), half of them mirrored."""
    count, _, height, width = images.shape
    down, right = height // 8, width // 8
    around = torch.nn.functional.pad(images, (right, right, down, down)).permute(0, 2, 3, 1)
    rows = generator.integers(0, 2 * down + 1, (count, 1)) + np.arange(height)
    columns = generator.integers(0, 2 * right + 1, (count, 1)) + np.arange(width)
    mirrored = generator.random(count) < 0.5
    columns[mirrored] = columns[mirrored, ::-1]
    which = torch.arange(count)[:, None, None]
    shifted = around[which, torch.from_numpy(rows)[:, :, None], torch.from_numpy(columns)[:, None, :]]
    return shifted.permute(0, 3, 1, 2)
