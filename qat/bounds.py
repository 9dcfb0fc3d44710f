"""The two ends of a range, low <= 0 <= high, learned or fixed."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from network.layers import ActivationFunction

LEAST_EXTENT: Final = 2.0**-60
"""Of a range: a tensor that is zero everywhere has none of its own."""

NARROWEST_SHARE: Final = 1e-3
"""A learned range never becomes narrower than this share of the range it started from."""


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
        low, high = max(low, self._interval.low), min(high, self._interval.high)
        if high - low < LEAST_EXTENT:
            low, high = (0.0, LEAST_EXTENT) if self._interval.high > 0 else (-LEAST_EXTENT, 0.0)
        with torch.no_grad():
            self.extent.fill_(high - low)
            self.low.fill_(low / (high - low))
            self.high.fill_(high / (high - low))

    @property
    def values(self) -> tuple[float, float]:
        """Both bounds as real values."""
        extent = self.extent.item()
        return self.low.item() * extent, self.high.item() * extent

    def forward(self) -> tuple[Tensor | None, Tensor | None]:
        """Both bounds as real values that take gradients; None for one that is not learned."""
        if not torch.is_grad_enabled():
            return None, None
        return (
            self.low * self.extent if self.low.requires_grad else None,
            self.high * self.extent if self.high.requires_grad else None,
        )

    def keep_valid(self) -> None:
        """After a step of the optimizer: low <= 0 <= high, not too narrow, inside the interval."""
        extent = self.extent.item()
        with torch.no_grad():
            self.low.clamp_(self._interval.low / extent, 0.0)
            self.high.clamp_(0.0, self._interval.high / extent)
            if self.high.item() - self.low.item() < NARROWEST_SHARE:
                grows_up = self._interval.high > 0
                (self.high if grows_up else self.low).fill_(math.copysign(NARROWEST_SHARE, 1 if grows_up else -1))
