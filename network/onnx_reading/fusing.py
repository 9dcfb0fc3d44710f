"""Passes over the layers as the file gave them, until each is a step that a device executes.

    1  without_dead_layers     requires nothing;  ensures that every layer is needed by an output
    2  into_input_format       ensures that no constant scaling stands between the input and its first layer
    3  into_weights            requires 2;  ensures that no `ChannelStep` is left: each is in the weight layer before
                               it, or has become a depthwise convolution
    4  activations_into_layers requires 3 (a batch norm behind a ReLU cannot go before it);  ensures that an
                               `Activation` stands alone only where its input is also read as it is
    5  pads_into_windows       requires 4 (a max pool may take zeros only where nothing is negative)

Each pass reads tuples and returns new ones, in time linear in the number of layers. A layer that takes in another
keeps its place and its name and writes the other's tensor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from network.errors import UnsupportedOperator
from network.layers import (
    Activation,
    ActivationFunction,
    AveragePool,
    Convolution,
    FloatArray,
    Layer,
    MaxPool,
    Pad,
    Padding,
    Shape,
    WeightLayer,
)
from network.network import InputFormat
from network.onnx_reading.temporary_layers import ChannelStep, Normalization, Numbers

Layers = tuple[Layer, ...]

_MAX_DEPTHWISE_CHANNELS: Final = 2**20
"""A scaling by one number becomes a weight per channel; this many have no place in a microcontroller."""


def without_dead_layers(layers: Layers, outputs: Iterable[str]) -> Layers:
    """The layers that some output needs."""
    needed = set(outputs)
    kept = []
    for layer in reversed(layers):
        if layer.output in needed:
            needed.update(layer.inputs)
            kept.append(layer)
    return tuple(reversed(kept))


def into_input_format(
    layers: Layers, outputs: Iterable[str], tensor: str, form: InputFormat
) -> tuple[Layers, InputFormat]:
    """Scaling of the input by constants goes into its format, where nothing reads the input unscaled."""
    reads = _reads(layers, outputs)
    remaining = []
    scaled = tensor
    for layer in layers:
        if isinstance(layer, ChannelStep) and layer.inputs == (scaled,) and reads[scaled] == 1:
            composed = _composed(form, *layer.scale_and_shift())
            if composed is not None and layer.output not in outputs:
                form, scaled = composed, layer.output
                continue
        remaining.append(layer)
    return tuple(_reading(layer, scaled, tensor) for layer in remaining), form


def _reading(layer: Layer, old: str, new: str) -> Layer:
    """The layer, reading the tensor `new` where it read `old`."""
    if old not in layer.inputs:
        return layer
    return replace(layer, inputs=tuple(new if tensor == old else tensor for tensor in layer.inputs))


def _composed(form: InputFormat, scale: Numbers, shift: Numbers) -> InputFormat | None:
    """(sample - subtract) * multiply, then * scale + shift; None where a scale of zero leaves no way to write that."""
    subtract, multiply = np.asarray(form.subtract), np.asarray(form.multiply)
    product = multiply * scale
    if not product.all() or not np.isfinite(product).all():
        return None
    return replace(form, subtract=tuple((subtract - shift / product).tolist()), multiply=tuple(product.tolist()))


def into_weights(layers: Layers, outputs: Iterable[str], shapes: Mapping[str, Shape]) -> Layers:
    """Batch norms and scalings go into the convolution or fully connected layer before them, or become one."""

    def take_in(writer: Layer, step: Layer) -> Layer | None:
        if not isinstance(step, ChannelStep) or not isinstance(writer, WeightLayer) or not writer.activation.is_linear:
            return None
        return _normalized(writer, step)

    def alone(step: Layer) -> Layer:
        return _depthwise(step, shapes[step.inputs[0]].channels) if isinstance(step, ChannelStep) else step

    return _into_writers(layers, outputs, take_in, alone)


def activations_into_layers(layers: Layers, outputs: Iterable[str]) -> Layers:
    """A clamp goes into the layer before it."""

    def take_in(writer: Layer, clamp: Layer) -> Layer | None:
        if not isinstance(clamp, Activation):
            return None
        low, high = max(writer.activation.low, clamp.activation.low), min(writer.activation.high, clamp.activation.high)
        if low == high:
            raise UnsupportedOperator(f"layer '{clamp.name[:80]}' clamps what is left of its input to zero; remove it")
        return replace(writer, activation=ActivationFunction(low, high))

    return _into_writers(layers, outputs, take_in)


def pads_into_windows(layers: Layers, outputs: Iterable[str]) -> Layers:
    """Zeros around an image go into the only window over it: a convolution, or a pool where zeros count the same."""
    never_negative = {layer.output for layer in layers if layer.activation.low >= 0}

    def take_in(pad: Layer, window: Layer) -> Layer | None:
        if not isinstance(pad, Pad) or pad.channels_before or pad.channels_after or not pad.activation.is_linear:
            return None
        return _padded(window, pad, never_negative)

    return _into_writers(layers, outputs, take_in, keeps_writer=False)


def _padded(window: Layer, pad: Pad, never_negative: set[str]) -> Layer | None:
    """The window with the zeros of `pad` around its input; None where that would be another result."""
    if not isinstance(window, Convolution | MaxPool | AveragePool) or min(pad.padding) < 0:
        return None
    top, left, bottom, right = padding = Padding(*map(sum, zip(window.padding, pad.padding, strict=True)))
    padded = replace(window, inputs=pad.inputs, padding=padding)
    if isinstance(padded, Convolution):
        return padded
    if max(top, bottom) >= window.kernel[0] or max(left, right) >= window.kernel[1]:
        return None
    if isinstance(padded, AveragePool):
        counts_all = padded.count_includes_padding or not any(window.padding)
        return replace(padded, count_includes_padding=True) if counts_all else None
    return padded if pad.inputs[0] in never_negative else None


def _reads(layers: Layers, outputs: Iterable[str]) -> Counter[str]:
    """How often each tensor is read, by layers and by the caller."""
    return Counter(tensor for layer in layers for tensor in layer.inputs) + Counter(outputs)


def _into_writers(
    layers: Layers,
    outputs: Iterable[str],
    take_in: Callable[[Layer, Layer], Layer | None],
    alone: Callable[[Layer], Layer] = lambda layer: layer,
    *,
    keeps_writer: bool = True,
) -> Layers:
    """Joins pairs of layers of which the second is the only reader of the first.

    Args:
        layers: in schedule order.
        outputs: what the caller reads.
        take_in: the first and the second layer -> the one that does both, or None.
        alone: what becomes of a layer that is not joined to the one before it.
        keeps_writer: the joined layer keeps the first one's place, else the second one's.
    """
    reads = _reads(layers, outputs)
    places: dict[str, int] = {}  # of the layer that writes a tensor
    joined: list[Layer | None] = []
    for layer in layers:
        tensor = layer.inputs[0]
        place = places.get(tensor)
        writer = joined[place] if place is not None else None
        both = take_in(writer, layer) if writer is not None and reads[tensor] == 1 and len(layer.inputs) == 1 else None
        if both is None or place is None:
            places[layer.output] = len(joined)
            joined.append(alone(layer))
        elif keeps_writer:
            joined[place] = replace(both, output=layer.output)
            places[layer.output] = place
        else:
            joined[place] = None
            places[layer.output] = len(joined)
            joined.append(both)
    return tuple(layer for layer in joined if layer is not None)


def _normalized(layer: WeightLayer, step: ChannelStep) -> WeightLayer:
    """The layer, followed by the step."""
    if isinstance(step, Normalization) and layer.batch_norm is None:
        return replace(layer, batch_norm=step.batch_norm)
    scale, shift = step.scale_and_shift()
    if layer.batch_norm is not None:
        norm = layer.batch_norm
        gamma, beta = _float32(norm.gamma * scale), _float32(norm.beta * scale + shift)
        return replace(layer, batch_norm=replace(norm, gamma=gamma, beta=beta))
    bias = np.zeros(layer.output_channels) if layer.bias is None else layer.bias
    weight = layer.weight
    if weight is not None and (scale != 1).any():
        weight = _float32(weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)))
    return replace(layer, weight=weight, bias=_float32(bias * scale + shift))


def _depthwise(step: ChannelStep, channels: int) -> Convolution:
    """A 1x1 filter per channel that does what the step does."""
    if channels > _MAX_DEPTHWISE_CHANNELS:
        raise UnsupportedOperator(
            f"node '{step.name[:80]}' scales {channels} channels; at most {_MAX_DEPTHWISE_CHANNELS} are taken"
        )
    weight, bias, norm = np.ones(channels), None, None
    if isinstance(step, Normalization):
        norm = step.batch_norm
    else:
        scale, shift = step.scale_and_shift()
        weight, bias = weight * scale, _float32(np.zeros(channels) + shift)
    return Convolution(
        name=step.name,
        inputs=step.inputs,
        output=step.output,
        output_channels=channels,
        weight=_float32(weight.reshape(channels, 1, 1, 1)),
        bias=bias,
        batch_norm=norm,
        kernel=(1, 1),
        groups=channels,
    )


def _float32(values: npt.NDArray[np.floating]) -> FloatArray:
    # What overflows becomes infinite, and is refused with the layer's name when the network is built.
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
