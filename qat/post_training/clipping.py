"""Clipping weights where their grid follows them: the range with the least squared error, whatever the scheme.

A grid from the smallest to the largest weight wastes codes on a few outliers; at 2 bits it has four values in all. The
scheme stays what it is when the weights themselves are clipped: their minimum and maximum are then the range that
rounds the unclipped weights with the least squared error.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from qat.post_training.effective_weights import effective_weight, set_effective_weight
from qat.weight_step import WeightStep

SHARES: Final = tuple(0.1 + 0.05 * index for index in range(19))
"""Of the smallest and of the largest weight: the ends that are tried."""


def follows_its_weights(step: WeightStep, weight: Tensor) -> bool:
    """The layer's grid is a function of its weights, as with minimum and maximum; else it is a parameter."""
    return not torch.equal(step.quantizer.grid(weight / 2).scale, step.quantizer.grid(weight).scale)


@torch.no_grad()
def clip_weights(step: WeightStep) -> None:
    """Clip a layer's effective weights, channel by channel or as a whole, as the scheme's ranges are."""
    weight = effective_weight(step)
    if not follows_its_weights(step, weight):
        return
    is_per_channel = len(step.quantizer.grid(weight).scale) > 1
    axes = tuple(range(1 if is_per_channel else 0, weight.ndim))
    low = weight.amin(axes, keepdim=True).clamp(max=0.0)
    high = weight.amax(axes, keepdim=True).clamp(min=0.0)
    best = weight
    least = _error(step, weight, weight, axes)
    for of_low in SHARES:
        for of_high in SHARES:
            clipped = weight.clamp(low * of_low, high * of_high)
            error = _error(step, clipped, weight, axes)
            best = torch.where(error < least, clipped, best)
            least = torch.minimum(error, least)
    set_effective_weight(step, best)


def _error(step: WeightStep, clipped: Tensor, weight: Tensor, axes: tuple[int, ...]) -> Tensor:
    error: Tensor = (step.quantizer(clipped) - weight).square().sum(axes, keepdim=True)
    return error
