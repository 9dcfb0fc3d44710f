"""The range of real values that an activation tensor's codes cover: learned, clipped, or fixed.

A range [low, high] holds zero. At b bits it becomes a grid: s = (high - low) / (2^b - 1), z = round(-low / s), so that
real zero is a code. Where an activation function bounds the tensor, the grid stays inside the function's interval, so
that the clamp of the codes is the function.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from deploy.arithmetic import top_code
from network.allocation import Bits
from network.layers import ActivationFunction
from qat.bounds import LEAST_EXTENT, Bounds
from qat.fake_quantize import Grid, fake_quantized


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

    Args:
        bits: of a code.
        function: the interval that the layer's values lie in.
        learned: the bounds are parameters; else they stay where they start.
    """

    def __init__(self, bits: Bits, function: ActivationFunction, *, learned: bool) -> None:
        super().__init__()
        self.bits = bits
        self.function = function
        self.bounds = Bounds(function, learned=learned)

    @property
    def grid(self) -> Grid:
        return grid_of(*self.bounds.values, self.bits, self.function)

    def forward(self, values: Tensor) -> Tensor:
        return fake_quantized(values, self.grid, *self.bounds())
