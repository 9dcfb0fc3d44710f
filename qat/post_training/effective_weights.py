"""The weights of a layer as they are quantized, and what stands behind them, whatever becomes of its batch norm.

    plain                       sums = conv(x, Q(w))                  output = sums + bias
    ICN                         sums = conv(x, Q(w))                  output = gain * (sums - mean) + beta
    batch norm is folded        sums = conv(x, Q(w * gain))           output = sums + beta - mean * gain

with gain = gamma / sqrt(variance + epsilon), on running statistics throughout.
"""

from __future__ import annotations

import torch
from torch import Tensor

from qat.quantizers.weights import across
from qat.weight_step import WeightStep


def effective_weight(step: WeightStep) -> Tensor:
    """The weight tensor that is quantized."""
    return step.quantized_input()[0].detach().clone()


@torch.no_grad()
def set_effective_weight(step: WeightStep, weight: Tensor) -> None:
    """Make this the weight tensor that is quantized; what a gain of zero has folded away stays as it was."""
    if step.is_folded:
        gain = across(step.learned.gain, weight)
        weight = torch.where(gain == 0, step.learned.weight, weight / gain)
    step.learned.weight.copy_(weight)


def output_of(step: WeightStep, sums: Tensor) -> Tensor:
    """The layer's output before its activation function, from the sums over quantized weights, [n, c, h, w]."""
    learned = step.learned
    if not learned.has_batch_norm:
        return sums + learned.bias.reshape(1, -1, 1, 1)
    if step.is_folded:
        return sums + (learned.beta - learned.mean * learned.gain).reshape(1, -1, 1, 1)
    return learned.normalised(sums)


@torch.no_grad()
def shift_output(step: WeightStep, by: Tensor) -> None:
    """Add a constant to every channel of the output, [c].

    Behind a batch norm that stays, it goes into the running mean: training takes the batch's own mean, which holds the
    error already, and a beta that corrected it again would be wrong there.
    """
    learned = step.learned
    if not learned.has_batch_norm:
        learned.bias.add_(by)
    elif step.is_folded:
        learned.beta.add_(by)
    else:
        gain = learned.gain
        learned.mean.sub_(torch.where(gain == 0, 0.0, by / gain))
