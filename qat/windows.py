"""Windows over images in torch: padding of any side, pools, and how many elements each window has."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor

from network.layers import AveragePool, Convolution, FullyConnected, MaxPool, Padding, Pool, WeightLayer


def padded(images: Tensor, padding: Padding, fill: float = 0.0) -> Tensor:
    """Images [n, c, h, w] with rows and columns of `fill` around them."""
    if not any(padding):
        return images
    return F.pad(images, (padding.left, padding.right, padding.top, padding.bottom), value=fill)


def convolved(images: Tensor, weight: Tensor, bias: Tensor | None, layer: WeightLayer) -> Tensor:
    """The sums of a convolution or a fully connected layer, padding with zeros.

    Args:
        images: [n, c, h, w], real values or codes less their zero point.
        weight: as `layer.weight`.
        bias: [output channels] or None.
        layer: gives stride, padding, dilation and groups.

    Returns:
        [n, output channels, height, width].
    """
    if isinstance(layer, FullyConnected):
        return F.linear(images.flatten(1), weight, bias)[:, :, None, None]
    assert isinstance(layer, Convolution)  # noqa: S101  # the two kinds of WeightLayer
    top, left, bottom, right = layer.padding
    if (top, left) == (bottom, right):
        return F.conv2d(images, weight, bias, layer.stride, (top, left), layer.dilation, layer.groups)
    return F.conv2d(padded(images, layer.padding), weight, bias, layer.stride, 0, layer.dilation, layer.groups)


def max_pooled(images: Tensor, layer: MaxPool) -> Tensor:
    """The largest element of each window; padding never wins."""
    top, left, bottom, right = layer.padding
    if (top, left) == (bottom, right) and 2 * top <= layer.kernel[0] and 2 * left <= layer.kernel[1]:
        return F.max_pool2d(images, layer.kernel, layer.stride, (top, left))
    return F.max_pool2d(padded(images, layer.padding, -math.inf), layer.kernel, layer.stride)


def window_sums(images: Tensor, layer: Pool) -> Tensor:
    """The sum of each window, [n, c, height, width]."""
    return F.avg_pool2d(padded(images, layer.padding), layer.kernel, layer.stride, divisor_override=1)


def window_sizes(layer: AveragePool, height: int, width: int) -> Tensor:
    """The elements that each window is divided by, float32 [1, 1, height, width] for an image of that extent."""
    if layer.count_includes_padding:
        return torch.full((1, 1, 1, 1), float(layer.window_elements))
    return window_sums(torch.ones(1, 1, height, width), layer)
