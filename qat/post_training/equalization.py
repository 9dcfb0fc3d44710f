"""Cross-layer equalization: scales the channels of neighbouring layers so that their weights have similar ranges.

The network computes the same function. An output channel of one layer can be divided by a factor, and the input channel
of the next layer multiplied by it, if everything between the layers acts on each channel separately and scales with its
input: ReLU or no activation function, pools, spatial padding. Source: Nagel et al., "Data-free quantization through
weight equalization and bias correction", arXiv 1906.04721, section 4.1. With r1 and r2 the largest absolute weights of
channel i in the two layers (equation 11):

    s_i = sqrt(r1_i * r2_i) / r2_i         row i of W1 / s_i, bias i / s_i, column i of W2 * s_i

All pairs are equalized repeatedly until the factors are 1, so chains (pointwise, depthwise, pointwise) are equalized
together. W1 includes a folded batch norm; the factor is applied to gamma and beta. Four rules are not in the paper:

- A channel is never scaled up beyond the largest channel of its tensor, because all channels share the range of the
  activation tensor. The size of a channel is measured on samples (`qat.post_training.largest_outputs`); without
  samples, it is estimated from batch norm as |beta| + 3 |gamma|. A channel that is 0 on all samples is not scaled up.
- A batch norm cancels the scale of the weights before it, so this scale is free. All rows of such a weight tensor get
  the same range, and the mean and the variance of the batch norm are changed accordingly. This helps schemes that keep
  batch norm.

- A dead channel, whose weights are smaller than those of the layer's largest channel by `DEAD_SHARE`, keeps its factor
  of 1. Training can leave weights of 1e-30 in a channel: a factor of 1e30 would overflow float32, and what the channel
  computes is below the resolution of the tensor in any case.

- A layer that shares its weights with other layers keeps them: the factors of the layers would differ.

ReLU6 does not scale with its input: its upper bound would differ between channels, which the integer network does not
support. Pairs of layers with ReLU6 between them are not equalized.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
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

DEAD_SHARE: Final = 1e-6
"""Share of the largest channel of a layer up to which the weights of a channel count as zero."""

MAX_ROUNDS: Final = 100
"""Largest number of passes of cross-layer equalization over all pairs of layers."""
CONVERGED_BELOW: Final = 1e-3
"""Cross-layer equalization ends when the absolute logarithm of a pass's largest factor is below this value."""


@dataclass(slots=True, eq=False)
class _Parameters:
    """Weights, bias and batch norm factor of a layer during cross-layer equalization, in float64.

    Attributes:
        weight: Weights without batch norm, [output channels, ...].
        bias: Bias, or beta if the layer has a batch norm, [output channels].
        gain: The factor gamma / sigma of the batch norm, or 1 without a batch norm, [output channels].
        largest_output: Estimate of the largest absolute output of each channel, [output channels]; infinite if unknown.
    """

    weight: DoubleArray
    bias: DoubleArray
    gain: DoubleArray
    largest_output: DoubleArray

    @property
    def folded(self) -> DoubleArray:
        """Absolute values of the layer's weights with batch norm folded in, [output channels, ...]."""
        folded: DoubleArray = np.abs(self.weight * self.gain.reshape((-1,) + (1,) * (self.weight.ndim - 1)))
        return folded


def equalized(network: Network, largest_outputs: Mapping[str, DoubleArray] | None = None) -> Network:
    """Return a network that computes the same function with equalized weights, whose quantization causes smaller
    errors.

    Args:
        network: The float network. A network without weight values is returned unchanged.
        largest_outputs: Name of each layer with weights -> largest absolute output of each channel, [output channels];
            None estimates them from batch norm, and does not limit the channels of layers without one.
    """
    if not network.has_weights:
        return network
    measured = largest_outputs or {}
    parameters = {layer.name: _parameters_of(layer, measured.get(layer.name)) for layer in network.weight_layers}
    original = {name: replace(each) for name, each in parameters.items()}
    pairs = _layer_pairs(network)
    for _ in range(MAX_ROUNDS):
        largest = max((_equalize_pair(network, parameters, *pair) for pair in pairs), default=0.0)
        if largest < CONVERGED_BELOW:
            break
    layers = tuple(
        _scaled_layer(layer, parameters[layer.name], original[layer.name])
        if isinstance(layer, WeightLayer) and not network.weight_owners.is_shared(layer.name)
        else layer
        for layer in network.layers
    )
    # The ranges of a quantized file are those of the tensors before their channels were scaled.
    return replace(network, layers=layers, ranges={})


def _parameters_of(layer: WeightLayer, measured: DoubleArray | None) -> _Parameters:
    assert layer.weight is not None  # noqa: S101  # the network has weights
    weight = layer.weight.astype(np.float64)
    norm = layer.batch_norm
    if norm is None:
        bias = np.zeros(layer.output_channels) if layer.bias is None else layer.bias.astype(np.float64)
        unknown = np.full(layer.output_channels, math.inf)
        return _Parameters(weight, bias, np.ones(layer.output_channels), unknown if measured is None else measured)
    gamma, beta = norm.gamma.astype(np.float64), norm.beta.astype(np.float64)
    sigma = np.sqrt(norm.variance.astype(np.float64) + norm.epsilon)
    gain = np.divide(gamma, sigma, out=np.zeros_like(gamma), where=sigma > 0)
    return _Parameters(weight, beta, gain, np.abs(beta) + 3 * np.abs(gamma) if measured is None else measured)


def _layer_pairs(network: Network) -> list[tuple[WeightLayer, WeightLayer]]:
    """Find the pairs of layers with weights to which cross-layer equalization applies.

    The second layer is the only reader of the first layer's output, all layers between them scale with their input, and
    neither of the two shares its weights.
    """
    is_shared = network.weight_owners.is_shared
    readers = network.readers()
    found = []
    for first in network.weight_layers:
        layer: Layer = first
        while (
            _scales_by_channel(layer, first) and layer.output not in network.outputs and len(readers[layer.output]) == 1
        ):
            (layer,) = readers[layer.output]
            if isinstance(layer, WeightLayer):
                if not is_shared(first.name) and not is_shared(layer.name):
                    found.append((first, layer))
                break
    return found


def _scales_by_channel(layer: Layer, first: WeightLayer) -> bool:
    """Return whether scaling an input channel of a layer (for `first`: the weights of an output channel) scales only
    the same output channel.
    """
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


def _equalize_pair(
    network: Network, parameters: dict[str, _Parameters], first: WeightLayer, second: WeightLayer
) -> float:
    """Equalize the weights of two neighbouring layers, and return the largest absolute logarithm of the channels'
    factors.
    """
    one, other = parameters[first.name], parameters[second.name]
    channels = network.input_shapes(second)[0].channels
    rows = one.folded.reshape(len(one.weight), -1).max(axis=1)
    column_maxima = _by_input_channel(other.folded, second, channels).max(axis=(1, 3)).reshape(-1)
    factors = np.ones_like(rows)
    alive = _is_alive(rows) & _is_alive(column_maxima)
    factors[alive] = np.sqrt(rows[alive] / column_maxima[alive])
    # The factors of channels whose largest output is unknown (infinite) are not limited.
    known = np.isfinite(one.largest_output)
    largest = one.largest_output[known].max(initial=0.0)
    if largest > 0:
        share = np.minimum(one.largest_output[known] / largest, 1.0)
        factors[known] = np.maximum(factors[known], np.where(share > 0, share, 1.0))
    one.gain, one.bias, one.largest_output = one.gain / factors, one.bias / factors, one.largest_output / factors
    columns = _by_input_channel(other.weight, second, channels)
    across = factors.reshape(columns.shape[0], 1, columns.shape[2], 1)
    other.weight = (columns * across).reshape(other.weight.shape)
    return float(np.abs(np.log(factors)).max(initial=0.0))


def _is_alive(largest: DoubleArray) -> npt.NDArray[np.bool_]:
    """Whether each channel has weights that matter, given the largest absolute weight of each channel, [channels]."""
    alive: npt.NDArray[np.bool_] = largest > DEAD_SHARE * largest.max(initial=0.0)
    return alive


def _by_input_channel(weight: DoubleArray, layer: WeightLayer, channels: int) -> DoubleArray:
    """Reshape weights to [groups, output channels per group, input channels per group, kernel positions]."""
    groups = layer.groups if isinstance(layer, Convolution) else 1
    assert isinstance(layer, Convolution | FullyConnected)  # noqa: S101  # the two kinds of WeightLayer
    return weight.reshape(groups, len(weight) // groups, channels // groups, -1)


def _scaled_layer(layer: WeightLayer, scaled: _Parameters, original: _Parameters) -> WeightLayer:
    """Return a layer whose weights, bias and batch norm are scaled by cross-layer equalization."""
    norm = layer.batch_norm
    # The factor of the gain; a gain of zero never changes.
    ratio = np.divide(scaled.gain, original.gain, out=np.ones_like(scaled.gain), where=original.gain != 0)
    across = ratio.reshape((-1,) + (1,) * (scaled.weight.ndim - 1))
    if norm is None:
        weight, bias = scaled.weight * across, None if layer.bias is None else scaled.bias.astype(np.float32)
        return replace(layer, weight=weight.astype(np.float32), bias=bias)
    variance = norm.variance.astype(np.float64)
    free = _free_factors(scaled.weight, variance)
    # Epsilon is not scaled with the variance, so the new variance of a channel that is nearly constant could be
    # negative. Its variance stays, and its gamma changes instead.
    squared = free**2 * variance + (free**2 - 1) * norm.epsilon
    stays = (free < 1) & (squared < norm.epsilon)
    return replace(
        layer,
        weight=(scaled.weight * free.reshape(across.shape)).astype(np.float32),
        bias=None if layer.bias is None else (layer.bias * free).astype(np.float32),
        batch_norm=replace(
            norm,
            gamma=(norm.gamma * ratio / np.where(stays, free, 1.0)).astype(np.float32),
            beta=scaled.bias.astype(np.float32),
            mean=(norm.mean * free).astype(np.float32),
            variance=np.where(stays, variance, squared).astype(np.float32),
        ),
    )


def _free_factors(weight: DoubleArray, variance: DoubleArray) -> DoubleArray:
    """Return factors [output channels] that give every output channel of weights before a batch norm the same largest
    absolute weight; channels whose variance is not above zero do not decide which.
    """
    rows = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    alive = _is_alive(rows)
    deciding = alive & (variance > 0)
    if not deciding.any():
        return np.ones_like(rows)
    common = math.exp(float(np.log(rows[deciding]).mean()))
    factors: DoubleArray = np.divide(common, rows, out=np.ones_like(rows), where=alive)
    return factors
