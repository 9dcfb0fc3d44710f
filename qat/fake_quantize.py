"""Fake quantization with its gradients: real values in, the nearest real values that codes can stand for out.

    steps      t = floor(x / s + 1/2)                 half goes up
    code       q = clamp(t + z, 0, 2^b - 1)
    value      y = s * (q - z)

    gradients                        inside [low, high]    below      above
        of x (straight-through)              1               0          0
        of low                               0               1          0
        of high                              0               0          1

The straight-through estimator takes the rounding for the identity; a bound gets its gradient from what it clips alone
(PACT, arXiv 1805.06085, equation 4, here for both ends).
"""

from __future__ import annotations

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


class _Quantize(torch.autograd.Function):
    """Fake quantization whose bounds are learned (tensors of one element) or not (None)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: Tensor | None, high: Tensor | None, grid: Grid) -> Tensor:
        steps = (values / grid.scale).add_(0.5).floor_()
        quantized = steps.clamp(grid.lowest_step, grid.highest_step)
        # One byte an element is kept for the backward pass, not the four of a float.
        inside = quantized == steps
        ctx.learned = low is not None, high is not None
        above = steps > grid.highest_step if any(ctx.learned) else None
        ctx.save_for_backward(inside, above)
        return quantized.mul_(grid.scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        inside, above = ctx.saved_tensors
        of_values = gradient * inside
        of_high = of_low = None
        low_is_learned, high_is_learned = ctx.learned
        if high_is_learned:
            of_high = gradient[above].sum()
        if low_is_learned:
            of_low = gradient[~(inside | above)].sum()
        return of_values, of_low, of_high, None


def fake_quantized(values: Tensor, grid: Grid, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """The values on the grid, with the gradients stated above.

    Args:
        values: real values of any shape.
        grid: what codes stand for.
        low: the lower bound, if it is learned; it only receives a gradient, its value is in `grid` already.
        high: the upper bound, likewise.
    """
    return _Quantize.apply(values, low, high, grid)  # type: ignore[no-any-return, no-untyped-call]  # torch's own


def on_grid(values: Tensor, grid: Grid) -> Tensor:
    """The values on the grid, for what takes no gradient."""
    steps = (values / grid.scale).add_(0.5).floor_()
    return steps.clamp_(grid.lowest_step, grid.highest_step).mul_(grid.scale)


class _QuantizeWeight(torch.autograd.Function):
    """As `_Quantize`, with a scale and a zero point per output channel or for the layer, [c, 1, ...] or [1, 1, ...]."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        low: Tensor | None,
        high: Tensor | None,
        scale: Tensor,
        zero_point: Tensor,
        top: int,
    ) -> Tensor:
        steps = torch.floor(weight / scale + 0.5)
        quantized = torch.minimum(torch.maximum(steps, -zero_point), top - zero_point)
        ctx.bounds_are_learned = low is not None and high is not None
        if ctx.bounds_are_learned:
            ctx.save_for_backward(steps < quantized, steps > quantized)
        return quantized * scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None, None, None]:
        if not ctx.bounds_are_learned:
            return gradient, None, None, None, None, None
        below, above = ctx.saved_tensors
        of_weight = gradient.masked_fill(below | above, 0.0)
        return of_weight, gradient[below].sum(), gradient[above].sum(), None, None, None


def fake_quantized_weight(
    weight: Tensor, scale: Tensor, zero_point: Tensor, bits: Bits, low: Tensor | None = None, high: Tensor | None = None
) -> Tensor:
    """A weight tensor on its grid. Without learned bounds the gradient passes straight through everywhere.

    Args:
        weight: [output channels, ...].
        scale: [1] or [output channels].
        zero_point: as the scale; whole numbers.
        bits: of a code.
        low: the lower bound, if both are learned.
        high: the upper bound, likewise.
    """
    across = (-1,) + (1,) * (weight.ndim - 1)
    return _QuantizeWeight.apply(  # type: ignore[no-any-return, no-untyped-call]  # torch's own
        weight, low, high, scale.reshape(across), zero_point.reshape(across), top_code(bits)
    )
