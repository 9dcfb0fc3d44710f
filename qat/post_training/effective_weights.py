"""The effective weights of a layer (its weights as they are quantized, with folded batch norm), and the layer's bias or
batch norm.

Q is quantization, and gain = gamma / sqrt(variance + epsilon) with running statistics. The three forms of a layer are:

    no batch norm               sums = conv(x, Q(w))                  output = sums + bias
    batch norm kept (ICN)       sums = conv(x, Q(w))                  output = gain * (sums - mean) + beta
    batch norm folded           sums = conv(x, Q(w * gain))           output = sums + beta - mean * gain

The effective weights are w in the first two forms and w * gain in the third.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qat.quantizers.weights import across
from qat.weight_step import WeightStep


@dataclass(frozen=True, slots=True, eq=False)
class ChannelChange:
    """Change of a layer's output before its activation function: a factor and an offset of each output channel.

    Attributes:
        factor: Factor of each channel, float32 [c]; 1 where the layer keeps no batch norm.
        offset: Value added to each channel after the multiplication, float32 [c].
    """

    factor: Tensor
    offset: Tensor

    def of(self, values: Tensor) -> Tensor:
        """Return changed outputs, float32 [n, c, h, w]."""
        return values * self.factor.reshape(1, -1, 1, 1) + self.offset.reshape(1, -1, 1, 1)


def effective_weight(step: WeightStep) -> Tensor:
    """Return a copy of a layer's effective weights: the weights that are quantized, with batch norm if the layer folds
    it.

    Args:
        step: The layer.

    Returns:
        The effective weights, float32 [output channels, ...], without gradient.
    """
    return step.quantized_input()[0].detach().clone()


@torch.no_grad()
def set_effective_weight(step: WeightStep, weight: Tensor) -> None:
    """Change a layer's weights so that its effective weights, those that are quantized, get the given values.

    A channel whose folded batch norm has a gain of zero keeps its weights: its effective weights are always 0.

    Args:
        step: The layer, whose weights are changed.
        weight: The new effective weights, float32 [output channels, ...].
    """
    if step.is_folded:
        gain = across(step.learned.gain, weight)
        weight = torch.where(gain == 0, step.learned.weight, weight / gain)
    step.learned.weight.copy_(weight)


def add_bias(step: WeightStep, sums: Tensor) -> Tensor:
    """Apply a layer's bias or batch norm to the sums of products of its quantized weights and inputs.

    Args:
        step: The layer.
        sums: Result of the convolution with quantized weights, float32 [n, c, h, w].

    Returns:
        The output before the activation function, float32 [n, c, h, w].
    """
    learned = step.learned
    if not learned.has_batch_norm:
        return sums + learned.bias.reshape(1, -1, 1, 1)
    if step.is_folded:
        return sums + (learned.beta - learned.mean * learned.gain).reshape(1, -1, 1, 1)
    return learned.normalised(sums)


@torch.no_grad()
def shift_output(step: WeightStep, offset: Tensor) -> None:
    """Add a constant to each channel of a layer's output before its activation function, by changing the bias or batch
    norm.

    If the layer keeps its batch norm, the running mean is changed and not beta. In training, batch norm subtracts the
    batch's own mean, which contains the error of the weights already; a changed beta would correct the error twice.

    Args:
        step: The layer, whose bias, beta or running mean is changed.
        offset: Constant of each output channel, float32 [c].
    """
    learned = step.learned
    if not learned.has_batch_norm:
        learned.bias.add_(offset)
    elif step.is_folded:
        learned.beta.add_(offset)
    else:
        gain = learned.gain
        learned.mean.sub_(torch.where(gain == 0, 0.0, offset / gain))


def has_free_factor(step: WeightStep) -> bool:
    """Return whether each output channel of a layer has a factor besides its weights: a batch norm that is kept."""
    return step.learned.has_batch_norm and not step.folds


@torch.no_grad()
def change_output(step: WeightStep, change: ChannelChange) -> None:
    """Change each channel of a layer's output before its activation function, by changing gamma and beta, or the bias.

    Args:
        step: The layer.
        change: The change, whose factors are 1 if the layer has no free factor.
    """
    learned = step.learned
    if not learned.has_batch_norm:
        learned.bias.add_(change.offset)
        return
    learned.gamma.mul_(change.factor)
    learned.beta.mul_(change.factor).add_(change.offset)
