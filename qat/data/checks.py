"""Checks that a dataset fits a network; they run before any other computation. Imports no torch."""

from __future__ import annotations

from typing import Final

import numpy as np

from network.errors import DatasetError
from network.network import Network
from qat.data.dataset import Dataset, Labels, Part, SampleSource, dims_of_samples
from qat.data.images import fitted
from qat.data.input_arrays import InputArrays

_SAMPLES_IN_MEMORY: Final = 4096
"""Number of samples in memory that are checked for NaN and infinity at a time."""
_SAMPLES_FROM_FILES: Final = 8
"""Number of samples that are read from files for this check. Other samples are checked when they are read."""


def check_dataset(dataset: Dataset, network: Network) -> None:
    """Reject a dataset that does not fit the network, with an error that names the first invalid sample.

    Arrays in memory are checked completely. For samples in files, the labels, the counts, the shapes and the first
    samples are checked here, and every other sample when it is read. Labels are optional.

    Args:
        dataset: The dataset to check.
        network: The network that will read its samples.

    Raises:
        DatasetError: if the network has several outputs or a single output value, a set has no samples, the training
            set has only one, a shape or type does not match the network's input, a label is not a class of the
            network, a sample contains NaN or infinity, or an image cannot be decoded.
    """
    if len(network.outputs) != 1:
        raise DatasetError(
            f"the network has {len(network.outputs)} outputs ({', '.join(network.outputs)[:200]}); expected one "
            "output: give a network that ends in a single tensor of class scores"
        )
    dataset = fitted(dataset, network)
    classes = network.shapes[network.outputs[0]].elements
    if classes == 1:
        # The largest of one score is always the same class: accuracy would be 100 % for any network.
        raise DatasetError(
            f"the network's output '{network.outputs[0][:80]}' has 1 element; expected a score for each of 2 or more "
            "classes: training and measured sensitivities of regressions and of networks with one logit are not "
            "supported yet. Fit such a network without samples, or give it an output for each of its two classes"
        )
    parts = {"train": (dataset.train_x, dataset.train_y), "test": (dataset.test_x, dataset.test_y)}
    for part, (samples, labels) in parts.items():
        if part == "test" and not dataset.has_test_set:
            continue
        _check_samples(part, samples, network)
        if labels is not None:
            _check_labels(part, samples, labels, classes)
        _check_values(f"{part}_x", samples)
    if len(dataset.train_x) < 2:
        raise DatasetError(
            "train_x holds 1 sample; expected 2 or more, because some are held out to choose the best epoch"
        )


def _check_samples(part: str, samples: SampleSource, network: Network) -> None:
    if samples.dtype not in {np.dtype(np.uint8), np.dtype(np.float32)}:
        raise DatasetError(f"{part}_x holds {samples.dtype}; expected uint8 or float32: convert the samples")
    dims = dims_of_samples(network, samples.dtype)
    if samples.shape[1:] != dims or len(samples.shape) != len(dims) + 1:
        expected = ", ".join(map(str, dims))
        layout = "height, width, channels" if samples.dtype == np.uint8 and len(dims) == 3 else "the network's layout"
        if len(network.inputs) > 1:
            layout = "the inputs " + ", ".join(name[:80] for name in network.input_names[:5]) + ", flattened and joined"
        raise DatasetError(
            f"{part}_x is {samples.dtype} with shape {list(samples.shape)}; "
            f"this network needs [n, {expected}] ({layout})"
        )
    if not len(samples):
        raise DatasetError(f"{part}_x holds no samples; expected at least one: add samples to this set")


def _check_labels(part: str, samples: SampleSource, labels: Labels, classes: int) -> None:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DatasetError(
            f"{part}_y is {labels.dtype} with shape {list(labels.shape)}; expected whole numbers [n], "
            "the class of each sample"
        )
    if len(samples) != len(labels):
        raise DatasetError(
            f"{part}_x holds {len(samples)} samples and {part}_y {len(labels)} labels; expected one label per sample"
        )
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        first = int(outside[0])
        raise DatasetError(
            f"{part}_y[{first}] is {labels[first]} ({outside.size} labels are out of range); expected 0 to "
            f"{classes - 1}, because the network has {classes} classes"
        )


def _check_values(name: str, samples: SampleSource) -> None:
    """Check all float32 samples in memory for NaN and infinity, or read the first samples from files."""
    if isinstance(samples, InputArrays):
        for key, source in samples.sources.items():
            _check_values(f"{name}_{key}", source)
        return
    array = samples.source if isinstance(samples, Part) else samples
    if not isinstance(array, np.ndarray):
        samples[:_SAMPLES_FROM_FILES]  # reading raises the error of an invalid sample
        return
    for start in range(0, len(samples) if samples.dtype == np.float32 else 0, _SAMPLES_IN_MEMORY):
        rows = samples[start : start + _SAMPLES_IN_MEMORY]
        bad = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
        if bad.size:
            raise DatasetError(
                f"{name}[{start + int(bad[0])}] holds NaN or infinity; expected finite numbers: correct or remove "
                "the sample"
            )
