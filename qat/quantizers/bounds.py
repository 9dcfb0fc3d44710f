"""Clipping bounds of a quantization range, low <= 0 <= high, trainable or fixed."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from network.layers import ActivationFunction

MIN_WIDTH: Final = 2.0**-60
"""Smallest width of a quantization range, which a tensor gets that is zero everywhere."""

MIN_WIDTH_SHARE: Final = 1e-3
"""Smallest width of a learned quantization range, as a share of its initial width."""


def clipped_to(interval: ActivationFunction, low: float, high: float) -> tuple[float, float]:
    """Clip a quantization range [low, high] to an interval; a result of nearly zero width is widened to `MIN_WIDTH`."""
    low, high = max(low, interval.low), min(high, interval.high)
    if high - low >= MIN_WIDTH:
        return low, high
    return (0.0, MIN_WIDTH) if interval.high > 0 else (-MIN_WIDTH, 0.0)


class Bounds(nn.Module):
    """Clipping bounds of a quantization range, stored as multiples of the range's initial width.

    This way, one learning rate fits all tensors.

    Args:
        interval: Interval that the bounds must not leave. A bound whose interval ends at zero (the lower bound after a
            ReLU) is not trained.
        learned: Whether the bounds are trainable parameters; otherwise they keep their initial values.
    """

    def __init__(self, interval: ActivationFunction, *, learned: bool) -> None:
        super().__init__()
        self._interval = interval
        self.register_buffer("extent", torch.ones(()))
        self.extent: Tensor
        self.low = nn.Parameter(torch.tensor(0.0), requires_grad=learned and interval.low < 0)
        self.high = nn.Parameter(torch.tensor(1.0), requires_grad=learned and interval.high > 0)

    def start(self, low: float, high: float) -> None:
        """Set the initial clipping bounds, low <= 0 <= high; a range of nearly zero width is widened to `MIN_WIDTH`."""
        low, high = clipped_to(self._interval, low, high)
        with torch.no_grad():
            self.extent.fill_(high - low)
            self.low.fill_(low / (high - low))
            self.high.fill_(high / (high - low))

    @property
    def values(self) -> tuple[float, float]:
        """The lower and the upper clipping bound as real values."""
        extent = self.extent.item()
        return self.low.item() * extent, self.high.item() * extent

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return the lower and the upper clipping bound as scalar tensors of real values; trained bounds receive
        gradients.
        """
        return self.low * self.extent, self.high * self.extent

    @torch.no_grad()
    def keep_valid(self) -> None:
        """Correct the clipping bounds after an optimizer step: low <= 0 <= high, inside the interval, and not too
        narrow.
        """
        self.low.clamp_(max=0.0)
        self.high.clamp_(min=0.0)
        if self._interval.low > -torch.inf:
            self.low.copy_(torch.maximum(self.low, self._interval.low / self.extent))
        if self._interval.high < torch.inf:
            self.high.copy_(torch.minimum(self.high, self._interval.high / self.extent))
        is_too_narrow = self.high - self.low < MIN_WIDTH_SHARE
        if self._interval.high > 0:
            self.high.copy_(torch.where(is_too_narrow, self.low + MIN_WIDTH_SHARE, self.high))
        else:
            self.low.copy_(torch.where(is_too_narrow, self.high - MIN_WIDTH_SHARE, self.low))
