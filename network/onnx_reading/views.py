"""Values that are an activation tensor of ours seen in another order or with other dimensions.

Reshapes and transposes compute nothing. A `View` says which tensor's elements they show, with which dimensions, and in
which order: `walk` lists loops, the outermost first, as (extent, stride in the tensor's channel, height, width order).
A reshape changes the dimensions and keeps the walk; a transpose reorders the loops:

    tensor 3x2x2              dims            walk
    itself                    (3, 2, 2)       (12, 1)             one loop over all elements, in order
    transposed to HWC         (2, 2, 3)       (4, 1) (3, 4)       pixels outside, channels inside
    and flattened             (12,)           (4, 1) (3, 4)
    transposed back           (3, 2, 2)       (12, 1)

Loops of extent 1 are dropped and loops that continue each other are merged, so equal orders have equal walks. All costs
are in the number of loops, never in the number of elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from network.layers import Shape


class Loop(NamedTuple):
    """`extent` elements, `stride` apart in the tensor's channel, height, width order."""

    extent: int
    stride: int


Walk = tuple[Loop, ...]


def merged(loops: Iterable[Loop]) -> Walk:
    """The shortest walk of the same order."""
    walk: list[Loop] = []
    for loop in loops:
        if loop.extent == 1:
            continue
        if walk and walk[-1].stride == loop.extent * loop.stride:
            walk[-1] = Loop(walk[-1].extent * loop.extent, loop.stride)
        else:
            walk.append(loop)
    return tuple(walk)


def in_order(elements: int) -> Walk:
    """The walk over a tensor in its own order."""
    return merged([Loop(elements, 1)])


def image_shape(dims: tuple[int, ...]) -> Shape | None:
    """(C, H, W), (C, L) or (C,) as a shape; a sequence is an image of height 1."""
    if len(dims) == 3:
        return Shape(*dims)
    if len(dims) == 2:
        return Shape(dims[0], 1, dims[1])
    return Shape(dims[0]) if len(dims) == 1 else None


@dataclass(frozen=True, slots=True)
class View:
    """A tensor's elements in some order, with some dimensions.

    Attributes:
        tensor: whose elements these are.
        dims: the ONNX value's dimensions, the batch left out.
        walk: the order of the elements.
        after_softmax: softmax was applied on the way; nothing may be computed from it.
        without_batch: the ONNX value has lost its batch, of 1; only a reshape may bring it back.
    """

    tensor: str
    dims: tuple[int, ...]
    walk: Walk
    after_softmax: bool = False
    without_batch: bool = False

    @property
    def elements(self) -> int:
        return math.prod(self.dims)

    @property
    def is_in_order(self) -> bool:
        return self.walk == in_order(self.elements)

    def shows(self, shape: Shape) -> bool:
        """Whether this is the tensor itself, of that shape, as ONNX lays images out."""
        return self.is_in_order and image_shape(self.dims) == shape

    def reshaped(self, dims: tuple[int, ...]) -> View:
        """The same order with other dimensions, of as many elements."""
        if math.prod(dims) != self.elements:
            raise ValueError(f"{self.elements} elements cannot be reshaped to {dims}")
        return replace(self, dims=dims)

    def axes(self) -> tuple[Walk, ...] | None:
        """The loops within each dimension; None where a dimension ends in the middle of a loop."""
        axes: list[Walk] = []
        loops = list(self.walk)
        for extent in reversed(self.dims):
            inside: list[Loop] = []
            left = extent
            while left > 1:
                loop = loops.pop()
                taken = math.gcd(loop.extent, left)
                if taken < min(loop.extent, left):
                    return None
                inside.append(Loop(taken, loop.stride))
                if taken < loop.extent:
                    loops.append(Loop(loop.extent // taken, loop.stride * taken))
                left //= taken
            axes.append(merged(reversed(inside)))
        return tuple(reversed(axes))

    def transposed(self, order: tuple[int, ...]) -> View | None:
        """The dimensions in another order; None where that cannot be followed."""
        axes = self.axes()
        if axes is None:
            return None
        walk = merged(loop for axis in order for loop in axes[axis])
        return replace(self, dims=tuple(self.dims[axis] for axis in order), walk=walk)

    def order(self) -> npt.NDArray[np.int64]:
        """For each element of the view, in its order, its place in the tensor's channel, height, width order."""
        places = np.zeros(1, dtype=np.int64)
        for extent, stride in self.walk:
            places = (places[:, None] + np.arange(extent, dtype=np.int64) * stride).ravel()
        return places


def image_view(tensor: str, shape: Shape, rank: int) -> View:
    """A tensor as it is: (C, H, W), a sequence's (C, L) or a vector's (C,), by `rank`."""
    dims = (shape.channels, shape.height, shape.width) if rank == 3 else (shape.channels, shape.width)[:rank]
    return View(tensor, dims, in_order(shape.elements))


def channels_last_walk(shape: Shape) -> Walk:
    """The walk over a tensor's pixels, each pixel's channels together."""
    pixels = shape.height * shape.width
    return merged([Loop(pixels, 1), Loop(shape.channels, pixels)])


def channels_last_view(tensor: str, shape: Shape, rank: int) -> View:
    """A tensor with its channels moved to the end: (H, W, C), (L, C) or (C,), by `rank`."""
    channels, *space = image_view(tensor, shape, rank).dims
    return View(tensor, (*space, channels), channels_last_walk(shape))
