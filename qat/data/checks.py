"""Whether a dataset fits a network, before anything is computed from it. Imports no torch."""

from __future__ import annotations

from typing import Final

import numpy as np

from network.errors import DatasetError
from network.network import InputFormat, Network
from qat.data.dataset import Dataset, Labels, Part, SampleSource, sample_dims
from qat.data.images import fitted

_CHECKED_AT_ONCE: Final = 4096
_READ_AT_ONCE: Final = 8
"""Samples that are read for a check where they lie in files; the others are checked while they are read."""


def check_dataset(dataset: Dataset, network: Network) -> None:
    """Refuse a dataset that does not fit the network, naming the first bad sample.

    Arrays are checked whole. Of files, labels, counts, extents and the first samples are; each other sample is checked
    when it is read. Labels may be absent.

    Raises:
        DatasetError: other shapes, labels outside the network's classes, no samples, NaN or infinity, an image that
            cannot be decoded; or a network with several outputs, which labels alone cannot train.
    """
    if len(network.outputs) != 1:
        raise DatasetError(
            f"the network has {len(network.outputs)} outputs ({', '.join(network.outputs)[:200]}); "
            "labels train a network with one"
        )
    dataset = fitted(dataset, network)
    classes = network.shapes[network.outputs[0]].elements
    parts = {"train": (dataset.train_x, dataset.train_y), "test": (dataset.test_x, dataset.test_y)}
    for part, (samples, labels) in parts.items():
        _check_samples(part, samples, network.input_format)
        if labels is not None:
            _check_labels(part, samples, labels, classes)
        _check_first(part, samples)
    if len(dataset.train_x) < 2:
        raise DatasetError("train_x holds 1 sample; expected 2 or more: some are held out to choose the best epoch")


def _check_samples(part: str, samples: SampleSource, input_format: InputFormat) -> None:
    if samples.dtype not in {np.dtype(np.uint8), np.dtype(np.float32)}:
        raise DatasetError(f"{part}_x holds {samples.dtype}; expected uint8 or float32")
    dims = sample_dims(input_format, samples.dtype)
    if samples.shape[1:] != dims or len(samples.shape) != len(dims) + 1:
        expected = ", ".join(map(str, dims))
        layout = "height, width, channels" if samples.dtype == np.uint8 and len(dims) == 3 else "the network's layout"
        raise DatasetError(
            f"{part}_x is {samples.dtype} with shape {list(samples.shape)}; "
            f"this network takes [n, {expected}] ({layout})"
        )
    if not len(samples):
        raise DatasetError(f"{part}_x holds no samples; expected at least one")


def _check_labels(part: str, samples: SampleSource, labels: Labels, classes: int) -> None:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DatasetError(
            f"{part}_y is {labels.dtype} with shape {list(labels.shape)}; expected whole numbers [n], "
            "the class of each sample"
        )
    if len(samples) != len(labels):
        raise DatasetError(f"{part}_x holds {len(samples)} samples and {part}_y {len(labels)} labels; expected as many")
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        first = int(outside[0])
        raise DatasetError(
            f"{part}_y[{first}] is {labels[first]} ({outside.size} labels are outside); the network tells "
            f"{classes} classes apart: expected 0 to {classes - 1}"
        )


def _check_first(part: str, samples: SampleSource) -> None:
    """Read some samples; of those in memory all, where there is something to find in them."""
    array = samples.source if isinstance(samples, Part) else samples
    if not isinstance(array, np.ndarray):
        samples[:_READ_AT_ONCE]  # raises what is wrong with them
        return
    for start in range(0, len(samples) if samples.dtype == np.float32 else 0, _CHECKED_AT_ONCE):
        rows = samples[start : start + _CHECKED_AT_ONCE]
        bad = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
        if bad.size:
            raise DatasetError(f"{part}_x[{start + int(bad[0])}] holds NaN or infinity; expected finite numbers")
