"""The recipe's start of training and its measure of the best state, by the number of samples."""

from __future__ import annotations

from typing import Final

from network.allocation import WIDEST_BITS, Allocation
from qat.options.names import BestBy
from qat.options.post_training import NO_POST_TRAINING, PostTrainingOptions

FEW_SAMPLES: Final = 1_000
"""Largest number of samples to train on with which training starts at the post-trained network."""

ROUNDING_STEPS: Final = 200
"""Number of optimizer steps that learn the rounding of a block; training follows, so that fewer than by default do."""

ROUNDING_MARGIN: Final = 0.25
"""Margin of the rounded weights: a training of a few hundred steps hardly moves weights of 2 bits from the grid to
another code (docs/decisions/0023-training-recipe.md)."""

MANY_HELD_OUT: Final = 1_000
"""Number of held-out samples from which the best state is chosen by quality. If 5 % of the predictions change between
two states, the difference of their accuracies has a standard error of 0.7 points with 1,000 samples, 4 with 30."""


def start_for(samples: int, allocation: Allocation) -> tuple[PostTrainingOptions, str]:
    """Choose whether training starts at the calibrated or at the post-trained network.

    Args:
        samples: Number of samples that the network is trained on.
        allocation: Bits of the network.

    Returns:
        Options of post-training, which change nothing if training starts at the calibrated network; and the reason.
    """
    if all(bits == WIDEST_BITS for bits in allocation.weight_bits.values()):
        return NO_POST_TRAINING, f"all weights have {WIDEST_BITS} bits"
    few = f"{FEW_SAMPLES:,} or fewer samples"
    if samples > FEW_SAMPLES:
        return NO_POST_TRAINING, f"{samples:,} samples to train on; post-training is the start with {few}"
    start = PostTrainingOptions(rounding_steps=ROUNDING_STEPS, rounding_margin=ROUNDING_MARGIN)
    return start, f"{samples:,} samples to train on, {few}"


def start_text(chosen: PostTrainingOptions) -> str:
    """Return chosen options of post-training as text."""
    if not chosen.improves:
        return "false"
    return f"{chosen.rounding_steps} rounding steps of each block, margin {chosen.rounding_margin:g}"


def best_by_for(held_out: int) -> tuple[BestBy, str]:
    """Choose the measure by which the best state of a run is chosen.

    Args:
        held_out: Number of held-out samples.

    Returns:
        The measure, and the reason for it.
    """
    chosen = BestBy.QUALITY if held_out >= MANY_HELD_OUT else BestBy.LOSS
    return chosen, f"{held_out:,} held-out samples; quality from {MANY_HELD_OUT:,} on"
