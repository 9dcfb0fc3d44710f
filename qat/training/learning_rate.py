"""The learning rate of every step, by regime. Imports no torch."""

from __future__ import annotations

import math
from typing import Final

from qat.options.training import Regime, TrainingOptions

COSINE_ENDS_AT: Final = 0.01
"""Of the rate at the start."""

ONE_CYCLE_STARTS_AT: Final = 1 / 25
ONE_CYCLE_ENDS_AT: Final = 1e-4 / 25
"""Of the highest rate: the proportions of torch's OneCycleLR (arXiv 1708.07120)."""

PAPER_RATES: Final = ((8, 1e-5), (5, 5e-5), (1, 1e-4))
"""The first epoch -> Adam's rate from then on, the last first (arXiv 1905.13082, its published code)."""


def learning_rate_at(options: TrainingOptions, epoch: int, through_epoch: float) -> float:
    """The learning rate of one step.

    Args:
        options: of the run.
        epoch: from 1.
        through_epoch: the share of the epoch that is done, 0 to 1.
    """
    highest = options.learning_rate
    done = (epoch - 1 + through_epoch) / max(options.epochs, 1)
    match options.regime:
        case Regime.CONSTANT:
            return highest
        case Regime.STEP:
            begun = [step.learning_rate for step in options.learning_rate_steps if step.epoch <= epoch]
            return begun[-1] if begun else highest
        case Regime.PAPER:
            return next(rate for start, rate in PAPER_RATES if start <= epoch)
        case Regime.COSINE:
            return highest * falling(1.0, COSINE_ENDS_AT, done)
        case Regime.ONE_CYCLE:
            if done < options.warmup:
                return highest * falling(ONE_CYCLE_STARTS_AT, 1.0, done / options.warmup)
            return highest * falling(1.0, ONE_CYCLE_ENDS_AT, (done - options.warmup) / (1 - options.warmup))


def falling(first: float, last: float, done: float) -> float:
    """From the first figure to the last one along half a cosine (it may rise, too)."""
    return last + (first - last) * (1 + math.cos(math.pi * done)) / 2
