"""Fake quantization with its gradients: rounds real values to the nearest values that have an integer code.

    steps      t = floor(x / s + 1/2)                 halves are rounded up
    code       q = clamp(t + z, 0, 2^b - 1)
    value      y = s * (q - z)

    gradients                        inside                   below             above
        of x (straight-through)        1                        0                 0
        of a learned low               0                        1                 0        PACT, arXiv 1805.06085, eq. 4
        of a learned high              0                        0                 1        (here for both ends)
        of a learned step s        t - x / s                   -z          2^b - 1 - z     LSQ, arXiv 1902.08153, eq. 3

where "inside" means s * -z <= x <= s * (2^b - 1 - z). The straight-through estimator treats the rounding as the
identity, so that only the clamp has a gradient. A range has either learned bounds or a learned step, never both.

There are two implementations: one in operators that torch.compile fuses with their neighbours, and, for training
without compilation, whose speed is limited by memory traffic, one that works in place and saves little more than its
input.
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
    """Quantization grid of an activation tensor: an integer code stands for the real value scale * (code - zero_point).

    Attributes:
        bits: Number of bits of each code: 8, 4 or 2.
        scale: Distance between the real values of neighbouring codes, above 0.
        zero_point: Code that stands for real zero, 0 to 2^bits - 1.
    """

    bits: Bits
    scale: float
    zero_point: int

    @property
    def lowest_step(self) -> int:
        """Smallest integer code of the quantization grid minus the zero point."""
        return -self.zero_point

    @property
    def highest_step(self) -> int:
        """Largest integer code of the quantization grid minus the zero point."""
        return top_code(self.bits) - self.zero_point


@dataclass(frozen=True, slots=True, eq=False)
class TrainedGrid:
    """Quantization grid whose constants are torch tensors, so that they receive gradients and stay on their device.

    Each tensor is a scalar, or [output channels, 1, ...] for a weight tensor that is quantized per channel.

    Attributes:
        scale: Distance between the real values of neighbouring codes, float32; receives a gradient if it is learned.
        lowest_step: Smallest code minus zero point; an int if it is constant.
        highest_step: Largest code minus zero point; an int if it is constant.
        low: Lower clipping bound if it is learned, else None. It only receives a gradient: its value is already part of
            the scale.
        high: Upper clipping bound if it is learned, else None, used in the same way.
    """

    scale: Tensor
    lowest_step: Tensor | int
    highest_step: Tensor | int
    low: Tensor | None = None
    high: Tensor | None = None


class _InPlace(torch.autograd.Function):
    """Fake quantization of a tensor on a CPU without compilation; saves no mask for the backward pass."""

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
        # Saving the quantized values needs no extra memory: the layers that read them save them too.
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
        # Only the gradients of clipped values are summed: a difference of larger sums would leave rounding noise, which
        # Adam would amplify.
        if wants_low:
            of_low = _between(gradient, values, -math.inf, low).sum()
        if wants_high:
            of_high = _between(gradient, values, high, math.inf).sum()
        return of_values, of_step, of_low, of_high, None, None


def inside(gradient: Tensor, values: Tensor, low: float, high: float) -> Tensor:
    """Return a gradient where the quantized value is in [low, high], and zero elsewhere, in one pass over memory."""
    ends = torch.tensor([low, high], dtype=torch.float32)
    below, above = torch.nextafter(ends, torch.tensor([-math.inf, math.inf])).tolist()
    return _between(gradient, values, below, above)


def _between(gradient: Tensor, values: Tensor, low: float, high: float) -> Tensor:
    """Return a gradient where the quantized value is above low and below high, and zero elsewhere."""
    masked: Tensor = torch.ops.aten.hardtanh_backward(gradient, values, low, high)
    return masked


def _dot(first: Tensor, second: Tensor) -> Tensor:
    product: Tensor = torch.linalg.vecdot(_in_memory_order(first), _in_memory_order(second))
    return product


def _in_memory_order(values: Tensor) -> Tensor:
    """Flatten a tensor in the order of its elements in memory, so that channels-last tensors are not copied."""
    return (values.permute(0, 2, 3, 1) if values.ndim == 4 else values).reshape(-1)


def fake_quantized(values: Tensor, grid: TrainedGrid) -> Tensor:
    """Round real values to the nearest values on a quantization grid; gradients pass through the rounding.

    Args:
        values: Real values of any shape.
        grid: Quantization grid, which receives gradients if it is learned.
    """
    by_operators = torch.compiler.is_compiling() or values.device.type != "cpu" or grid.scale.ndim
    implementation = _Fused if by_operators else _InPlace
    return implementation.apply(  # type: ignore[no-any-return, no-untyped-call]  # apply is untyped in torch
        values, grid.scale, grid.low, grid.high, grid.lowest_step, grid.highest_step
    )


class _Fused(torch.autograd.Function):
    """Fake quantization in operators that torch.compile fuses with their neighbours, without device synchronization.

    The backward pass sums gradients per channel first. Batch norm needs sums per channel too, so the compiler can
    compute all of them in one loop over memory.
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
    """Sum the gradient over all elements that use the same constant of a quantization grid, to the shape of the
    constant `like`.
    """
    if gradient.ndim == 4 and not like.ndim:
        return gradient.sum((0, 2, 3)).sum()
    return gradient.sum_to_size(like.shape)


def straight_through(values: Tensor, grid: TrainedGrid) -> Tensor:
    """Round real values to a quantization grid, with gradient 1 everywhere (straight-through estimator without
    clipping).

    Used for a range that is computed from the values themselves, so that no value is clipped.
    """
    steps = torch.floor(values / grid.scale + 0.5).clamp(grid.lowest_step, grid.highest_step)  # type: ignore[arg-type]  # both of one kind
    return values + (steps * grid.scale - values).detach()


def on_grid(values: Tensor, grid: Grid) -> Tensor:
    """Round real values to the nearest values on a quantization grid, without gradients."""
    steps = (values / grid.scale).add_(0.5).floor_()
    return steps.clamp_(grid.lowest_step, grid.highest_step).mul_(grid.scale)
