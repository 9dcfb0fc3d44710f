"""Factors and offsets of output channels that are learned together with the rounding of a block's weights.

Rounding changes the scale and the mean of a channel, and an activation function then clips other values. A factor near
1 and an offset near 0 make up for both, and cost nothing on the device, which has a factor and a bias for each channel:

    output = (1 + f) * (gain * (sums - mean) + beta) + unit * o

f and o start at 0. The factor belongs to layers whose batch norm is kept (ICN), the offset to every layer with weights.
The unit is the scale of a channel's output: its absolute gamma, or the norm of its weights without a batch norm. So one
learning rate suits f and o of every layer.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from qat.post_training.effective_weights import ChannelChange, change_output, effective_weight, has_free_factor
from qat.weight_step import WeightStep

LEARNING_RATE: Final = 1e-3
"""Learning rate of Adam for f and o."""


class LearnedChannels:
    """Learned change of the output channels of a layer.

    Args:
        step: The layer.

    Attributes:
        variables: The variables that are learned, each float32 [output channels].
    """

    def __init__(self, step: WeightStep) -> None:
        self._step = step
        learned = step.learned
        self._unit = learned.gamma.detach().abs() if learned.has_batch_norm else _row_norms(effective_weight(step))
        has_factor = has_free_factor(step)
        self._factor = torch.zeros_like(self._unit, requires_grad=has_factor)
        self._offset = torch.zeros_like(self._unit, requires_grad=True)
        self.variables = [self._factor, self._offset] if has_factor else [self._offset]

    def change(self) -> ChannelChange:
        """Return the change of the output channels, with gradients."""
        return ChannelChange(1 + self._factor, self._unit * self._offset)

    def write(self) -> None:
        """Store the change in the layer's batch norm or bias."""
        change_output(self._step, self.change())


def _row_norms(weight: Tensor) -> Tensor:
    norms: Tensor = weight.double().flatten(1).norm(dim=1)  # in float32, squares of weights above 1e19 are infinite
    return norms.float()
