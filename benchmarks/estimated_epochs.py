"""Number of epochs of a training of a benchmark, to estimate its time before it runs."""

from __future__ import annotations

from network.network import Network
from qat.options.training import TrainingOptions
from qat.training.compiling import multiply_accumulates
from qat.training.recipe.steps import batch_size_for, epochs_for


def estimated_epochs(options: TrainingOptions, network: Network, samples: int) -> int:
    """Return the given number of epochs, or that of the recipe if the memory suffices for its batch.

    Args:
        options: The options of a training.
        network: The network that is trained.
        samples: Number of samples that the network is trained on, without the held-out ones.
    """
    if options.epochs is not None:
        return options.epochs
    batch_size = options.batch_size
    if batch_size is None:
        batch_size, _ = batch_size_for(samples, None, 1)
    epochs, _ = epochs_for(samples, batch_size, multiply_accumulates(network))
    return epochs
