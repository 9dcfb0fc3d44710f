"""Independent, naive implementation of each layer: loops over positions, in float64, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from network.joined_samples import input_tensors
from network.layers import (
    Add,
    AveragePool,
    Concat,
    Convolution,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    Padding,
    WeightLayer,
)
from network.network import Network
from tests.network.float_reference import flattened

Images = npt.NDArray[np.float64]


def naive_tensors(network: Network, images: npt.NDArray[np.float32]) -> dict[str, Images]:
    """Compute each tensor of the float network, [n, channels, height, width], by name; `images` may be joined."""
    tensors: dict[str, Images] = input_tensors(images.astype(np.float64), network.inputs)
    for layer in network.layers:
        inputs = [tensors[tensor] for tensor in layer.inputs]
        if isinstance(layer, WeightLayer):
            assert layer.weight is not None
            values = normalised(layer, sums(layer, inputs[0], layer.weight.astype(np.float64)))
        else:
            values = combined(layer, inputs)
        tensors[layer.output] = np.clip(values, layer.activation.low, layer.activation.high)
    return tensors


def normalised(layer: WeightLayer, values: Images) -> Images:
    """Apply bias and batch norm to a layer's sums."""

    def column(array: npt.NDArray[np.float32]) -> Images:
        return array.astype(np.float64).reshape(1, -1, 1, 1)

    if layer.bias is not None:
        values = values + column(layer.bias)
    norm = layer.batch_norm
    if norm is None:
        return values
    deviation = np.sqrt(column(norm.variance) + norm.epsilon)
    return (values - column(norm.mean)) / deviation * column(norm.gamma) + column(norm.beta)


def sums(layer: WeightLayer, images: Images, weight: Images) -> Images:
    """Compute the sums of products of a convolution or fully connected layer."""
    if isinstance(layer, FullyConnected):
        return (images.reshape(len(images), -1) @ weight.T)[:, :, None, None]
    assert isinstance(layer, Convolution)
    around = padded(images, layer.padding, 0.0)
    reach = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel, strict=True)]
    height, width = ((around.shape[2 + i] - reach[i]) // layer.stride[i] + 1 for i in range(2))
    result = np.zeros((len(images), layer.output_channels, height, width))
    outputs_per_group = layer.output_channels // layer.groups
    inputs_per_group = weight.shape[1]
    for channel, row, column in product(range(layer.output_channels), range(height), range(width)):
        first = channel // outputs_per_group * inputs_per_group
        top, left = row * layer.stride[0], column * layer.stride[1]
        window = around[
            :,
            first : first + inputs_per_group,
            top : top + reach[0] : layer.dilation[0],
            left : left + reach[1] : layer.dilation[1],
        ]
        result[:, channel, row, column] = (window * weight[channel]).sum(axis=(1, 2, 3))
    return result


def combined(layer: Layer, inputs: Sequence[Images]) -> Images:
    """Compute a layer without weights, without its activation function."""
    match layer:
        case Add():
            total: Images = np.sum(inputs, axis=0)
            return total
        case Concat():
            return np.concatenate([flattened(layer, each) for each in inputs], axis=1 + layer.axis.position)
        case MaxPool() | AveragePool():
            return _pooled(layer, inputs[0])
        case Pad():
            around = padded(inputs[0], layer.padding, 0.0)
            return np.pad(around, ((0, 0), (layer.channels_before, layer.channels_after), (0, 0), (0, 0)))
        case _:
            return inputs[0]


def padded(images: Images, padding: Padding, fill: float) -> Images:
    return np.pad(
        images,
        ((0, 0), (0, 0), (padding.top, padding.bottom), (padding.left, padding.right)),
        constant_values=fill,
    )


def _pooled(layer: MaxPool | AveragePool, images: Images) -> Images:
    around = padded(images, layer.padding, np.nan)  # NaN marks what is padding
    height, width = ((around.shape[2 + i] - layer.kernel[i]) // layer.stride[i] + 1 for i in range(2))
    result = np.zeros((*images.shape[:2], height, width))
    for row, column in product(range(height), range(width)):
        top, left = row * layer.stride[0], column * layer.stride[1]
        window = around[:, :, top : top + layer.kernel[0], left : left + layer.kernel[1]]
        if isinstance(layer, MaxPool):
            result[:, :, row, column] = np.nanmax(window, axis=(2, 3))
        elif layer.count_includes_padding:
            result[:, :, row, column] = np.nansum(window, axis=(2, 3)) / np.prod(layer.kernel)
        else:
            result[:, :, row, column] = np.nanmean(window, axis=(2, 3))
    return result
