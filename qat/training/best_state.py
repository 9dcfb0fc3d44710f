"""Comparison of the states of a run by few held-out samples.

The quality on few samples hardly tells two states apart: of 30 samples, one is 3.3 points. Their losses and their
distances from the float network tell more, sample by sample, but not much more. As the learning rate falls to nothing
at the end, the last state is usually the best, so that a state replaces the kept one unless the held-out samples say by
both measures that it is worse, by more than two standard errors.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

STANDARD_ERRORS: Final = 2.0
"""Number of standard errors of a mean difference up to which it counts as random."""

Losses: TypeAlias = npt.NDArray[np.float64]
"""Loss of each held-out sample and its distance from the float network, [2, n], in the same order for every state."""


def keeps_up(losses: Losses, least: Losses) -> bool:
    """Return whether the losses or the distances of a state are not above the least ones by more than
    `STANDARD_ERRORS`.

    Args:
        losses: Losses and distances of the state.
        least: The losses and the distances with the least mean so far, each of its own state.
    """
    return any(_is_not_worse(own, other) for own, other in zip(losses, least, strict=True))


def lesser(losses: Losses, least: Losses) -> Losses:
    """Return the losses and the distances with the smaller means, each by itself; the second if they are equal."""
    is_less = losses.mean(axis=1, keepdims=True) < least.mean(axis=1, keepdims=True)
    return np.where(is_less, losses, least)


def _is_not_worse(own: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    differences = own - other
    if not np.isfinite(differences).all():
        return False
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences)) if len(differences) > 1 else 0.0
    return float(differences.mean()) <= STANDARD_ERRORS * error
