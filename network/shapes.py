"""Shapes of activation tensors, and padding around them."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Shape(NamedTuple):
    """Shape of an activation tensor without the batch: channels, height, width."""

    channels: int
    height: int = 1
    width: int = 1

    @property
    def elements(self) -> int:
        """Number of elements of an activation tensor, for one sample."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


class Flattening(StrEnum):
    """Order in which the elements of an image become those of a vector."""

    CHANNELS_FIRST = "channels_first"
    """Channel, height, width."""
    CHANNELS_LAST = "channels_last"
    """Height, width, channel: the order in which a device stores the image."""


class Axis(StrEnum):
    """Dimension of an activation tensor."""

    CHANNELS = "channels"
    HEIGHT = "height"
    WIDTH = "width"

    @property
    def position(self) -> int:
        """Index of the dimension in a shape: channels 0, height 1, width 2."""
        return tuple(Axis).index(self)


class Padding(NamedTuple):
    """Numbers of rows and columns that are added on each side of an image."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
