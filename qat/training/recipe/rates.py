"""The recipe's learning rate, and whether that of a weight tensor follows the size of its weights."""

from __future__ import annotations

from typing import Final

from network.network import Network
from qat.training.recipe.batch_norm import has_batch_norm

LEARNING_RATE: Final = 3e-4
"""Learning rate that is found to suit ResNet8 with 50,000 images (docs/benchmarks/accuracy.md)."""


def relative_rates_for(network: Network) -> tuple[bool, str]:
    """Choose whether the learning rate of a weight tensor follows the size of its weights.

    Where batch norm is folded, the size of a tensor is as different as the gains of batch norm, and Adam changes every
    weight by about the learning rate.

    Args:
        network: The network.

    Returns:
        The choice, and the reason for it.
    """
    if has_batch_norm(network):
        return False, f"{LEARNING_RATE:g} for all weights, because the network has batch norm"
    return True, f"{LEARNING_RATE:g} for weights of size 0.1, because the network has no batch norm"
