"""Checks that a dataset fits a network; they run before any other computation. Imports no torch."""

from __future__ import annotations

from typing import Final

import numpy as np

from network.errors import DatasetError
from network.network import Network
from qat.data.dataset import Dataset, Part, SampleSource, dims_of_samples
from qat.data.images import fitted
from qat.data.input_arrays import InputArrays
from qat.data.target_arrays import check_target_shape, check_target_type
from qat.data.unseen import UnseenSamples
from qat.options.task import TaskKind
from qat.tasks.choice import choose_task
from qat.tasks.target_checks import check_count, check_finite, check_targets

_SAMPLES_FROM_FILES: Final = 8
"""Number of samples that are read from files for this check. Other samples are checked when they are read."""


def check_dataset(dataset: Dataset, network: Network, wanted: TaskKind | None = None) -> None:
    """Reject a dataset that does not fit the network, with an error that names the first invalid sample.

    Arrays in memory are checked completely. For samples and targets in files, the counts, the shapes and the first
    samples are checked here, and every other sample when it is read. Targets are optional.

    Args:
        dataset: The dataset to check.
        network: The network that will read its samples.
        wanted: The task that the user wants; None chooses it by the targets and the outputs.

    Raises:
        DatasetError: if a set has no samples, the training set has only one, a shape or type does not match the
            network's input, the targets are not numbers or booleans, they suit no output of the network or not the
            task, a sample or target contains NaN or infinity, or an image cannot be decoded.
    """
    if isinstance(dataset.train_x, UnseenSamples):
        raise DatasetError(
            f"the dataset '{dataset.name}' has no samples, and inputs are made for train and sensitivity alone; "
            "measure a table (bitbudget sensitivity --data none --out FILE), and give the table"
        )
    dataset = fitted(dataset, network)
    parts = {"train": (dataset.train_x, dataset.train_y), "test": (dataset.test_x, dataset.test_y)}
    parts = {part: each for part, each in parts.items() if part == "train" or dataset.has_test_set}
    for part, (samples, targets) in parts.items():
        _check_samples(part, samples, network)
        if targets is not None:
            check_target_type(f"{part}_y", targets.dtype)
            check_target_shape(f"{part}_y", targets.shape)
            check_count(part, samples, targets)
            check_finite(f"{part}_y", targets)
    task = choose_task(network, dataset, wanted)
    for part, (samples, targets) in parts.items():
        if targets is not None:
            check_targets(part, targets, task, network.shapes[task.output])
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


def _check_values(name: str, samples: SampleSource) -> None:
    """Check all float32 samples in memory for NaN and infinity, or read the first samples from files."""
    if isinstance(samples, InputArrays):
        for key, source in samples.sources.items():
            _check_values(f"{name}_{key}", source)
        return
    array = samples.source if isinstance(samples, Part) else samples
    if isinstance(array, np.ndarray):
        check_finite(name, samples)
    else:
        samples[:_SAMPLES_FROM_FILES]  # reading raises the error of an invalid sample
