"""Epochs and batch size of the recipe, where a benchmark trains by itself or estimates the time of a training."""

from __future__ import annotations

from network.network import Network
from qat.options.chosen import ChosenOptions
from qat.options.training import BatchNormMode, BestBy, TrainingOptions
from qat.training.compiling import multiply_accumulates
from qat.training.recipe.steps import batch_size_for, epochs_for


def with_steps(given: TrainingOptions, network: Network, samples: int) -> ChosenOptions:
    """Return options whose missing epochs and batch size are those of the recipe, if memory suffices for the batch.

    If the options do not say otherwise, batch norm is trained, and the best epoch is chosen by the task's metric.

    Args:
        given: The options of a training.
        network: The network that is trained.
        samples: Number of samples that the network is trained on, without the held-out ones.
    """
    batch_size, epochs = given.batch_size, given.epochs
    if batch_size is None:
        batch_size, _ = batch_size_for(samples, None, 1)
    if epochs is None:
        epochs, _ = epochs_for(samples, batch_size, multiply_accumulates(network))
    return ChosenOptions.of(
        given,
        batch_size=batch_size,
        epochs=epochs,
        batch_norm=given.batch_norm or BatchNormMode.TRAIN,
        best_by=given.best_by or BestBy.QUALITY,
    )
