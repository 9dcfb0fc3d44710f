"""Strided views of the network's activation tensors, by which reshapes and transposes are followed without computing.

A `View` states which tensor's elements a value has, with which dimensions and in which order. Its `walk` is a list of
nested loops, the outermost first; each loop is (extent, stride), with the stride in elements of the tensor in channel,
height, width order. A reshape changes the dimensions and keeps the walk; a transpose reorders the loops:

    tensor 3x2x2              dims            walk
    itself                    (3, 2, 2)       (12, 1)             one loop over all elements: contiguous
    transposed to HWC         (2, 2, 3)       (4, 1) (3, 4)       pixels in the outer loop, channels in the inner
    and flattened             (12,)           (4, 1) (3, 4)
    transposed back           (3, 2, 2)       (12, 1)

Loops of extent 1 are removed, and a loop that continues another one is merged with it, so that equal orders have equal
walks. All operations take time in the number of loops, not in the number of elements.
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
    """One loop of the nested loops that visit the elements of a tensor in the order of a view.

    Attributes:
        extent: Number of iterations, 1 or more.
        stride: Distance between successive iterations, in elements of the tensor in channel, height, width order.
    """

    extent: int
    stride: int


Walk = tuple[Loop, ...]


def merge_loops(loops: Iterable[Loop]) -> Walk:
    """Return the shortest walk that visits the elements in the order of the given loops."""
    walk: list[Loop] = []
    for loop in loops:
        if loop.extent == 1:
            continue
        if walk and walk[-1].stride == loop.extent * loop.stride:
            walk[-1] = Loop(walk[-1].extent * loop.extent, loop.stride)
        else:
            walk.append(loop)
    return tuple(walk)


def contiguous_walk(elements: int) -> Walk:
    """Return the walk over a tensor of that many elements in its own order."""
    return merge_loops([Loop(elements, 1)])


def image_shape(dims: tuple[int, ...]) -> Shape | None:
    """Return the shape of an image (C, H, W), a sequence (C, L) or a vector (C,), without the batch.

    A sequence is an image of height 1.

    Args:
        dims: Dimensions behind the batch, channels first.

    Returns:
        The shape; None if there are more than three dimensions.
    """
    if len(dims) == 3:
        return Shape(*dims)
    if len(dims) == 2:
        return Shape(dims[0], 1, dims[1])
    return Shape(dims[0]) if len(dims) == 1 else None


@dataclass(frozen=True, slots=True)
class View:
    """The elements of one tensor in some order and with some dimensions.

    Attributes:
        tensor: Name of the tensor that has the elements.
        dims: Dimensions of the ONNX value, without the batch.
        walk: Order of the elements, as nested loops over the tensor.
        after_softmax: Whether the ONNX value is behind a softmax, so that it can be moved but not computed with.
        without_batch: Whether `dims` are all dimensions of the ONNX value, because it has no batch, or a fixed batch of
            1 that was squeezed away or moved.
    """

    tensor: str
    dims: tuple[int, ...]
    walk: Walk
    after_softmax: bool = False
    without_batch: bool = False

    @property
    def elements(self) -> int:
        """Number of elements, without the batch."""
        return math.prod(self.dims)

    @property
    def rank(self) -> int:
        """Number of dimensions of the ONNX value, with the batch if it has one."""
        return len(self.dims) + (0 if self.without_batch else 1)

    def with_all_dims(self) -> View:
        """Return the same value, whose batch is fixed to 1, with the batch among its dimensions."""
        return self if self.without_batch else replace(self, dims=(1, *self.dims), without_batch=True)

    def with_leading_batch(self) -> View:
        """Return the same value with its first dimension of extent 1 as the batch, if it has such a dimension."""
        if self.without_batch and len(self.dims) > 1 and self.dims[0] == 1:
            return replace(self, dims=self.dims[1:], without_batch=False)
        return self

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements are in the tensor's own order: channel, height, width."""
        return self.walk == contiguous_walk(self.elements)

    def shows(self, shape: Shape) -> bool:
        """Return whether the view is a tensor of the given shape in its own order and with its own dimensions."""
        return self.is_contiguous and image_shape(self.dims) == shape

    def reshaped(self, dims: tuple[int, ...]) -> View:
        """Return a view with other dimensions and the same order of elements.

        Args:
            dims: Dimensions of the result, without the batch.

        Raises:
            ValueError: If the dimensions have another number of elements.
        """
        if math.prod(dims) != self.elements:
            raise ValueError(f"{self.elements} elements cannot be reshaped to {dims}; expected as many elements")
        return replace(self, dims=dims)

    def axes(self) -> tuple[Walk, ...] | None:
        """Return the loops of each dimension; None if a loop cannot be divided between two dimensions."""
        axes: list[Walk] = []
        loops = list(self.walk)
        for extent in reversed(self.dims):
            inside: list[Loop] = []
            remaining = extent
            while remaining > 1:
                loop = loops.pop()
                divisor = math.gcd(loop.extent, remaining)
                if divisor < min(loop.extent, remaining):
                    return None
                inside.append(Loop(divisor, loop.stride))
                if divisor < loop.extent:
                    loops.append(Loop(loop.extent // divisor, loop.stride * divisor))
                remaining //= divisor
            axes.append(merge_loops(reversed(inside)))
        return tuple(reversed(axes))

    def transposed(self, order: tuple[int, ...]) -> View | None:
        """Return a view with the dimensions in another order.

        Args:
            order: Indices of the dimensions in their new order, without the batch.

        Returns:
            The view; None if a loop cannot be divided between two dimensions.
        """
        axes = self.axes()
        if axes is None:
            return None
        walk = merge_loops(loop for axis in order for loop in axes[axis])
        return replace(self, dims=tuple(self.dims[axis] for axis in order), walk=walk)

    def element_indices(self) -> npt.NDArray[np.int64]:
        """Return, for each element of the view, its index in the tensor in channel, height, width order; [elements]."""
        indices = np.zeros(1, dtype=np.int64)
        for extent, stride in self.walk:
            indices = (indices[:, None] + np.arange(extent, dtype=np.int64) * stride).ravel()
        return indices


def image_view(tensor: str, shape: Shape, rank: int) -> View:
    """Return a tensor as a channels-first view: (C, H, W), (C, L) or (C,) for the rank 3, 2 or 1 without the batch."""
    dims = (shape.channels, shape.height, shape.width) if rank == 3 else (shape.channels, shape.width)[:rank]
    return View(tensor, dims, contiguous_walk(shape.elements))


def channels_last_walk(shape: Shape) -> Walk:
    """Return the walk over a tensor pixel by pixel, with the channels of each pixel in the inner loop."""
    pixels = shape.height * shape.width
    return merge_loops([Loop(pixels, 1), Loop(shape.channels, pixels)])


def swapped_walk(shape: Shape, *, channels_last: bool) -> Walk:
    """Return the walk over a tensor column by column, channel after channel or with the channels in the inner loop."""
    channels = Loop(shape.channels, shape.height * shape.width)
    pixels = (Loop(shape.width, 1), Loop(shape.height, shape.width))
    return merge_loops((*pixels, channels) if channels_last else (channels, *pixels))


def channels_last_view(tensor: str, shape: Shape, rank: int) -> View:
    """Return a tensor as a channels-last view: (H, W, C), (L, C) or (C,) for the rank 3, 2 or 1 without the batch."""
    channels, *space = image_view(tensor, shape, rank).dims
    return View(tensor, (*space, channels), channels_last_walk(shape))
