"""Layers that exist only while a file is read: per-channel affine functions that the fusion passes replace.

A file has batch norms, multiplications and additions of constants as separate nodes. The passes in `folding` fold
each of these layers into the layer before it or into the input format, or replace it by a depthwise convolution.
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
class PerChannelAffine(Layer):
    """Layer that computes x * scale + shift with one scale and one shift for all elements of a channel."""

    @abstractmethod
    def scale_and_shift(self) -> tuple[Numbers, Numbers]:
        """Return the scale and the shift, each of shape [1] or [channels]."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return self._only(inputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Obstructed(Layer):
    """Placeholder for a node that cannot be read and keeps the shape of its input; no network contains it."""

    kind: ClassVar[str] = "obstructed"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return self._only(inputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(PerChannelAffine):
    """Multiplication by a constant and addition of a constant.

    Attributes:
        scale: Factors, of shape [1] or [channels].
        shift: Summands, of shape [1] or [channels].
    """

    kind: ClassVar[str] = "affine"
    scale: Numbers
    shift: Numbers

    def scale_and_shift(self) -> tuple[Numbers, Numbers]:
        return self.scale, self.shift


@dataclass(frozen=True, kw_only=True, eq=False)
class Normalization(PerChannelAffine):
    """Batch norm that is not folded into a weight layer yet.

    Attributes:
        batch_norm: The parameters of the batch norm.
    """

    kind: ClassVar[str] = "normalization"
    batch_norm: BatchNorm

    def scale_and_shift(self) -> tuple[Numbers, Numbers]:
        norm = self.batch_norm
        scale = norm.gamma / np.sqrt(norm.variance.astype(np.float64) + norm.epsilon)
        return scale, norm.beta - norm.mean * scale
