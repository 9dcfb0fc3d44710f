"""Learned quantization step size (LSQ, Esser et al., arXiv 1902.08153)."""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor, nn

MIN_STEP_SHARE: Final = 1e-3
"""Smallest value of a learned quantization step size, as a share of its initial value."""

_MIN_SQUARED_UNIT: Final = 2.0**-60
"""Smallest squared initial step size in the gradient scale, so that the gradient of a nearly zero channel is finite."""


class _ScaledGradient(torch.autograd.Function):
    """Identity in the forward pass; multiplies the gradient by a factor in the backward pass."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return gradient * factor, None


class LearnedStep(nn.Module):
    """Learned quantization step size, stored relative to its initial value, so that one learning rate fits all tensors.

    Args:
        shape: Shape of the step size: () for an activation tensor, (output channels, 1, ...) for a weight tensor.

    Attributes:
        unit: Initial step size, float32 of the given shape.
        relative: Trainable ratio of the step size to its initial value, float32 of the given shape.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("unit", torch.ones(shape))
        self.unit: Tensor
        self.relative = nn.Parameter(torch.ones(shape))

    @torch.no_grad()
    def start(self, step: Tensor) -> None:
        """Set the initial quantization step size; it may be negative, and then real values decrease as the code
        increases.
        """
        self.unit.copy_(step)
        self.relative.fill_(1.0)

    @property
    def value(self) -> Tensor:
        """Current quantization step size, without gradient."""
        return (self.relative * self.unit).detach()

    def forward(self, elements: int, highest_step: int) -> Tensor:
        """Return the quantization step size, with its gradient scaled by 1 / sqrt(elements * highest_step) (LSQ, after
        equation 4).

        The gradient of the relative step size is also divided by the square of the initial step size, so that gradient
        descent changes the step size as much as if it were the parameter itself. Adam does not depend on such a scale.

        Args:
            elements: Number of elements per sample that are quantized with this step size.
            highest_step: Largest code minus zero point.
        """
        square = self.unit.square().clamp(min=_MIN_SQUARED_UNIT)
        share = 1.0 / (math.sqrt(elements * max(highest_step, 1)) * square)
        relative: Tensor = _ScaledGradient.apply(self.relative, share)  # type: ignore[no-untyped-call]  # torch's own
        return relative * self.unit

    @torch.no_grad()
    def keep_valid(self, largest: float = math.inf) -> None:
        """Clamp the learned quantization step size to its valid range after an optimizer step.

        Args:
            largest: Largest step size at which the grid stays inside the activation function's interval.
        """
        self.relative.clamp_(min=MIN_STEP_SHARE)
        if largest < math.inf:
            self.relative.copy_(torch.minimum(self.relative, largest / self.unit.abs()))
