"""Layers that live only while a file is read: every one of them is taken into another layer before the network stands.

A file says batch norm, multiplication or addition of constants as nodes of their own. The passes of `fusing` put each
into the layer before it, into the input's format, or, where neither can be, turn it into a depthwise convolution.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from network.layers import BatchNorm, Layer, Shape

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelStep(Layer):
    """The same linear function of every element of a channel."""

    @abstractmethod
    def scale_and_shift(self) -> tuple[Numbers, Numbers]:
        """x * scale + shift; float64, [1] or [channels] each."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return self._only(inputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(ChannelStep):
    """A multiplication and an addition of constants."""

    kind: ClassVar[str] = "affine"
    scale: Numbers
    shift: Numbers

    def scale_and_shift(self) -> tuple[Numbers, Numbers]:
        return self.scale, self.shift


@dataclass(frozen=True, kw_only=True, eq=False)
class Normalization(ChannelStep):
    """A batch norm that no layer has taken in yet."""

    kind: ClassVar[str] = "normalization"
    batch_norm: BatchNorm

    def scale_and_shift(self) -> tuple[Numbers, Numbers]:
        norm = self.batch_norm
        scale = norm.gamma / np.sqrt(norm.variance.astype(np.float64) + norm.epsilon)
        return scale, norm.beta - norm.mean * scale
