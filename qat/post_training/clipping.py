"""Clipping of weights to the range with the least squared quantization error, for schemes whose grid depends on the
weights.

A grid from the smallest to the largest weight wastes codes on a few outliers; with 2 bits it has only four values. The
weights are clipped, so that their minimum and maximum become the range that rounds the unclipped weights with the least
squared error. The quantization scheme itself does not change.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from qat.post_training.effective_weights import effective_weight, set_effective_weight
from qat.weight_step import WeightStep

SHARES: Final = tuple(0.1 + 0.05 * index for index in range(19))
"""Candidate ends of a weight range, as shares of the smallest and the largest weight: 0.1 to 1 in steps of 0.05."""


def grid_depends_on_weights(step: WeightStep, weight: Tensor) -> bool:
    """Return whether a layer's quantization grid is computed from its weights, and is not a separate parameter.

    The grid is computed from the weights in schemes that use their minimum and maximum.

    Args:
        step: The layer.
        weight: Its weights, float32 [output channels, ...].
    """
    return not torch.equal(step.quantizer.grid(weight / 2).scale, step.quantizer.grid(weight).scale)


@torch.no_grad()
def clip_weights(step: WeightStep) -> None:
    """Clip the weights of a layer to the range with the least squared quantization error, per output channel or per
    layer.

    A layer whose grid does not depend on its weights is left unchanged.

    Args:
        step: The layer, whose weights are changed.
    """
    weight = effective_weight(step)
    if not grid_depends_on_weights(step, weight):
        return
    is_per_channel = len(step.quantizer.grid(weight).scale) > 1
    axes = tuple(range(1 if is_per_channel else 0, weight.ndim))
    low = weight.amin(axes, keepdim=True).clamp(max=0.0)
    high = weight.amax(axes, keepdim=True).clamp(min=0.0)
    best = weight
    least = _error(step, weight, weight, axes)
    for low_share in SHARES:
        for high_share in SHARES:
            clipped = weight.clamp(low * low_share, high * high_share)
            error = _error(step, clipped, weight, axes)
            best = torch.where(error < least, clipped, best)
            least = torch.minimum(error, least)
    set_effective_weight(step, best)


def _error(step: WeightStep, clipped: Tensor, weight: Tensor, axes: tuple[int, ...]) -> Tensor:
    error: Tensor = (step.quantizer(clipped) - weight).square().sum(axes, keepdim=True)
    return error
