"""Padding, convolution, pooling and window sizes in torch; each side of an image can have a different padding."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor

from network.layers import AveragePool, Convolution, FullyConnected, MaxPool, Padding, Pool, WeightLayer


def padded(images: Tensor, padding: Padding, fill: float = 0.0) -> Tensor:
    """Pad images [n, channels, height, width] with rows and columns of the value `fill`."""
    if not any(padding):
        return images
    return F.pad(images, (padding.left, padding.right, padding.top, padding.bottom), value=fill)


def convolved(images: Tensor, weight: Tensor, bias: Tensor | None, layer: WeightLayer) -> Tensor:
    """Compute a convolution or a fully connected layer with zero padding, without batch norm and activation function.

    Args:
        images: Input tensor [n, channels, height, width]: real values, or code - zero_point.
        weight: Weight tensor, in the shape of `layer.weight`.
        bias: Bias of each output channel, [output channels]; None for no bias.
        layer: The layer, which gives stride, padding, dilation and groups.

    Returns:
        The sums, [n, output channels, height, width].
    """
    if isinstance(layer, FullyConnected):
        return F.linear(images.flatten(1), weight, bias)[:, :, None, None]
    assert isinstance(layer, Convolution)  # noqa: S101  # the two kinds of WeightLayer
    top, left, bottom, right = layer.padding
    if (top, left) == (bottom, right):
        return F.conv2d(images, weight, bias, layer.stride, (top, left), layer.dilation, layer.groups)
    return F.conv2d(padded(images, layer.padding), weight, bias, layer.stride, 0, layer.dilation, layer.groups)


def max_pooled(images: Tensor, layer: MaxPool) -> Tensor:
    """Compute the maximum of each window of images, ignoring padding, [n, channels, height, width]."""
    top, left, bottom, right = layer.padding
    if (top, left) == (bottom, right) and 2 * top <= layer.kernel[0] and 2 * left <= layer.kernel[1]:
        return F.max_pool2d(images, layer.kernel, layer.stride, (top, left))
    return F.max_pool2d(padded(images, layer.padding, -math.inf), layer.kernel, layer.stride)


def window_sums(images: Tensor, layer: Pool) -> Tensor:
    """Compute the sum of each window of images, with zero padding, [n, channels, height, width]."""
    return F.avg_pool2d(padded(images, layer.padding), layer.kernel, layer.stride, divisor_override=1)


def window_sizes(layer: AveragePool, height: int, width: int) -> Tensor:
    """Compute the number of elements by which an average pooling layer divides the sum of each window.

    Args:
        layer: The average pool.
        height: Height of the input image in pixels.
        width: Width of the input image in pixels.

    Returns:
        float32 [1, 1, output height, output width], or [1, 1, 1, 1] if the number is the same for all windows.
    """
    if layer.count_includes_padding:
        return torch.full((1, 1, 1, 1), float(layer.window_elements))
    return window_sums(torch.ones(1, 1, height, width), layer)
