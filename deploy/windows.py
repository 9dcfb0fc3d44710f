"""Padding and windows of images [n, height, width, channels], for convolutions and pooling layers.

The window of the output position (i, j) covers the rows i * stride + k * dilation of the padded image, for k in
[0, kernel), and the columns likewise. No function here rounds: each one only moves or adds integers.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, IntArray
from network.layers import Padding

Number = TypeVar("Number", bound=np.generic)


def padded(images: npt.NDArray[Number], padding: Padding, fill: int) -> npt.NDArray[Number]:
    """Return images with added rows and columns of the value `fill` around them; without padding, the same array."""
    if not any(padding):
        return images
    n, height, width, channels = images.shape
    top, left, bottom, right = padding
    around = np.full((n, top + height + bottom, left + width + right, channels), fill, dtype=images.dtype)
    around[:, top : top + height, left : left + width] = images
    return around


def window_view(
    images: npt.NDArray[Number], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> npt.NDArray[Number]:
    """Return a view of all windows of padded images, without copying the images.

    The shape is [n, output height, output width, kernel row, kernel column, channels].
    """
    extents = tuple(spacing * (size - 1) + 1 for size, spacing in zip(kernel, dilation, strict=True))
    view: npt.NDArray[Any] = np.lib.stride_tricks.sliding_window_view(images, extents, axis=(1, 2))
    strided = view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return strided.transpose(0, 1, 2, 4, 5, 3)


def window_sums(values: IntArray, kernel: tuple[int, int], stride: tuple[int, int]) -> IntArray:
    """Compute the sum of each window of padded images from cumulative sums, so that the time does not grow with the
    window.

    Returns:
        The sums, [n, output height, output width, channels].
    """
    for axis, size, step in zip((1, 2), kernel, stride, strict=True):
        start = np.zeros_like(values.take([0], axis=axis))
        running = np.moveaxis(np.concatenate((start, np.cumsum(values, axis=axis)), axis=axis), axis, 0)
        values = np.moveaxis(running[size::step] - running[:-size:step], 0, axis)
    return values


def window_maxima(images: CodeArray, kernel: tuple[int, int], stride: tuple[int, int]) -> CodeArray:
    """Return the largest integer code of each window of padded images, [n, output height, output width, channels]."""
    for axis, size, step in zip((1, 2), kernel, stride, strict=True):
        lines = np.moveaxis(images, axis, 0)
        positions = (len(lines) - size) // step + 1
        largest = lines[: step * (positions - 1) + 1 : step].copy()
        for offset in range(1, size):
            np.maximum(largest, lines[offset : offset + step * (positions - 1) + 1 : step], out=largest)
        images = np.moveaxis(largest, 0, axis)
    return images
