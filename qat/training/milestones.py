"""Changes of the network at fixed points of a training run: bits, folding of batch norm, freezing of its statistics."""

from __future__ import annotations

import math
from dataclasses import replace

from network.allocation import Allocation, Bits
from qat.options.chosen import ChosenOptions
from qat.options.training import NEVER, BatchNormMode, Regime
from qat.training.state import TrainingState


def doubled(allocation: Allocation) -> Allocation:
    """Return a bit allocation in which each tensor has twice the bits, at most 8."""

    def wider(bits: Bits) -> Bits:
        return 4 if bits == 2 else 8

    return replace(
        allocation,
        weight_bits={layer: wider(bits) for layer, bits in allocation.weight_bits.items()},
        activation_bits={tensor: wider(bits) for tensor, bits in allocation.activation_bits.items()},
    )


class Milestones:
    """Schedule of the changes that a training run makes to its network: bits, folding of batch norm, freezing of
    statistics.

    Args:
        allocation: Allocation of the final network.
        options: Training options of the run.
    """

    def __init__(self, allocation: Allocation, options: ChosenOptions) -> None:
        self._allocation = allocation
        self._doubled = doubled(allocation)
        self._options = options
        gradual = math.ceil(options.gradual_bits * options.epochs)
        self._epochs_at_doubled_bits = 0 if self._doubled == allocation else min(gradual, max(options.epochs - 1, 0))

    def is_at_doubled_bits(self, epoch: int) -> bool:
        """Return whether an epoch is trained with twice the bits of the final network; epoch 0 (calibration) is not."""
        return 1 <= epoch <= self._epochs_at_doubled_bits

    def allocation_of(self, epoch: int) -> Allocation:
        """Return the bit allocation that the network has in an epoch of training."""
        return self._doubled if self.is_at_doubled_bits(epoch) else self._allocation

    def begin_epoch(self, state: TrainingState, epoch: int) -> None:
        """Change the network's bits and fold batch norm if the schedule requires it, before the
        first step of an epoch.
        """
        if self.is_at_doubled_bits(epoch) != self.is_at_doubled_bits(epoch - 1):
            state.module.use_bits(self.allocation_of(epoch))
            state.oscillations.forget()
        if epoch == self._options.batch_fold_delay + 1:
            state.module.fold()
            state.oscillations.forget()

    def begin_step(self, state: TrainingState, epoch: int, done: float) -> None:
        """Freeze the running statistics of batch norm if the schedule requires it, before a training step.

        Args:
            state: State of the run, whose network is changed.
            epoch: Number of the current epoch, from 1.
            done: Finished share of the run, 0 to 1.
        """
        at = self._options.freeze_batch_norm_at
        frozen = self._options.batch_norm is BatchNormMode.FROZEN or (at < NEVER and done >= at)
        if frozen or (self._options.regime is Regime.PAPER and epoch > 1):
            state.module.freeze_batch_norm()

    def follows_oscillations(self, epoch: int) -> bool:
        """Return whether oscillations of weights are tracked: freezing is enabled and the epoch has the final bits."""
        return self._options.freeze_oscillating_at < NEVER and not self.is_at_doubled_bits(epoch)
