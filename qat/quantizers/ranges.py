"""Quantization ranges of activation tensors: the real values that the codes cover, learned, clipped or fixed.

A range [low, high] contains zero. At b bits it becomes a grid with s = (high - low) / (2^b - 1) and z = round(-low /
s), so that real zero has a code. If an activation function bounds the tensor, the grid stays inside the function's
interval, so that clamping the codes computes the activation function.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from deploy.arithmetic import top_code
from deploy.input_codes import HALF_TOLERANCE
from network.allocation import Bits
from network.layers import ActivationFunction
from qat.options.names import ActivationRange
from qat.quantizers.bounds import MIN_WIDTH, Bounds, clipped_to
from qat.quantizers.fake_quantize import Grid, TrainedGrid, fake_quantized
from qat.quantizers.step import LearnedStep


def grid_of(low: float, high: float, bits: Bits, function: ActivationFunction) -> Grid:
    """Compute the quantization grid (scale and zero point) of a range of real values.

    Args:
        low: Lower end of the range, at most 0.
        high: Upper end of the range, at least 0 and above `low`.
        bits: Number of bits of each code: 8, 4 or 2.
        function: Activation function whose interval the grid must not leave.
    """
    low, high = clipped_to(function, low, high)
    ends = torch.tensor([low, high], dtype=torch.float64)
    grid = trained_grid(ends[0], ends[1], bits, function)
    return Grid(bits, grid.scale.item(), -int(grid.lowest_step))


def largest_scale(bits: Bits, zero_point: int, function: ActivationFunction) -> float:
    """Compute the largest scale at which a quantization grid stays inside an activation function's interval.

    Args:
        bits: Number of bits of each code: 8, 4 or 2.
        zero_point: Code of real zero, 0 to 2^bits - 1.
        function: The activation function.
    """
    below = function.low / -zero_point if zero_point > 0 else math.inf
    steps_up = top_code(bits) - zero_point
    return min(below, function.high / steps_up if steps_up > 0 else math.inf)


class InputRange(nn.Module):
    """Quantization range of the network's input tensor, with a fixed grid that calibration sets.

    `forward` rounds real values to the grid, in the same way as `deploy.input_codes`.
    """

    def __init__(self, bits: Bits) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int64))
        self.register_buffer("samples_are_bytes", torch.zeros((), dtype=torch.bool))
        self.scale: Tensor
        self.zero_point: Tensor
        self.samples_are_bytes: Tensor

    def start(self, grid: Grid, *, samples_are_bytes: bool = False) -> None:
        """Set the grid, and whether the samples that calibration has seen are bytes."""
        self.scale.fill_(grid.scale)
        self.zero_point.fill_(grid.zero_point)
        self.samples_are_bytes.fill_(samples_are_bytes)

    @property
    def grid(self) -> Grid:
        return Grid(self.bits, self.scale.item(), int(self.zero_point.item()))

    def forward(self, values: Tensor) -> Tensor:
        zero_point = self.zero_point.to(torch.float32)
        scale = self.scale.to(torch.float32)
        grid = TrainedGrid(scale, -zero_point, top_code(self.bits) - zero_point)
        return fake_quantized(values + HALF_TOLERANCE * scale, grid)


class ActivationTensorRange(nn.Module, ABC):
    """Base class of the quantization ranges of a layer's output tensor.

    `forward` rounds real values to the grid, with gradients.

    Args:
        bits: Number of bits of each code: 8, 4 or 2.
        function: Interval that contains the tensor's values.
    """

    def __init__(self, bits: Bits, function: ActivationFunction) -> None:
        super().__init__()
        self.bits = bits
        self.function = function

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """Current quantization grid (scale and zero point) of the activation tensor."""

    @abstractmethod
    def start(self, low: float, high: float) -> None:
        """Set the initial quantization range [low, high] of the activation tensor, low <= 0 <= high."""

    @abstractmethod
    def use_bits(self, bits: Bits) -> None:
        """Change the number of bits of the activation tensor's codes; its quantization range stays nearly the same."""

    @abstractmethod
    def keep_valid(self) -> None:
        """Correct the learned parameters of the quantization range after an optimizer step, so that
        the range is valid.
        """


class BoundedRange(ActivationTensorRange):
    """Quantization range of a layer's output tensor that is given by its two clipping bounds.

    Args:
        bits: Number of bits of each code: 8, 4 or 2.
        function: Interval that contains the tensor's values.
        learned: Whether the bounds are trainable parameters (PACT); otherwise they keep their initial values.
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
    """Quantization range of a layer's output tensor that is given by a learned step size (LSQ).

    The zero point is set together with the initial range and is not trained.

    Args:
        bits: Number of bits of each code: 8, 4 or 2.
        function: Interval that contains the tensor's values.
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
        """Whether the activation function has a finite bound other than zero."""
        return any(end != 0 and math.isfinite(end) for end in (self.function.low, self.function.high))

    def forward(self, values: Tensor) -> Tensor:
        top = top_code(self.bits)
        step = self.step(values[0].numel(), top)
        if self.function.low == 0.0:
            return fake_quantized(values, TrainedGrid(step, 0, top))
        zero_point = self.zero_point.to(torch.float32)
        return fake_quantized(values, TrainedGrid(step, -zero_point, top - zero_point))


def activation_tensor_range(kind: ActivationRange, bits: Bits, function: ActivationFunction) -> ActivationTensorRange:
    """Create the quantization range of a layer's output tensor.

    Args:
        kind: How the range is determined: learned, learned_step or clipped.
        bits: Number of bits of each code: 8, 4 or 2.
        function: Interval that contains the tensor's values.
    """
    if kind is ActivationRange.LEARNED_STEP:
        return StepRange(bits, function)
    return BoundedRange(bits, function, learned=kind is ActivationRange.LEARNED)


def trained_grid(low: Tensor, high: Tensor, bits: Bits, function: ActivationFunction) -> TrainedGrid:
    """Compute the quantization grid of a range whose bounds are torch tensors, so that learned bounds receive
    gradients.

    Rounding the zero point moves both ends by up to half a step. If an end leaves the function's interval, the scale is
    reduced.

    Args:
        low: Lower bound, a scalar tensor, at most 0.
        high: Upper bound, a scalar tensor, at least 0.
        bits: Number of bits of each code: 8, 4 or 2.
        function: Activation function whose interval the grid must not leave.
    """
    top = top_code(bits)
    scale = ((high - low) / top).detach().clamp(min=MIN_WIDTH / top)
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
