"""Passes that fold per-channel affine layers into the input format or into weights (2 and 3 in `fusing`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from network.errors import UnsupportedOperator
from network.layers import Convolution, Float32Array, Layer, Shape, WeightLayer
from network.network_input import InputFormat
from network.passes.fusing import Layers, fuse_neighbours, reader_counts
from network.passes.temporary_layers import Normalization, Numbers, PerChannelAffine

_MAX_DEPTHWISE_CHANNELS: Final = 2**20
"""Largest number of channels of a scaling that becomes a depthwise convolution, with one weight per channel.

Without a limit, a small file that scales a huge tensor by one number would need as many weights as it has channels.
"""


def fold_into_input_format(
    layers: Layers, outputs: Iterable[str], tensor: str, input_format: InputFormat
) -> tuple[Layers, InputFormat]:
    """Fold per-channel affine layers on the network's input into the input format.

    Requires: nothing.
    Ensures: No `PerChannelAffine` layer is the only reader of the input, unless the layer writes an output or its scale
    is zero or infinite.

    Args:
        layers: The layers, each after the layers that it reads.
        outputs: Names of the network's output tensors.
        tensor: Name of the network's input tensor.
        input_format: The format before the pass.

    Returns:
        The remaining layers and the new input format.
    """
    readers = reader_counts(layers, outputs)
    remaining = []
    scaled = tensor
    for layer in layers:
        if isinstance(layer, PerChannelAffine) and layer.inputs == (scaled,) and readers[scaled] == 1:
            composed = _composed(input_format, *layer.scale_and_shift())
            if composed is not None and layer.output not in outputs:
                input_format, scaled = composed, layer.output
                continue
        remaining.append(layer)
    return tuple(_with_input_renamed(layer, scaled, tensor) for layer in remaining), input_format


def _with_input_renamed(layer: Layer, old: str, new: str) -> Layer:
    """Return the layer with the input tensor `old` replaced by `new`."""
    if old not in layer.inputs:
        return layer
    return replace(layer, inputs=tuple(new if tensor == old else tensor for tensor in layer.inputs))


def _composed(input_format: InputFormat, scale: Numbers, shift: Numbers) -> InputFormat | None:
    """Return the input format that is followed by `* scale + shift`.

    ((sample - subtract) * multiply) * scale + shift = (sample - (subtract - shift / product)) * product, where product
    is multiply * scale.

    Args:
        input_format: The format, (sample - subtract) * multiply.
        scale: Factors, [1] or [channels].
        shift: Summands, [1] or [channels].

    Returns:
        The composed format; None if a product is zero, infinite or NaN.
    """
    subtract, multiply = np.asarray(input_format.subtract), np.asarray(input_format.multiply)
    product = multiply * scale
    if not product.all() or not np.isfinite(product).all():
        return None
    return replace(
        input_format, subtract=tuple((subtract - shift / product).tolist()), multiply=tuple(product.tolist())
    )


def fold_into_weights(layers: Layers, outputs: Iterable[str], shapes: Mapping[str, Shape]) -> Layers:
    """Fold batch norms and per-channel scalings into the weight layer before them, or replace them by a convolution.

    Requires: `fold_into_input_format`, so that a scaling of the input does not become a convolution.
    Ensures: No `PerChannelAffine` layer is left. A layer that has no weight layer before it as the only source of its
    input becomes a depthwise 1x1 convolution.

    Args:
        layers: The layers, each after the layers that it reads.
        outputs: Names of the network's output tensors.
        shapes: Shape of each tensor, by name.

    Raises:
        UnsupportedOperator: If a depthwise convolution would have more than 2^20 channels.
    """

    def fuse(writer: Layer, affine: Layer) -> Layer | None:
        if not isinstance(affine, PerChannelAffine):
            return None
        if not isinstance(writer, WeightLayer) or not writer.activation.is_linear:
            return None
        return _followed_by(writer, affine)

    def replace_unfused(layer: Layer) -> Layer:
        return _depthwise(layer, shapes[layer.inputs[0]].channels) if isinstance(layer, PerChannelAffine) else layer

    return fuse_neighbours(layers, outputs, fuse, replace_unfused)


def _followed_by(layer: WeightLayer, affine: PerChannelAffine) -> WeightLayer:
    """Return one weight layer that computes the layer and then the per-channel affine function."""
    if isinstance(affine, Normalization) and layer.batch_norm is None:
        return replace(layer, batch_norm=affine.batch_norm)
    scale, shift = affine.scale_and_shift()
    if layer.batch_norm is not None:
        norm = layer.batch_norm
        gamma, beta = _float32(norm.gamma * scale), _float32(norm.beta * scale + shift)
        return replace(layer, batch_norm=replace(norm, gamma=gamma, beta=beta))
    bias = np.zeros(layer.output_channels) if layer.bias is None else layer.bias
    weight = layer.weight
    if weight is not None and (scale != 1).any():
        weight = _float32(weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)))
    return replace(layer, weight=weight, bias=_float32(bias * scale + shift))


def _depthwise(affine: PerChannelAffine, channels: int) -> Convolution:
    """Return a depthwise 1x1 convolution that computes the per-channel affine function."""
    if channels > _MAX_DEPTHWISE_CHANNELS:
        raise UnsupportedOperator(
            f"node '{affine.name[:80]}' scales {channels} channels; expected at most {_MAX_DEPTHWISE_CHANNELS}: "
            "remove the scaling, or put it behind a convolution or fully connected layer"
        )
    weight, bias, norm = np.ones(channels), None, None
    if isinstance(affine, Normalization):
        norm = affine.batch_norm
    else:
        scale, shift = affine.scale_and_shift()
        weight, bias = weight * scale, _float32(np.zeros(channels) + shift)
    return Convolution(
        name=affine.name,
        inputs=affine.inputs,
        output=affine.output,
        output_channels=channels,
        weight=_float32(weight.reshape(channels, 1, 1, 1)),
        bias=bias,
        batch_norm=norm,
        kernel=(1, 1),
        groups=channels,
    )


def _float32(values: npt.NDArray[np.floating]) -> Float32Array:
    # Overflow gives infinity, which is rejected with the name of the layer when the network is built.
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
