"""Cross-layer equalization: channels of neighbouring layers get weights of like size; the network computes what it did.

A factor that leaves one layer's output channel can enter the next layer's input channel, wherever what stands between
treats every channel by itself and scales with it: no activation function or ReLU, pools, padding (Nagel et al.,
"Data-free quantization through weight equalization and bias correction", arXiv 1906.04721, section 4.1). With r1 and r2
the largest absolute weight of channel i in both layers,

    s_i = sqrt(r1_i * r2_i) / r2_i         W1 row i / s_i, bias i / s_i, W2 column i * s_i          equation 11

over all pairs until nothing changes any more, so that chains (pointwise, depthwise, pointwise) are equalized as one.
What counts as W1 is what would be quantized with batch norm folded in; gamma and beta take the factor. Two things are
ours:

- A channel is not scaled up beyond the largest of its tensor, by what batch norm says of its values (|beta| +
  3 |gamma|): all channels share the range of their activation tensor.
- A batch norm hides the scale of the weights before it, which is therefore free: rows get one range there, with mean
  and variance to match, for the schemes that leave batch norm where it is.

ReLU6 does not scale: its bound would become one per channel, which the integer network does not have. Such pairs stay
as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from network.layers import (
    Activation,
    ActivationFunction,
    AveragePool,
    Convolution,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    WeightLayer,
)
from network.network import Network

DoubleArray = npt.NDArray[np.float64]

MOST_ROUNDS: Final = 100
CHANGES_NOTHING: Final = 1e-3
"""A factor nearer to 1 than that is none."""


@dataclass(slots=True, eq=False)
class _Parameters:
    """What a layer multiplies by, in float64, while it is scaled.

    Attributes:
        weight: [output channels, ...].
        bias: as it is without batch norm; beta with one, [output channels].
        gain: gamma / sigma of the batch norm; ones without, [output channels].
        extent: an estimate of the largest output of a channel; infinite where nothing is known, [output channels].
    """

    weight: DoubleArray
    bias: DoubleArray
    gain: DoubleArray
    extent: DoubleArray

    @property
    def folded(self) -> DoubleArray:
        """The weights with batch norm folded in, without their signs."""
        folded: DoubleArray = np.abs(self.weight * self.gain.reshape((-1,) + (1,) * (self.weight.ndim - 1)))
        return folded


def equalized(network: Network) -> Network:
    """The same function with weights that lose less by quantization, whatever their bits become.

    Args:
        network: with weights; one without comes back as it is.
    """
    if not network.has_weights:
        return network
    parameters = {layer.name: _parameters_of(layer) for layer in network.weight_layers}
    given = {name: replace(each) for name, each in parameters.items()}
    pairs = _pairs(network)
    for _ in range(MOST_ROUNDS):
        largest = max((_scale(network, parameters, *pair) for pair in pairs), default=0.0)
        if largest < CHANGES_NOTHING:
            break
    layers = tuple(
        _written(layer, parameters[layer.name], given[layer.name]) if isinstance(layer, WeightLayer) else layer
        for layer in network.layers
    )
    return replace(network, layers=layers)


def _parameters_of(layer: WeightLayer) -> _Parameters:
    assert layer.weight is not None  # noqa: S101  # the network has weights
    weight = layer.weight.astype(np.float64)
    norm = layer.batch_norm
    if norm is None:
        bias = np.zeros(layer.output_channels) if layer.bias is None else layer.bias.astype(np.float64)
        return _Parameters(weight, bias, np.ones(layer.output_channels), np.full(layer.output_channels, math.inf))
    gamma, beta = norm.gamma.astype(np.float64), norm.beta.astype(np.float64)
    sigma = np.sqrt(norm.variance.astype(np.float64) + norm.epsilon)
    gain = np.divide(gamma, sigma, out=np.zeros_like(gamma), where=sigma > 0)
    return _Parameters(weight, beta, gain, np.abs(beta) + 3 * np.abs(gamma))


def _pairs(network: Network) -> list[tuple[WeightLayer, WeightLayer]]:
    """Layers with weights whose output another one reads alone, through nothing but what scales with its input."""
    readers = network.readers()
    found = []
    for first in network.weight_layers:
        layer: Layer = first
        while _scales(layer, first) and layer.output not in network.outputs and len(readers[layer.output]) == 1:
            (layer,) = readers[layer.output]
            if isinstance(layer, WeightLayer):
                found.append((first, layer))
                break
    return found


def _scales(layer: Layer, first: WeightLayer) -> bool:
    """Every channel of the layer's output is as many times larger as that of its input (of its weights, if first)."""
    is_homogeneous = _is_homogeneous(layer.activation)
    match layer:
        case Pad():
            return is_homogeneous and layer.channels_before == layer.channels_after == 0
        case MaxPool() | AveragePool() | Activation():
            return is_homogeneous
        case _:
            return is_homogeneous and layer is first


def _is_homogeneous(function: ActivationFunction) -> bool:
    return math.isinf(function.high) and (function.low == 0.0 or math.isinf(function.low))


def _scale(network: Network, parameters: dict[str, _Parameters], first: WeightLayer, second: WeightLayer) -> float:
    """Equalize one pair; how far the farthest factor is from 1, as a logarithm."""
    one, other = parameters[first.name], parameters[second.name]
    channels = network.input_shapes(second)[0].channels
    rows = one.folded.reshape(len(one.weight), -1).max(axis=1)
    of_columns = _by_input_channel(other.folded, second, channels).max(axis=(1, 3)).reshape(-1)
    factors = np.ones_like(rows)
    both = (rows > 0) & (of_columns > 0)
    factors[both] = np.sqrt(rows[both] / of_columns[both])
    # An infinite extent bounds nothing.
    known = np.isfinite(one.extent)
    largest = one.extent[known].max(initial=0.0)
    if largest > 0:
        factors[known] = np.maximum(factors[known], np.minimum(one.extent[known] / largest, 1.0))
    one.gain, one.bias, one.extent = one.gain / factors, one.bias / factors, one.extent / factors
    columns = _by_input_channel(other.weight, second, channels)
    across = factors.reshape(columns.shape[0], 1, columns.shape[2], 1)
    other.weight = (columns * across).reshape(other.weight.shape)
    return float(np.abs(np.log(factors)).max(initial=0.0))


def _by_input_channel(weight: DoubleArray, layer: WeightLayer, channels: int) -> DoubleArray:
    """The weights as [groups, output channels of a group, input channels of a group, all else]."""
    groups = layer.groups if isinstance(layer, Convolution) else 1
    assert isinstance(layer, Convolution | FullyConnected)  # noqa: S101  # the two kinds of WeightLayer
    return weight.reshape(groups, len(weight) // groups, channels // groups, -1)


def _written(layer: WeightLayer, found: _Parameters, given: _Parameters) -> WeightLayer:
    """The layer with what was found for it."""
    norm = layer.batch_norm
    # By how much the gain has changed; a gain of zero never does.
    ratio = np.divide(found.gain, given.gain, out=np.ones_like(found.gain), where=given.gain != 0)
    across = ratio.reshape((-1,) + (1,) * (found.weight.ndim - 1))
    if norm is None:
        weight, bias = found.weight * across, None if layer.bias is None else found.bias.astype(np.float32)
        return replace(layer, weight=weight.astype(np.float32), bias=bias)
    variance = norm.variance.astype(np.float64)
    free = _free_factors(found.weight, variance, norm.epsilon)
    return replace(
        layer,
        weight=(found.weight * free.reshape(across.shape)).astype(np.float32),
        bias=None if layer.bias is None else (layer.bias * free).astype(np.float32),
        batch_norm=replace(
            norm,
            gamma=(norm.gamma * ratio).astype(np.float32),
            beta=found.bias.astype(np.float32),
            mean=(norm.mean * free).astype(np.float32),
            variance=(free**2 * variance + (free**2 - 1) * norm.epsilon).astype(np.float32),
        ),
    )


def _free_factors(weight: DoubleArray, variance: DoubleArray, epsilon: float) -> DoubleArray:
    """What gives every output channel the same largest weight, where a batch norm takes it back, [output channels]."""
    rows = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    usable = (rows > 0) & (variance > 0)
    if not usable.any():
        return np.ones_like(rows)
    common = math.exp(float(np.log(rows[usable]).mean()))
    factors = np.divide(common, rows, out=np.ones_like(rows), where=usable)
    # The epsilon is not scaled with the variance: keep the new variance well above zero.
    least = np.sqrt(2 * epsilon / (variance + epsilon), out=np.zeros_like(rows), where=usable)
    return np.where(usable, np.maximum(factors, np.minimum(least, 1.0)), 1.0)
