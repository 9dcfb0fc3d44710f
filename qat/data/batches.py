"""Which samples are trained on, in which order, and how a batch becomes a tensor.

Every random choice comes from the seed and the epoch alone, so that a run that is resumed goes on as if unbroken. The
samples stay as they are in memory (bytes, for images); only one batch at a time becomes float32.
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
"""Groups whose samples are mixed with each other: what is read at a time, against how random a batch is."""

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


def batches_of(
    indices: Indices, batch_size: int, seed: int, epoch: int, group_starts: Indices | None = None
) -> list[Indices]:
    """All the indices once, in a random order, in batches of nearly equal size and at most `batch_size`, or one more.

    Nearly equal, so that none is too small for batch norm.

    Args:
        indices: of the samples that are trained on.
        batch_size: how many make a step.
        seed: of the run.
        epoch: from 1.
        group_starts: where reading one group of samples after another is cheap (`group_starts_of`), where each
            begins: the order of groups is random, and that of samples within windows of `WINDOW_GROUPS` groups.
    """
    randomness = np.random.default_rng([seed, 1, epoch])
    if group_starts is None:
        order = randomness.permutation(indices)
    else:
        place = randomness.permutation(len(group_starts)) // WINDOW_GROUPS
        window = place[np.searchsorted(group_starts, indices, side="right") - 1]
        order = indices[np.lexsort((randomness.permutation(len(indices)), window))]
    count = min(math.ceil(len(order) / batch_size), len(order) // LEAST_TRAINED_ON)
    return list(np.array_split(order, count))


def group_starts_of(source: SampleSource) -> Indices | None:
    """Where a source's groups begin, for `batches_of`; None where it has none, and any order is as cheap."""
    starts = source.group_starts if isinstance(source, GroupedSource) else np.zeros(1, dtype=np.int64)
    return starts if len(starts) > WINDOW_GROUPS else None


def tensor_of(samples: Samples, network: Network) -> Tensor:
    """A dataset's samples -> float32 [n, c, h, w], channels next to each other in memory: convolutions run faster."""
    # A copy: the dataset's own arrays may be read-only.
    return torch.tensor(to_input_tensor(samples, network)).contiguous(memory_format=torch.channels_last)
