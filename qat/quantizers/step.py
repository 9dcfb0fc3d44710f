"""A learned step size (LSQ, Esser et al., arXiv 1902.08153)."""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor, nn

SMALLEST_SHARE: Final = 1e-3
"""A learned step never becomes smaller than this share of the step that it started from."""

_LEAST_SQUARE: Final = 2.0**-60
"""Of a unit, in a gradient's measure: a channel of next to nothing must not get an infinite one."""


class _ScaledGradient(torch.autograd.Function):
    """The values as they are; their gradient times a factor."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return gradient * factor, None


class LearnedStep(nn.Module):
    """The distance between neighbouring codes, kept in units of where it started: one learning rate suits every tensor.

    Args:
        shape: of the step: () for an activation tensor, (output channels, 1, ...) for a weight tensor.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("unit", torch.ones(shape))
        self.unit: Tensor
        self.relative = nn.Parameter(torch.ones(shape))

    @torch.no_grad()
    def start(self, step: Tensor) -> None:
        """Begin here; a negative step counts codes downwards, and stays negative."""
        self.unit.copy_(step)
        self.relative.fill_(1.0)

    @property
    def value(self) -> Tensor:
        """The step now, no gradient."""
        return (self.relative * self.unit).detach()

    def forward(self, elements: int, highest_step: int) -> Tensor:
        """The step, its gradient scaled by 1 / sqrt(elements * highest_step), equation 4's measure.

        The gradient is further divided by the square of the unit, so that a step of gradient descent changes the step
        by the share that it would change without units. Adam sees no scale at all.

        Args:
            elements: that one sample quantizes with this step.
            highest_step: the largest code less the zero point.
        """
        square = self.unit.square().clamp(min=_LEAST_SQUARE)
        share = 1.0 / (math.sqrt(elements * max(highest_step, 1)) * square)
        relative: Tensor = _ScaledGradient.apply(self.relative, share)  # type: ignore[no-untyped-call]  # torch's own
        return relative * self.unit

    @torch.no_grad()
    def keep_valid(self, largest: float = math.inf) -> None:
        """After a step of the optimizer.

        Args:
            largest: step that leaves the grid inside an activation function's interval.
        """
        self.relative.clamp_(min=SMALLEST_SHARE)
        if largest < math.inf:
            self.relative.copy_(torch.minimum(self.relative, largest / self.unit.abs()))
