"""The recipe's batch size and number of epochs: few samples need small batches and many epochs to be enough steps."""

from __future__ import annotations

import math
from typing import Final

from qat.data.batches import steps_of_epoch

SMALLEST_BATCH: Final = 16
LARGEST_BATCH: Final = 128
"""Bounds of the batch size. The largest is the one with which the default learning rate was found on 50,000 images."""

STEPS_OF_EPOCH: Final = 50
"""Number of optimizer steps of an epoch that the batch size aims at, between its bounds."""

ENOUGH_STEPS: Final = 1_000
"""Number of optimizer steps after which more epochs bring little (docs/training.md, "The recipe")."""

FEWEST_EPOCHS: Final = 3
MOST_EPOCHS: Final = 30
"""Bounds of the number of epochs."""

MOST_MULTIPLY_ACCUMULATES: Final = 6e12
"""Number of multiply-accumulates of the forward passes of a run above which no epochs are added to the fewest: about
ten minutes on two cores (`qat.training.compiling`)."""


def batch_size_for(samples: int, fitting: int | None, processes: int) -> tuple[int, str]:
    """Choose the number of samples of an optimizer step.

    Args:
        samples: Number of samples that the network is trained on, without the held-out ones.
        fitting: Largest batch size for which the memory suffices; None if it is not known.
        processes: Number of processes that share each batch; each needs two samples.

    Returns:
        The batch size, and the reason for it.
    """
    wanted = 2 ** math.floor(math.log2(max(samples / STEPS_OF_EPOCH, 1)))
    by_set = min(max(wanted, SMALLEST_BATCH), LARGEST_BATCH)
    reason = f"{samples:,} samples to train on, about {STEPS_OF_EPOCH} steps of an epoch, {SMALLEST_BATCH} to "
    reason += f"{LARGEST_BATCH}"
    least = 2 * processes
    if fitting is not None and fitting < by_set:
        by_set = max(2 ** math.floor(math.log2(max(fitting, 1))), 2)
        reason = f"the memory suffices for {fitting:,} samples of a step"
    if by_set < least:
        by_set, reason = least, f"two samples for each of {processes} processes"
    return by_set, reason


def epochs_for(samples: int, batch_size: int, multiply_accumulates: int) -> tuple[int, str]:
    """Choose the number of passes over the training set.

    Args:
        samples: Number of samples that the network is trained on, without the held-out ones.
        batch_size: Number of samples of an optimizer step.
        multiply_accumulates: Multiply-accumulates of a forward pass of one sample.

    Returns:
        The number of epochs, and the reason for it.
    """
    of_epoch = steps_of_epoch(samples, batch_size)
    enough = math.ceil(ENOUGH_STEPS / of_epoch)
    affordable = math.floor(MOST_MULTIPLY_ACCUMULATES / (samples * max(multiply_accumulates, 1)))
    epochs = max(min(enough, MOST_EPOCHS, affordable), FEWEST_EPOCHS)
    reason = (
        f"{of_epoch:,} steps of an epoch, {epochs * of_epoch:,} in all; about {ENOUGH_STEPS:,} steps in "
        f"{FEWEST_EPOCHS} to {MOST_EPOCHS} epochs"
    )
    if FEWEST_EPOCHS < epochs == affordable < min(enough, MOST_EPOCHS):
        reason += f", and at most {MOST_MULTIPLY_ACCUMULATES:.0e} multiply-accumulates of forward passes"
    return epochs, reason
