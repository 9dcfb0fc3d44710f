"""Scale and offset of each feature of an input whose features have different units or are far from zero.

The codes of an input tensor have one scale. With temperatures near 300 and pressures near 100,000, all temperatures get
the same code. Each feature (channel) c is then normalised by its own numbers, which become part of the input format,
and the inverse is folded into the weights of the first layers, so that the network computes the same function:

    x'_c = (x_c - m_c) / h_c            m_c middle, h_c half of the extent of the feature in the training samples
    sum_c w_c x_c + b  =  sum_c (w_c h_c) x'_c + (b + sum_c w_c m_c)

This needs first layers without padding (padding is zero before and after the normalisation). Imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from network.allocation import WIDEST_BITS
from network.joined_samples import input_tensors
from network.layers import Convolution, Float32Array, FullyConnected, Layer, WeightLayer
from network.network import Network
from network.network_input import NetworkInput
from qat.data.dataset import SampleSource, dims_of_samples, to_input_tensor
from qat.data.input_arrays import holds_bytes

MIN_CODES: Final = 32
"""Number of codes below which the extent of a feature is too small for a scale that all features share."""

EXTENT_PERCENTILES: Final = (0.5, 99.5)
"""Percentiles of a feature's values between which its extent lies: rare spikes do not count."""

_SHOWN: Final = 5
_SAMPLES: Final = 1024
_ELEMENTS: Final = 2**22
_MIN_SAMPLES: Final = 16

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureExtents:
    """Extents of the features of a network's input in training samples, as real values of the input tensor.

    Attributes:
        low: Lower end of each feature's extent, float64 [channels].
        high: Upper end of each feature's extent, float64 [channels].
    """

    low: Float64Array
    high: Float64Array

    @property
    def codes(self) -> Float64Array:
        """Number of 8-bit codes of each extent if one scale covers all features and zero, float64 [channels]."""
        total = max(self.high.max(), 0.0) - min(self.low.min(), 0.0)
        step = max(total, np.finfo(np.float64).tiny) / (2**WIDEST_BITS - 1)
        codes: Float64Array = (self.high - self.low) / step
        return codes

    @property
    def narrow(self) -> list[int]:
        """Numbers of the features that vary, and whose extent has fewer than `MIN_CODES` codes."""
        found: list[int] = np.flatnonzero((self.codes < MIN_CODES) & (self.high > self.low)).tolist()
        return found


def feature_extents(network: Network, samples: SampleSource, given: NetworkInput) -> FeatureExtents | None:
    """Measure the extent of each feature of an input of a network.

    Args:
        network: The network.
        samples: Training samples, of which up to 1024 at equal distances are read; joined if there are several inputs.
        given: The input.

    Returns:
        The extents; None if the samples of the input are bytes, if the samples do not fit the network or contain NaN
        or infinite values, or if a quantized file gives the range of the input.
    """
    dims = dims_of_samples(network, samples.dtype)
    if samples.dtype != np.float32 or samples.shape[1:] != dims or not len(samples) or given.name in network.ranges:
        return None
    if holds_bytes(samples, given.name):
        return None
    elements = sum(each.shape.elements for each in network.inputs)
    most = min(_SAMPLES, max(_MIN_SAMPLES, _ELEMENTS // elements))
    chosen = np.linspace(0, len(samples) - 1, min(most, len(samples))).astype(np.int64)
    joined = to_input_tensor(samples[chosen], network)
    inputs = input_tensors(joined, network.inputs)[given.name].astype(np.float64)
    values = inputs.transpose(1, 0, 2, 3).reshape(given.shape.channels, -1)
    if not np.isfinite(values).all():
        return None
    low, high = np.percentile(values, EXTENT_PERCENTILES, axis=1)
    is_rare = low == high  # such as a flag that is seldom set
    return FeatureExtents(np.where(is_rare, values.min(axis=1), low), np.where(is_rare, values.max(axis=1), high))


def with_feature_scales(network: Network, samples: SampleSource) -> Network:
    """Return a network whose input formats normalise each feature, where one scale for all features is too coarse.

    Args:
        network: The network.
        samples: Training samples; joined if the network has several inputs.

    Returns:
        A network that computes the same function of the samples. An input keeps its format if each of its features has
        at least `MIN_CODES` codes, or if a layer that reads the input cannot contain the inverse.
    """
    scaled = network
    for given in network.inputs:
        extents = feature_extents(network, samples, given)
        if extents is not None and extents.narrow and can_scale_features(network, given.name):
            scaled = _with_scales(scaled, given, extents)
    return scaled


def _with_scales(network: Network, given: NetworkInput, extents: FeatureExtents) -> Network:
    """Return the network with one input normalised by the extents of its features."""
    middle, half = (extents.low + extents.high) / 2, (extents.high - extents.low) / 2
    # A constant feature has no extent: its codes then cover deviations as large as the constant itself.
    half = np.where(half > 0, half, np.where(middle == 0, 1.0, np.abs(middle)))
    subtract, multiply = np.asarray(given.format.subtract), np.asarray(given.format.multiply)
    scaled_format = replace(
        given.format,
        subtract=tuple((subtract + middle / multiply).tolist()),
        multiply=tuple((multiply / half).tolist()),
    )
    layers = tuple(
        _of_normalised(layer, middle, half) if given.name in layer.inputs else layer for layer in network.layers
    )
    inputs = tuple(replace(each, format=scaled_format) if each.name == given.name else each for each in network.inputs)
    return replace(network, layers=layers, inputs=inputs)


def can_scale_features(network: Network, tensor: str) -> bool:
    """Return whether every layer that reads an input of a network can contain the inverse of a normalisation by
    feature.

    Args:
        network: The network.
        tensor: Name of the input tensor.
    """
    return tensor not in network.outputs and all(map(_contains_inverse, network.readers()[tensor]))


def _contains_inverse(layer: Layer) -> bool:
    if isinstance(layer, Convolution):
        return layer.weight is not None and not any(layer.padding)
    return isinstance(layer, FullyConnected) and layer.weight is not None


def _of_normalised(layer: Layer, middle: Float64Array, half: Float64Array) -> WeightLayer:
    """Return a layer that computes from x' what the given layer computes from x = x' * half + middle, by channel."""
    assert isinstance(layer, Convolution | FullyConnected)  # noqa: S101  # `can_scale_features` has checked it
    assert layer.weight is not None  # noqa: S101  # in the same way
    weight = layer.weight.astype(np.float64)
    if isinstance(layer, Convolution):
        outputs, inputs = weight.shape[:2]
        group = np.arange(outputs) // (outputs // layer.groups)
        channel = group[:, None] * inputs + np.arange(inputs)  # [outputs, inputs of the group]
        taps = weight.reshape(outputs, inputs, -1)
    else:
        # A fully connected layer reads an image in the order channel, height, width.
        channel = np.broadcast_to(np.arange(len(middle)), (len(weight), len(middle)))
        taps = weight.reshape(len(weight), len(middle), -1)
    shift = (taps * middle[channel][:, :, None]).sum(axis=(1, 2))
    scaled = _float32((taps * half[channel][:, :, None]).reshape(weight.shape))
    if layer.batch_norm is not None:
        norm = layer.batch_norm
        return replace(layer, weight=scaled, batch_norm=replace(norm, mean=_float32(norm.mean - shift)))
    bias = 0.0 if layer.bias is None else layer.bias.astype(np.float64)
    return replace(layer, weight=scaled, bias=_float32(bias + shift))


def narrow_feature_warning(network: Network, samples: SampleSource, given: NetworkInput) -> str | None:
    """Return a warning if features of an input have too few codes, and the network cannot be changed.

    Args:
        network: The network that is trained.
        samples: Training samples; joined if the network has several inputs.
        given: The input.
    """
    extents = feature_extents(network, samples, given)
    if extents is None or not extents.narrow:
        return None
    channels, narrow = len(extents.low), extents.narrow
    if channels == 1:
        what = f"the input's values are between {extents.low[0]:.4g} and {extents.high[0]:.4g}, far from zero"
    else:
        shown = ", ".join(
            f"{number} ({extents.low[number]:.4g} to {extents.high[number]:.4g})" for number in narrow[:_SHOWN]
        )
        more = f" and {len(narrow) - _SHOWN} more" if len(narrow) > _SHOWN else ""
        what = (
            f"the channels of the input have different units: {shown}{more} of {channels} have small extents beside "
            f"the range of all channels, {min(extents.low.min(), 0.0):.4g} to {max(extents.high.max(), 0.0):.4g}"
        )
    fewest = math.floor(extents.codes[narrow].min())
    return (
        f"{what}, so that only {fewest} of the 256 codes of the input distinguish their values; normalise each channel "
        "by its own mean and scale in the network, before its first layer, and export it again"
    )


def _float32(values: Float64Array) -> Float32Array:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
