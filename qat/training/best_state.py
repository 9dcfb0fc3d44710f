"""Comparison of the states of a run by the losses of few held-out samples.

The quality on few samples hardly tells two states apart: of 30 samples, one is 3.3 points. Their losses tell more,
sample by sample. As the learning rate falls to nothing at the end, the last state is usually the best, so that a state
replaces the kept one unless the held-out samples say that it is worse, by more than a standard error.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Losses: TypeAlias = npt.NDArray[np.float64]
"""Loss of each held-out sample, [n], in the same order for every state of a run."""


def keeps_up(losses: Losses, least: Losses) -> bool:
    """Return whether a state's losses are not above the least ones by more than a standard error of the difference.

    Args:
        losses: Losses of the state.
        least: Losses of the state with the least mean so far.
    """
    differences = losses - least
    if not np.isfinite(differences).all():
        return False
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences)) if len(differences) > 1 else 0.0
    return float(differences.mean()) <= error


def lesser(losses: Losses, least: Losses) -> Losses:
    """Return the losses with the smaller mean; the second if they are equal."""
    return losses if float(losses.mean()) < float(least.mean()) else least
