"""What changes when, as training goes on: bits, folding, frozen statistics. Everything follows from the options."""

from __future__ import annotations

import math
from dataclasses import replace

from network.allocation import Allocation, Bits
from qat.options.training import NEVER, Regime, TrainingOptions
from qat.training.state import TrainingState


def doubled(allocation: Allocation) -> Allocation:
    """Twice the bits for every tensor; 8 stay 8."""

    def wider(bits: Bits) -> Bits:
        return 4 if bits == 2 else 8

    return replace(
        allocation,
        weight_bits={layer: wider(bits) for layer, bits in allocation.weight_bits.items()},
        activation_bits={tensor: wider(bits) for tensor, bits in allocation.activation_bits.items()},
    )


class Milestones:
    """When a run changes its network.

    Args:
        allocation: that the run ends with.
        options: of the run.
    """

    def __init__(self, allocation: Allocation, options: TrainingOptions) -> None:
        self._allocation = allocation
        self._doubled = doubled(allocation)
        self._options = options
        gradual = math.ceil(options.gradual_bits * options.epochs)
        self._epochs_at_doubled_bits = 0 if self._doubled == allocation else min(gradual, max(options.epochs - 1, 0))

    def is_at_doubled_bits(self, epoch: int) -> bool:
        """Whether that epoch, 0 for the calibrated network, has other bits than the run ends with."""
        return 1 <= epoch <= self._epochs_at_doubled_bits

    def allocation_of(self, epoch: int) -> Allocation:
        """The bits that the module has in that epoch."""
        return self._doubled if self.is_at_doubled_bits(epoch) else self._allocation

    def begin_epoch(self, state: TrainingState, epoch: int) -> None:
        """Before the epoch's first step."""
        if self.is_at_doubled_bits(epoch) != self.is_at_doubled_bits(epoch - 1):
            state.module.use_bits(self.allocation_of(epoch))
            state.oscillations.forget()
        if epoch == self._options.batch_fold_delay + 1:
            state.module.fold()
            state.oscillations.forget()

    def begin_step(self, state: TrainingState, epoch: int, done: float) -> None:
        """Before each step; `done` is the share of the run that is done."""
        at = self._options.freeze_batch_norm_at
        if (at < NEVER and done >= at) or (self._options.regime is Regime.PAPER and epoch > 1):
            state.module.freeze_batch_norm()

    def follows_oscillations(self, epoch: int) -> bool:
        """Whether codes are those that the run ends with, and somebody wants to know."""
        return self._options.freeze_oscillating_at < NEVER and not self.is_at_doubled_bits(epoch)
