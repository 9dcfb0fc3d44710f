"""A naive float evaluation of a `Network`, in float64, written from the layers' definitions alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from network.joined_samples import input_tensors, joined_input
from network.layers import (
    Activation,
    Add,
    AveragePool,
    BatchNorm,
    Concat,
    Convolution,
    Flattening,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    Padding,
    Pool,
    WeightLayer,
)
from network.network import Network

Array = npt.NDArray[np.float64]


def evaluate(network: Network, samples: npt.NDArray[np.generic]) -> dict[str, Array]:
    """Every tensor of the network for (joined) samples [n, *dims] as the caller has them; [n, c, h, w] each."""
    tensors = input_tensors(joined_input(samples, network.inputs).astype(np.float64), network.inputs)
    for layer in network.layers:
        result = _layer(layer, [tensors[tensor] for tensor in layer.inputs])
        tensors[layer.output] = np.clip(result, layer.activation.low, layer.activation.high)
        assert tensors[layer.output].shape[1:] == network.shapes[layer.output], layer.name
    return tensors


def _layer(layer: Layer, inputs: list[Array]) -> Array:  # noqa: PLR0911  # one return for each kind
    match layer:
        case Convolution():
            return _with_parameters(layer, _convolution(layer, inputs[0]))
        case FullyConnected():
            assert layer.weight is not None
            flat = inputs[0].reshape(len(inputs[0]), -1)
            return _with_parameters(layer, (flat @ layer.weight.T.astype(np.float64))[:, :, None, None])
        case Add():
            return np.asarray(np.sum(inputs, axis=0))
        case Concat():
            return np.concatenate([flattened(layer, each) for each in inputs], axis=1 + layer.axis.position)
        case MaxPool():
            return np.asarray(np.max(list(_windows(layer, _padded(inputs[0], layer.padding, -math.inf))), axis=0))
        case AveragePool():
            total = np.sum(list(_windows(layer, _padded(inputs[0], layer.padding, 0.0))), axis=0)
            outside = 1.0 if layer.count_includes_padding else 0.0
            ones = _padded(np.ones_like(inputs[0]), layer.padding, outside)
            return np.asarray(total / np.sum(list(_windows(layer, ones)), axis=0))
        case Pad():
            image = _padded(inputs[0], layer.padding, 0.0)
            return np.pad(image, ((0, 0), (layer.channels_before, layer.channels_after), (0, 0), (0, 0)))
        case Activation():
            return inputs[0]
    raise AssertionError(layer)


def flattened(layer: Concat, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The input [n, c, h, w] of a concatenation, as vectors [n, elements, 1, 1] if the layer flattens."""
    if layer.flattening is None:
        return values
    if layer.flattening is Flattening.CHANNELS_LAST:
        values = np.moveaxis(values, 1, 3)
    return values.reshape(len(values), values[0].size, 1, 1)


def _padded(image: Array, padding: Padding, value: float) -> Array:
    top, left, bottom, right = padding
    return np.pad(image, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _windows(pool: Pool, image: Array) -> Iterator[Array]:
    """For each place in the window, the elements that stand there in all windows."""
    height = (image.shape[2] - pool.kernel[0]) // pool.stride[0] + 1
    width = (image.shape[3] - pool.kernel[1]) // pool.stride[1] + 1
    for row in range(pool.kernel[0]):
        for column in range(pool.kernel[1]):
            rows = slice(row, row + (height - 1) * pool.stride[0] + 1, pool.stride[0])
            columns = slice(column, column + (width - 1) * pool.stride[1] + 1, pool.stride[1])
            yield image[:, :, rows, columns]


def _convolution(layer: Convolution, image: Array) -> Array:
    assert layer.weight is not None
    padded = _padded(image, layer.padding, 0.0)
    output_channels, group_channels, kernel_height, kernel_width = layer.weight.shape
    height = (padded.shape[2] - layer.dilation[0] * (kernel_height - 1) - 1) // layer.stride[0] + 1
    width = (padded.shape[3] - layer.dilation[1] * (kernel_width - 1) - 1) // layer.stride[1] + 1
    result = np.zeros((len(image), output_channels, height, width))
    per_group = output_channels // layer.groups
    for channel in range(output_channels):
        first = channel // per_group * group_channels
        for row in range(kernel_height):
            for column in range(kernel_width):
                top, left = row * layer.dilation[0], column * layer.dilation[1]
                rows = slice(top, top + (height - 1) * layer.stride[0] + 1, layer.stride[0])
                columns = slice(left, left + (width - 1) * layer.stride[1] + 1, layer.stride[1])
                part = padded[:, first : first + group_channels, rows, columns]
                filter_place = layer.weight[channel, :, row, column].astype(np.float64)
                result[:, channel] += np.einsum("nchw,c->nhw", part, filter_place)
    return result


def _with_parameters(layer: WeightLayer, result: Array) -> Array:
    if layer.bias is not None:
        result = result + layer.bias.reshape(1, -1, 1, 1)
    return result if layer.batch_norm is None else _normalized(layer.batch_norm, result)


def _normalized(norm: BatchNorm, values: Array) -> Array:
    gamma, beta, mean, variance = (
        each.astype(np.float64).reshape(1, -1, 1, 1) for each in (norm.gamma, norm.beta, norm.mean, norm.variance)
    )
    return np.asarray(gamma * (values - mean) / np.sqrt(variance + norm.epsilon) + beta)
