"""The recipe's learning rate, and whether that of a weight tensor follows the size of its weights."""

from __future__ import annotations

from typing import Final

from network.network import Network
from qat.options.names import BatchNormMode
from qat.training.recipe.batch_norm import has_batch_norm

LEARNING_RATE: Final = 3e-4
"""Learning rate that is found to suit ResNet8 with 50,000 images (docs/benchmarks/accuracy.md)."""


def relative_rates_for(network: Network, batch_norm: BatchNormMode) -> tuple[bool, str]:
    """Choose whether the learning rate of a weight tensor follows the size of its weights.

    Batch norm on the statistics of batches cancels the size of a tensor. Where it is frozen, or folded in the file,
    sizes are as different as the gains, and Adam changes every weight by about the learning rate.

    Args:
        network: The network.
        batch_norm: Mode of its batch norm.

    Returns:
        The choice, and the reason for it.
    """
    if not has_batch_norm(network):
        return True, f"{LEARNING_RATE:g} for weights of size 0.1, because the network has no batch norm"
    if batch_norm is BatchNormMode.FROZEN:
        return True, f"{LEARNING_RATE:g} for weights of size 0.1, because batch norm is frozen"
    return False, f"{LEARNING_RATE:g} for all weights, because batch norm normalises each batch"
