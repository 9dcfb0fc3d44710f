"""The range of real values that an activation tensor's codes cover: learned, clipped, or fixed.

A range [low, high] holds zero. At b bits it becomes a grid: s = (high - low) / (2^b - 1), z = round(-low / s), so that
real zero is a code. Where an activation function bounds the tensor, the grid stays inside the function's interval, so
that the clamp of the codes is the function.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from deploy.arithmetic import top_code
from network.allocation import Bits
from network.layers import ActivationFunction
from qat.fake_quantize import Grid, fake_quantized

LEAST_EXTENT: Final = 2.0**-60
"""Of a range: a tensor that is zero everywhere has none of its own."""

NARROWEST_SHARE: Final = 1e-3
"""A learned range never becomes narrower than this share of the range it started from."""


def grid_of(low: float, high: float, bits: Bits, function: ActivationFunction) -> Grid:
    """The grid of a range.

    Args:
        low: at most 0.
        high: at least 0, and above `low`.
        bits: of a code.
        function: the interval that the grid must stay inside.
    """
    top = top_code(bits)
    low, high = max(low, function.low), min(high, function.high)
    scale = max(high - low, LEAST_EXTENT) / top
    zero_point = min(max(math.floor(-low / scale + 0.5), 0), top)
    # Rounding the zero point moves both ends by up to half a step: shrink where that leaves the function's interval.
    if zero_point > 0:
        scale = min(scale, function.low / -zero_point)
    if zero_point < top:
        scale = min(scale, function.high / (top - zero_point))
    return Grid(bits, scale, zero_point)


class InputRange(nn.Module):
    """The network's input: a grid that is measured once and kept."""

    def __init__(self, bits: Bits) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int64))
        self.scale: Tensor
        self.zero_point: Tensor

    def start(self, grid: Grid) -> None:
        self.scale.fill_(grid.scale)
        self.zero_point.fill_(grid.zero_point)

    @property
    def grid(self) -> Grid:
        return Grid(self.bits, float(self.scale), int(self.zero_point))

    def forward(self, values: Tensor) -> Tensor:
        return fake_quantized(values, self.grid)


class ActivationTensorRange(nn.Module):
    """The range of a tensor that a layer writes.

    The bounds are kept in units of the extent they started with, so that one learning rate suits every tensor. A
    function's bound at zero (ReLU's) is not learned: the zero point stays at that end.

    Args:
        bits: of a code.
        function: the interval that the layer's values lie in.
        learned: the bounds are parameters; else they stay where they start.
    """

    def __init__(self, bits: Bits, function: ActivationFunction, *, learned: bool) -> None:
        super().__init__()
        self.bits = bits
        self.function = function
        self.register_buffer("extent", torch.ones(()))
        self.extent: Tensor
        self.low = self._bound(0.0, learned=learned and function.low < 0)
        self.high = self._bound(1.0, learned=learned and function.high > 0)

    def _bound(self, start: float, *, learned: bool) -> nn.Parameter:
        return nn.Parameter(torch.tensor(start), requires_grad=learned)

    def start(self, low: float, high: float) -> None:
        """Set the bounds, low <= 0 <= high; a range without extent gets the least there is."""
        low, high = max(low, self.function.low), min(high, self.function.high)
        extent = high - low
        if extent < LEAST_EXTENT:
            low, high = (0.0, LEAST_EXTENT) if self.function.high > 0 else (-LEAST_EXTENT, 0.0)
            extent = LEAST_EXTENT
        with torch.no_grad():
            self.extent.fill_(extent)
            self.low.fill_(low / extent)
            self.high.fill_(high / extent)

    @property
    def grid(self) -> Grid:
        extent = float(self.extent)
        return grid_of(self.low.item() * extent, self.high.item() * extent, self.bits, self.function)

    def keep_valid(self) -> None:
        """After a step of the optimizer: low <= 0 <= high, not too narrow, inside the function's interval."""
        extent = float(self.extent)
        with torch.no_grad():
            self.low.clamp_(self.function.low / extent, 0.0)
            self.high.clamp_(0.0, self.function.high / extent)
            if self.high.item() - self.low.item() < NARROWEST_SHARE:
                end = self.high if self.function.high > 0 else self.low
                end.fill_(math.copysign(NARROWEST_SHARE, 1.0 if self.function.high > 0 else -1.0))

    def forward(self, values: Tensor) -> Tensor:
        low = self.low * self.extent if self.low.requires_grad else None
        high = self.high * self.extent if self.high.requires_grad else None
        if not torch.is_grad_enabled():
            low = high = None
        return fake_quantized(values, self.grid, low, high)
