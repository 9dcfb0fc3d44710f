"""Split of the training set, order of the batches, and conversion of a batch to a tensor.

Random choices depend on the seed and the epoch only, so a resumed run continues exactly like an uninterrupted one.
Samples keep their stored type in memory (uint8 for images); one batch at a time is converted to float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from network.errors import DatasetError
from network.network import Network
from qat.data.dataset import Dataset, GroupedSource, Indices, Samples, SampleSource, to_input_tensor

WINDOW_GROUPS = 4
"""Number of groups whose samples are shuffled together. More groups make batches more random and need more memory."""

MIN_TRAINING_SAMPLES = 2
"""Smallest number of samples in a training set and in a batch: batch norm needs two samples for its statistics."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Split of the training set into samples for training and samples for validation.

    Attributes:
        training: Indices of the samples that the network is trained on, int64 [n].
        validation: Indices of the held-out samples that each epoch is validated on, int64 [m].
    """

    training: Indices
    validation: Indices


def split_of(dataset: Dataset, fraction: float, seed: int) -> Split:
    """Return a random split of the training set, with at least one sample for validation.

    Args:
        dataset: The dataset whose training set is split.
        fraction: Share of the samples that is held out for validation, 0 to 1.
        seed: Seed of the training run, a whole number from 0.

    Raises:
        DatasetError: if fewer than `MIN_TRAINING_SAMPLES` samples remain for training.
    """
    count = len(dataset.train_x)
    held_out = max(1, round(count * fraction))
    if count - held_out < MIN_TRAINING_SAMPLES:
        raise DatasetError(
            f"train_x holds {count} samples, {held_out} of which are held out to choose the best epoch; at least "
            f"{MIN_TRAINING_SAMPLES} must remain for training: give more samples or a smaller validation_fraction"
        )
    order = np.random.default_rng([seed, 0]).permutation(count)
    return Split(order[held_out:], order[:held_out])


def batches_of(
    indices: Indices, batch_size: int, seed: int, epoch: int, group_starts: Indices | None = None
) -> list[Indices]:
    """Return the batches of an epoch: every index once, in random order.

    The batches have nearly equal sizes, so that none is too small for batch norm. A batch has at most `batch_size`
    samples, or one more where a last batch of one sample would be left.

    Args:
        indices: Indices of the samples that the network is trained on, int64 [n].
        batch_size: Number of samples of a training step, from 1.
        seed: Seed of the training run, a whole number from 0.
        epoch: Number of the epoch, from 1.
        group_starts: Index of the first sample of each group, int64 [groups], ascending from 0 (`group_starts_of`),
            or None. If given, the groups are shuffled, and samples are shuffled within windows of `WINDOW_GROUPS`
            groups, so that few groups are read at a time.

    Returns:
        The sample indices of each batch.
    """
    randomness = np.random.default_rng([seed, 1, epoch])
    if group_starts is None:
        order = randomness.permutation(indices)
    else:
        place = randomness.permutation(len(group_starts)) // WINDOW_GROUPS
        window = place[np.searchsorted(group_starts, indices, side="right") - 1]
        order = indices[np.lexsort((randomness.permutation(len(indices)), window))]
    return list(np.array_split(order, steps_of_epoch(len(order), batch_size)))


def steps_of_epoch(samples: int, batch_size: int) -> int:
    """Return the number of batches of an epoch, which is its number of optimizer steps.

    Args:
        samples: Number of samples that the network is trained on.
        batch_size: Number of samples of a training step, from 1.
    """
    return min(math.ceil(samples / batch_size), samples // MIN_TRAINING_SAMPLES)


def group_starts_of(source: SampleSource) -> Indices | None:
    """Return the index of the first sample of each group of a source, int64 [groups].

    None is returned if the source has at most `WINDOW_GROUPS` groups; its samples can then be read in any order.

    Args:
        source: The samples.
    """
    starts = source.group_starts if isinstance(source, GroupedSource) else np.zeros(1, dtype=np.int64)
    return starts if len(starts) > WINDOW_GROUPS else None


def tensor_of(samples: Samples, network: Network) -> Tensor:
    """Convert samples of a dataset to the network's input tensor.

    Args:
        samples: Samples in the layout of the dataset, [n, *dims].
        network: The network that reads them.

    Returns:
        The normalised input, float32 [n, c, h, w]. Its memory format is channels last, which is faster for
        convolutions. Several inputs are joined, float32 [n, elements].
    """
    # The tensor is a copy, because arrays of the dataset may be read-only.
    return contiguous(torch.tensor(to_input_tensor(samples, network)))


def contiguous(values: Tensor) -> Tensor:
    """Return the same values in the memory format channels last if they are images, else contiguous."""
    return values.contiguous(memory_format=torch.channels_last if values.ndim == 4 else torch.contiguous_format)
