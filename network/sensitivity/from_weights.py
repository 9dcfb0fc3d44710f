"""Estimation of sensitivities without data: the ratio of quantization noise to signal of each tensor.

*Weights.* The squared quantization error over the squared weights, each summed over the output channels with the factor
by which the layer's batch norm scales the power of the channel, scale_c = gamma^2 / (variance + epsilon):

    sum over c of  scale_c * |w_c - quantized w_c|^2   /   sum over c of  scale_c * |w_c|^2

If the values of the weights are unknown, they are assumed to follow a normal distribution with standard deviation
sigma: n weights then have the expected range r = 2 sigma sqrt(2 ln n), and the error is (r / (2^b - 1))^2 / 12.

*Activations.* Only the shape of the distribution is assumed. Rounding with the step size range / (2^b - 1) adds the
noise step^2 / 12. A tensor behind a ReLU is assumed to follow half of a normal distribution, cut at 3 sigma; any other
tensor a normal distribution, cut at 3 sigma on both sides. The ratios are then 1.5 / (2^b - 1)^2 and 3 / (2^b - 1)^2.
A mean reduces noise: if only average pools read a tensor, its ratio is divided by the number of elements of their
smallest window.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from network.allocation import BITS, WEIGHT_SCHEMES, Bits, WeightScheme
from network.layers import AveragePool, Shape, WeightLayer
from network.network import Network
from network.sensitivity.by_scheme import table_by_scheme
from network.sensitivity.least_error import least_error_steps, on_symmetric_grid
from network.sensitivity.table import SensitivityTable

Float64Array = npt.NDArray[np.float64]


def weight_sensitivity(network: Network, scheme: WeightScheme | None = None) -> SensitivityTable:
    """Return the sensitivity of every tensor of a network at 8, 4 and 2 bits, estimated without data.

    Args:
        network: The network, with or without values of its weights.
        scheme: Scheme by which the weights are to be quantized; None: a table for all schemes.
    """
    readers = network.readers()
    written_by = {layer.output: layer for layer in network.layers}
    activations = {}
    for tensor in network.tensors:
        layer = written_by.get(tensor)
        one_sided = layer is not None and layer.activation.low == 0.0
        averaged = [reader.window_elements for reader in readers[tensor] if isinstance(reader, AveragePool)]
        window = min(averaged) if averaged and len(averaged) == len(readers[tensor]) else 1
        factor = (1.5 if one_sided else 3.0) / window
        activations[tensor] = {bits: factor / ((1 << bits) - 1) ** 2 for bits in BITS}
    weights = {
        each: {
            layer.name: {bits: _weight_noise(layer, network.input_shapes(layer), each, bits) for bits in BITS}
            for layer in network.weight_layers
        }
        for each in (WEIGHT_SCHEMES if scheme is None else (scheme,))
    }
    return table_by_scheme("weights", weights, activations)


def _weight_noise(layer: WeightLayer, inputs: tuple[Shape, ...], scheme: WeightScheme, bits: Bits) -> float:
    """Return the ratio of quantization noise to signal of a layer's weight tensor; 0 if all weights are 0."""
    if layer.weight is None:
        shape = layer.weight_shape(inputs)
        together = math.prod(shape[1:]) if scheme.is_per_channel else math.prod(shape)
        width = 2 * math.sqrt(2 * math.log(max(together, 2)))
        return (width / ((1 << bits) - 1)) ** 2 / 12
    channels = layer.weight.reshape(layer.output_channels, -1).astype(np.float64)
    scale = np.ones(layer.output_channels)
    if layer.batch_norm is not None:
        norm = layer.batch_norm
        scale = norm.gamma.astype(np.float64) ** 2 / (norm.variance.astype(np.float64) + norm.epsilon)
    error = ((channels - _quantized(channels, scheme, bits)) ** 2).sum(axis=1)
    signal = float((scale * (channels**2).sum(axis=1)).sum())
    return float((scale * error).sum()) / signal if signal > 0 else 0.0


def _quantized(channels: Float64Array, scheme: WeightScheme, bits: Bits) -> Float64Array:
    """Return the real values of weights after quantization, with ties rounded up: float64 [output channels, elements].

    The range of `PerLayerAsymPACT`, which training learns later, is the minimum and maximum of the weights.

    Args:
        channels: Weights, float64 [output channels, elements].
        scheme: Scheme by which the weights are quantized.
        bits: Number of bits of each code: 8, 4 or 2.

    Returns:
        float64 [output channels, elements].
    """
    if scheme is WeightScheme.PER_CHANNEL_SYM_LSQ:
        narrow = channels.astype(np.float32)
        return on_symmetric_grid(narrow, least_error_steps(narrow, bits), bits).astype(np.float64)
    top = (1 << bits) - 1
    rows = channels if scheme.is_per_channel else channels.reshape(1, -1)
    low = np.minimum(rows.min(axis=1, keepdims=True), 0.0)
    high = np.maximum(rows.max(axis=1, keepdims=True), 0.0)
    step = np.where(high > low, (high - low) / top, 1.0)
    zero = np.clip(np.floor(-low / step + 0.5), 0, top)
    codes = np.clip(np.floor(rows / step + 0.5) + zero, 0, top)
    quantized: Float64Array = ((codes - zero) * step).reshape(channels.shape)
    return quantized
