"""Fake quantization with its gradients: real values in, the nearest real values that codes can stand for out.

    steps      t = floor(x / s + 1/2)                 half goes up
    code       q = clamp(t + z, 0, 2^b - 1)
    value      y = s * (q - z)

    gradients                        inside                   below             above
        of x (straight-through)        1                        0                 0
        of a learned low               0                        1                 0        PACT, arXiv 1805.06085, eq. 4
        of a learned high              0                        0                 1        (here for both ends)
        of a learned step s        t - x / s                   -z          2^b - 1 - z     LSQ, arXiv 1902.08153, eq. 3

where inside is s * -z <= x <= s * (2^b - 1 - z): the straight-through estimator takes the rounding for the identity,
and what is left is a clamp. A range learns its bounds or its step, never both.

The same is written twice: as operators that torch.compile fuses into their neighbours, and, where nothing is compiled
and memory traffic is what a step costs, as one function that works in place and keeps its input alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deploy.arithmetic import top_code
from network.allocation import Bits


@dataclass(frozen=True, slots=True)
class Grid:
    """The real values that an activation tensor's codes stand for: scale * (code - zero_point).

    Attributes:
        bits: of a code.
        scale: above 0.
        zero_point: the code of real zero.
    """

    bits: Bits
    scale: float
    zero_point: int

    @property
    def lowest_step(self) -> int:
        """The smallest code less the zero point."""
        return -self.zero_point

    @property
    def highest_step(self) -> int:
        """The largest code less the zero point."""
        return top_code(self.bits) - self.zero_point


@dataclass(frozen=True, slots=True, eq=False)
class TrainedGrid:
    """A grid whose constants are tensors, so that gradients reach them and nothing waits for a device.

    Every tensor is without dimensions, or [output channels, 1, ...] beside a weight tensor per channel.

    Attributes:
        scale: float32; takes a gradient if the step is learned.
        lowest_step: the smallest code less the zero point; a number where it can never change.
        highest_step: the largest, likewise.
        low: the lower bound, if it is learned; it only receives a gradient, its value is in the scale already.
        high: the upper bound, likewise.
    """

    scale: Tensor
    lowest_step: Tensor | int
    highest_step: Tensor | int
    low: Tensor | None = None
    high: Tensor | None = None


class _InPlace(torch.autograd.Function):
    """Fake quantization of an activation tensor on a CPU. The backward pass needs the values alone: no mask is kept."""

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        scale: Tensor,
        low: Tensor | None,
        high: Tensor | None,
        lowest_step: Tensor | int,
        highest_step: Tensor | int,
    ) -> Tensor:
        step, lowest, highest = scale.item(), int(lowest_step), int(highest_step)
        quantized = (values / step).add_(0.5).floor_().clamp_(lowest, highest).mul_(step)
        ctx.interval = step, step * lowest, step * highest
        # The quantized values are kept by whatever reads them anyway.
        ctx.save_for_backward(values, quantized if ctx.needs_input_grad[1] else None)
        return quantized

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, quantized = ctx.saved_tensors
        step, low, high = ctx.interval
        _, wants_step, wants_low, wants_high, *_ = ctx.needs_input_grad
        of_values = inside(gradient, values, low, high)
        of_step = of_low = of_high = None
        if wants_step:  # the sum of gradient * (y - x) / s inside, and of gradient * y / s outside
            of_step = (_dot(gradient, quantized) - _dot(of_values, values)) / step
        # Summed over what is clipped alone: a difference of larger sums leaves noise, which Adam takes for a gradient.
        if wants_low:
            of_low = _between(gradient, values, -math.inf, low).sum()
        if wants_high:
            of_high = _between(gradient, values, high, math.inf).sum()
        return of_values, of_step, of_low, of_high, None, None


def inside(gradient: Tensor, values: Tensor, low: float, high: float) -> Tensor:
    """The gradient where low <= value <= high, else zero; one pass over memory."""
    ends = torch.tensor([low, high], dtype=torch.float32)
    below, above = torch.nextafter(ends, torch.tensor([-math.inf, math.inf])).tolist()
    return _between(gradient, values, below, above)


def _between(gradient: Tensor, values: Tensor, low: float, high: float) -> Tensor:
    """The gradient where low < value < high, else zero."""
    masked: Tensor = torch.ops.aten.hardtanh_backward(gradient, values, low, high)
    return masked


def _dot(first: Tensor, second: Tensor) -> Tensor:
    product: Tensor = torch.linalg.vecdot(_in_memory_order(first), _in_memory_order(second))
    return product


def _in_memory_order(values: Tensor) -> Tensor:
    """One long row, without a copy where channels lie next to each other."""
    return (values.permute(0, 2, 3, 1) if values.ndim == 4 else values).reshape(-1)


def fake_quantized(values: Tensor, grid: TrainedGrid) -> Tensor:
    """The values on the grid, with the gradients stated above.

    Args:
        values: real values of any shape.
        grid: what codes stand for.
    """
    by_operators = torch.compiler.is_compiling() or values.device.type != "cpu" or grid.scale.ndim
    way = _Fused if by_operators else _InPlace
    return way.apply(  # type: ignore[no-any-return, no-untyped-call]  # torch's own
        values, grid.scale, grid.low, grid.high, grid.lowest_step, grid.highest_step
    )


class _Fused(torch.autograd.Function):
    """The same in operators that torch.compile fuses into their neighbours, and without waiting for a device.

    What the backward pass sums, it sums for each channel first: batch norm's own gradients are such sums, so that one
    loop over memory makes all of them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        scale: Tensor,
        low: Tensor | None,
        high: Tensor | None,
        lowest_step: Tensor | int,
        highest_step: Tensor | int,
    ) -> Tensor:
        ctx.save_for_backward(values, scale)
        ctx.ends = lowest_step, highest_step
        return torch.floor(_clamped(values / scale, lowest_step, highest_step) + 0.5) * scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, scale = ctx.saved_tensors
        lowest_step, highest_step = ctx.ends
        _, wants_step, wants_low, wants_high, *_ = ctx.needs_input_grad
        steps = values / scale
        clamped = _clamped(steps, lowest_step, highest_step)
        is_inside = steps == clamped
        of_values = torch.where(is_inside, gradient, 0.0)
        of_step = of_low = of_high = None
        if wants_step:
            rounded = torch.floor(clamped + 0.5)
            of_step = _summed(gradient * (rounded - torch.where(is_inside, steps, 0.0)), scale)
        if wants_low:
            of_low = _summed(torch.where(steps < clamped, gradient, 0.0), scale)
        if wants_high:
            of_high = _summed(torch.where(steps > clamped, gradient, 0.0), scale)
        return of_values, of_step, of_low, of_high, None, None


def _clamped(steps: Tensor, lowest_step: Tensor | int, highest_step: Tensor | int) -> Tensor:
    return torch.clamp(steps, lowest_step, highest_step)  # type: ignore[arg-type]  # both of one kind


def _summed(gradient: Tensor, like: Tensor) -> Tensor:
    """Over all that share one step."""
    if gradient.ndim == 4 and not like.ndim:
        return gradient.sum((0, 2, 3)).sum()
    return gradient.sum_to_size(like.shape)


def straight_through(values: Tensor, grid: TrainedGrid) -> Tensor:
    """The values on the grid; the gradient is the identity's everywhere, for a range that follows its values."""
    steps = torch.floor(values / grid.scale + 0.5).clamp(grid.lowest_step, grid.highest_step)  # type: ignore[arg-type]  # both of one kind
    return values + (steps * grid.scale - values).detach()


def on_grid(values: Tensor, grid: Grid) -> Tensor:
    """The values on the grid, for what takes no gradient."""
    steps = (values / grid.scale).add_(0.5).floor_()
    return steps.clamp_(grid.lowest_step, grid.highest_step).mul_(grid.scale)
