"""The range of real values that an activation tensor's codes cover: learned, clipped, or fixed.

A range [low, high] holds zero. At b bits it becomes a grid: s = (high - low) / (2^b - 1), z = round(-low / s), so that
real zero is a code. Where an activation function bounds the tensor, the grid stays inside the function's interval, so
that the clamp of the codes is the function.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from deploy.arithmetic import top_code
from network.allocation import Bits
from network.layers import ActivationFunction
from qat.options.names import ActivationRange
from qat.quantizers.bounds import LEAST_EXTENT, Bounds, inside_of
from qat.quantizers.fake_quantize import Grid, TrainedGrid, fake_quantized
from qat.quantizers.step import LearnedStep


def grid_of(low: float, high: float, bits: Bits, function: ActivationFunction) -> Grid:
    """The grid of a range.

    Args:
        low: at most 0.
        high: at least 0, and above `low`.
        bits: of a code.
        function: the interval that the grid must stay inside.
    """
    low, high = inside_of(function, low, high)
    ends = torch.tensor([low, high], dtype=torch.float64)
    grid = trained_grid(ends[0], ends[1], bits, function)
    return Grid(bits, grid.scale.item(), -int(grid.lowest_step))


def largest_scale(bits: Bits, zero_point: int, function: ActivationFunction) -> float:
    """The scale at which a grid just reaches the end of an activation function's interval."""
    below = function.low / -zero_point if zero_point > 0 else math.inf
    steps_up = top_code(bits) - zero_point
    return min(below, function.high / steps_up if steps_up > 0 else math.inf)


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
        return Grid(self.bits, self.scale.item(), int(self.zero_point.item()))

    def forward(self, values: Tensor) -> Tensor:
        zero_point = self.zero_point.to(torch.float32)
        grid = TrainedGrid(self.scale.to(torch.float32), -zero_point, top_code(self.bits) - zero_point)
        return fake_quantized(values, grid)


class ActivationTensorRange(nn.Module, ABC):
    """The range of a tensor that a layer writes.

    forward: real values -> the same on the grid, with gradients.

    Args:
        bits: of a code.
        function: the interval that the layer's values lie in.
    """

    def __init__(self, bits: Bits, function: ActivationFunction) -> None:
        super().__init__()
        self.bits = bits
        self.function = function

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """What codes stand for now."""

    @abstractmethod
    def start(self, low: float, high: float) -> None:
        """Begin with this range, low <= 0 <= high."""

    @abstractmethod
    def use_bits(self, bits: Bits) -> None:
        """Go on with other bits and nearly the same range."""

    @abstractmethod
    def keep_valid(self) -> None:
        """Bring what the optimizer has changed back to where it makes sense."""


class BoundedRange(ActivationTensorRange):
    """The range of a tensor that a layer writes, by its two ends.

    Args:
        bits: of a code.
        function: the interval that the layer's values lie in.
        learned: the bounds are parameters (PACT); else they stay where they start.
    """

    def __init__(self, bits: Bits, function: ActivationFunction, *, learned: bool) -> None:
        super().__init__(bits, function)
        self.bounds = Bounds(function, learned=learned)

    def start(self, low: float, high: float) -> None:
        self.bounds.start(low, high)

    def use_bits(self, bits: Bits) -> None:
        self.bits = bits

    @property
    def grid(self) -> Grid:
        return grid_of(*self.bounds.values, self.bits, self.function)

    def keep_valid(self) -> None:
        self.bounds.keep_valid()

    def forward(self, values: Tensor) -> Tensor:
        low, high = self.bounds()
        return fake_quantized(values, trained_grid(low, high, self.bits, self.function))


class StepRange(ActivationTensorRange):
    """The range of a tensor that a layer writes, by the step between its codes, which is learned (LSQ).

    The zero point is decided where the range starts.

    Args:
        bits: of a code.
        function: the interval that the layer's values lie in.
    """

    def __init__(self, bits: Bits, function: ActivationFunction) -> None:
        super().__init__(bits, function)
        self.step = LearnedStep(())
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int64))
        self.zero_point: Tensor

    def start(self, low: float, high: float) -> None:
        grid = grid_of(low, high, self.bits, self.function)
        self.step.start(torch.tensor(grid.scale))
        self.zero_point.fill_(grid.zero_point)

    def use_bits(self, bits: Bits) -> None:
        if bits == self.bits:
            return
        grid = self.grid
        self.bits = bits
        self.start(grid.scale * grid.lowest_step, grid.scale * grid.highest_step)

    @property
    def grid(self) -> Grid:
        zero_point = int(self.zero_point.item())
        scale = min(self.step.value.item(), largest_scale(self.bits, zero_point, self.function))
        return Grid(self.bits, scale, zero_point)

    def keep_valid(self) -> None:
        if self.function.low == 0.0:
            self.step.keep_valid(largest_scale(self.bits, 0, self.function))
        elif self._is_bounded:
            self.step.keep_valid(largest_scale(self.bits, int(self.zero_point.item()), self.function))
        else:
            self.step.keep_valid()

    @property
    def _is_bounded(self) -> bool:
        """The activation function has an end that is not zero."""
        return any(end != 0 and math.isfinite(end) for end in (self.function.low, self.function.high))

    def forward(self, values: Tensor) -> Tensor:
        top = top_code(self.bits)
        step = self.step(values[0].numel(), top)
        if self.function.low == 0.0:
            return fake_quantized(values, TrainedGrid(step, 0, top))
        zero_point = self.zero_point.to(torch.float32)
        return fake_quantized(values, TrainedGrid(step, -zero_point, top - zero_point))


def activation_tensor_range(kind: ActivationRange, bits: Bits, function: ActivationFunction) -> ActivationTensorRange:
    """A new range of that kind, for a tensor whose values lie in a function's interval."""
    if kind is ActivationRange.LEARNED_STEP:
        return StepRange(bits, function)
    return BoundedRange(bits, function, learned=kind is ActivationRange.LEARNED)


def trained_grid(low: Tensor, high: Tensor, bits: Bits, function: ActivationFunction) -> TrainedGrid:
    """The grid between two bounds inside the function's interval, tensors without dimensions; see the module's text.

    Rounding the zero point moves both ends by up to half a step: the grid shrinks where that leaves the interval.
    """
    top = top_code(bits)
    scale = ((high - low) / top).detach().clamp(min=LEAST_EXTENT / top)
    if function.low == 0.0:
        return TrainedGrid(scale.clamp(max=function.high / top), 0, top, None, high if high.requires_grad else None)
    zero_point = torch.floor(-low.detach() / scale + 0.5).clamp(0, top)
    if math.isfinite(function.low):
        scale = torch.where(zero_point > 0, torch.minimum(scale, -function.low / zero_point.clamp(min=1)), scale)
    if math.isfinite(function.high):
        up = top - zero_point
        scale = torch.where(up > 0, torch.minimum(scale, function.high / up.clamp(min=1)), scale)
    return TrainedGrid(
        scale,
        -zero_point,
        top - zero_point,
        low if low.requires_grad else None,
        high if high.requires_grad else None,
    )
