"""The two ends of a range, low <= 0 <= high, learned or fixed."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from network.layers import ActivationFunction

LEAST_EXTENT: Final = 2.0**-60
"""Of a range: a tensor that is zero everywhere has none of its own."""

NARROWEST_SHARE: Final = 1e-3
"""A learned range never becomes narrower than this share of the range it started from."""


def inside_of(interval: ActivationFunction, low: float, high: float) -> tuple[float, float]:
    """The range inside an interval; one without extent gets the least there is."""
    low, high = max(low, interval.low), min(high, interval.high)
    if high - low >= LEAST_EXTENT:
        return low, high
    return (0.0, LEAST_EXTENT) if interval.high > 0 else (-LEAST_EXTENT, 0.0)


class Bounds(nn.Module):
    """Both ends of a range, kept in units of the extent they started with: one learning rate then suits every tensor.

    Args:
        interval: what the bounds must stay inside. An end of it at zero (ReLU's lower one) is not learned.
        learned: the bounds are parameters; else they stay where they start.
    """

    def __init__(self, interval: ActivationFunction, *, learned: bool) -> None:
        super().__init__()
        self._interval = interval
        self.register_buffer("extent", torch.ones(()))
        self.extent: Tensor
        self.low = nn.Parameter(torch.tensor(0.0), requires_grad=learned and interval.low < 0)
        self.high = nn.Parameter(torch.tensor(1.0), requires_grad=learned and interval.high > 0)

    def start(self, low: float, high: float) -> None:
        """Set the bounds, low <= 0 <= high; a range without extent gets the least there is."""
        low, high = inside_of(self._interval, low, high)
        with torch.no_grad():
            self.extent.fill_(high - low)
            self.low.fill_(low / (high - low))
            self.high.fill_(high / (high - low))

    @property
    def values(self) -> tuple[float, float]:
        """Both bounds as real values."""
        extent = self.extent.item()
        return self.low.item() * extent, self.high.item() * extent

    def forward(self) -> tuple[Tensor, Tensor]:
        """Both bounds as real values, tensors without dimensions; one that is learned takes a gradient."""
        return self.low * self.extent, self.high * self.extent

    @torch.no_grad()
    def keep_valid(self) -> None:
        """After a step of the optimizer: low <= 0 <= high, not too narrow, inside the interval."""
        self.low.clamp_(max=0.0)
        self.high.clamp_(min=0.0)
        if self._interval.low > -torch.inf:
            self.low.copy_(torch.maximum(self.low, self._interval.low / self.extent))
        if self._interval.high < torch.inf:
            self.high.copy_(torch.minimum(self.high, self._interval.high / self.extent))
        is_too_narrow = self.high - self.low < NARROWEST_SHARE
        if self._interval.high > 0:
            self.high.copy_(torch.where(is_too_narrow, self.low + NARROWEST_SHARE, self.high))
        else:
            self.low.copy_(torch.where(is_too_narrow, self.high - NARROWEST_SHARE, self.low))
