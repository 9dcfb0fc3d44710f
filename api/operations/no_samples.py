"""Post-training of a network without any samples: what may be asked for, and the inputs that are made for it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import numpy as np

from deploy.atomic_write import write_atomically
from network.errors import RequestError
from network.network import Network
from qat.data.dataset import Dataset
from qat.data.unseen import NO_DATA, UnseenSamples
from qat.options.post_training import PostTrainingOptions
from qat.options.training import TrainingOptions
from qat.progress import Report

INPUTS_FILE: Final = "made-inputs.npy"
"""File among the checkpoints with the inputs that were made."""


def is_without_samples(dataset: Dataset) -> bool:
    """Return whether a dataset has no samples, so that inputs must be made for the network."""
    return isinstance(dataset.train_x, UnseenSamples)


def options_without_samples(options: TrainingOptions) -> TrainingOptions:
    """Return the options with which a network is quantized without samples: post-training alone.

    Args:
        options: The options as they were given.

    Raises:
        RequestError: If the options ask for a training.
    """
    if options.epochs:
        raise RequestError(
            f"epochs is {options.epochs}, and the dataset is '{NO_DATA}': a network cannot be trained without samples. "
            "Leave epochs out, or give 0, for post-training alone; or give a dataset"
        )
    post_training = PostTrainingOptions() if options.post_training is None else options.post_training
    return options.replace(epochs=0, post_training=post_training)


def refuse_shrink_without_samples() -> None:
    """Reject a search for the least bytes without samples.

    Raises:
        RequestError: Always.
    """
    raise RequestError(
        f"the dataset is '{NO_DATA}': shrink judges networks by their quality on real samples, and there are none. "
        "Give a dataset, or choose a budget and use train"
    )


def with_made_samples(
    network: Network, dataset: Dataset, seed: int, report: Report, checkpoint_directory: Path | None = None
) -> Dataset:
    """Return a dataset with inputs that are made for a network if it has no samples; otherwise the dataset itself.

    Args:
        network: The network, with weights.
        dataset: The dataset.
        seed: Seed of the inputs.
        report: Callback that receives the progress.
        checkpoint_directory: Directory of the checkpoints of the job, from which an interrupted job reads the inputs
            that it has made; None keeps none.

    Raises:
        RequestError: If the network has no batch norm.
    """
    unseen = dataset.train_x
    if not isinstance(unseen, UnseenSamples):
        return dataset
    from qat.synthesis.dataset import dataset_made_for, made_dataset

    kept = None if checkpoint_directory is None else checkpoint_directory / INPUTS_FILE
    if kept is not None and kept.is_file():
        return made_dataset(network, unseen, dataset.name, np.load(kept, allow_pickle=False))
    made = dataset_made_for(network, unseen, dataset.name, seed, report)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.save(content, made.train_x[:], allow_pickle=False)
        write_atomically(kept, content.getvalue())
    return made
