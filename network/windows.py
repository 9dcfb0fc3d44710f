"""Windows that a convolution or pooling layer moves over an image: their positions and their elements."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from network.shapes import Padding, Shape

IntArray = npt.NDArray[np.int64]


def window_positions(size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1) -> int:
    """Return the number of positions of a window along one axis of an image; 0 or less if the window does not fit.

    Args:
        size: Number of rows (or columns) of the image.
        kernel: Number of rows (or columns) of the window.
        stride: Distance between two neighbouring positions, in rows (or columns).
        before: Number of padding rows above the image (or columns to the left of it).
        after: Number of padding rows below the image (or columns to the right of it).
        dilation: Distance between two neighbouring rows (or columns) of the window.
    """
    return (size + before + after - (dilation * (kernel - 1) + 1)) // stride + 1


def window_counts(
    shape: Shape, padding: Padding, kernel: tuple[int, int], stride: tuple[int, int]
) -> tuple[IntArray, IntArray]:
    """Return, for each window position, the numbers of rows and of columns of the image in the window, without padding.

    Args:
        shape: Shape of the input image.
        padding: Padding around the image.
        kernel: Height and width of the window.
        stride: Vertical and horizontal distance between two positions of the window.

    Returns:
        rows, int64 [output height], and columns, int64 [output width]: the window at output position (i, j) contains
        rows[i] * columns[j] elements of the image.
    """

    def along(size: int, before: int, after: int, extent: int, step: int) -> IntArray:
        start = np.arange(window_positions(size, extent, step, before, after)) * step - before
        inside: IntArray = np.minimum(start + extent, size) - np.maximum(start, 0)
        return inside

    rows = along(shape.height, padding.top, padding.bottom, kernel[0], stride[0])
    return rows, along(shape.width, padding.left, padding.right, kernel[1], stride[1])


def window_divisors(
    shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding, *, includes_padding: bool
) -> tuple[int, ...]:
    """Return the distinct numbers by which an average-pooling layer divides its window sums, ascending.

    Args:
        shape: Shape of the input image.
        kernel: Height and width of the window.
        stride: Vertical and horizontal distance between two positions of the window.
        padding: Padding around the image.
        includes_padding: Whether padding elements count as elements of a window.
    """
    if includes_padding or not any(padding):
        return (math.prod(kernel),)
    rows, columns = window_counts(shape, padding, kernel, stride)
    products = np.outer(np.unique(rows), np.unique(columns))
    return tuple(int(count) for count in np.unique(products))
