"""Learning-rate schedules: the learning rate of each training step. This module does not import torch."""

from __future__ import annotations

import math
from typing import Final

from qat.options.chosen import ChosenOptions
from qat.options.training import Regime

COSINE_ENDS_AT: Final = 0.01
"""Final learning rate of the cosine regime, as a share of the initial one."""

ONE_CYCLE_STARTS_AT: Final = 1 / 25
ONE_CYCLE_ENDS_AT: Final = 1e-4 / 25
"""Initial and final learning rate of the one_cycle regime, as shares of the highest one, as in torch's OneCycleLR
(arXiv 1708.07120)."""

PAPER_RATES: Final = ((8, 1e-5), (5, 5e-5), (1, 1e-4))
"""Learning rates of the paper's regime: pairs of first epoch and Adam's learning rate from that epoch on, in descending
order of epochs (published code of arXiv 1905.13082)."""


def learning_rate_at(options: ChosenOptions, epoch: int, through_epoch: float) -> float:
    """Compute the learning rate of one training step from the training options.

    Args:
        options: Training options of the run.
        epoch: Number of the current epoch, from 1.
        through_epoch: Finished share of the current epoch, 0 to 1.
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
    """Interpolate from a first to a last value along half a cosine wave; the last value may be the larger one.

    Args:
        first: Value at the start.
        last: Value at the end.
        done: Position between the two values, from 0 (first) to 1 (last).
    """
    return last + (first - last) * (1 + math.cos(math.pi * done)) / 2
