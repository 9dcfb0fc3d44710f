"""FULLY_CONNECTED: matrix products over whole tensors, and over the channels of every position."""

from __future__ import annotations

import math

import numpy as np

from network.layers import Convolution, Float32Array, FullyConnected
from network.tflite_reading.call import Call
from network.tflite_reading.views import View


def fully_connected(call: Call) -> View:
    """Translate FULLY_CONNECTED over a flattened tensor, or over the channels of every position of an image.

    The columns of the weights have the order of the input's elements; those of the layer are channels first.
    """
    view = call.view(may_be_channels_first=True)
    shape = call.shape(view)
    weight = call.parameter(1, "weights")
    if weight.ndim != 2 or not weight.size:
        raise call.invalid(f"has weights of the extents {list(weight.shape)}; expected two extents of 1 or more")
    if call.option("WeightsFormat", 0) != 0:
        raise call.unsupported("has shuffled weights; expected weights in the default format")
    outputs, columns = weight.shape
    if math.prod(view.dims) != columns:
        if columns != shape.channels or view.last_extent != columns or view.is_channels_first:
            raise call.unsupported(
                f"multiplies parts of a tensor of the extents {list(view.dims)} with weights {list(weight.shape)}; "
                "expected the whole tensor, or the channels of every position"
            )
        return _convolution_at_positions(call, view, weight)
    channels_first = weight
    if not view.is_channels_first:
        channels_first = weight.reshape(outputs, shape.height, shape.width, shape.channels).transpose(0, 3, 1, 2)
    layer = FullyConnected(
        name=call.name,
        inputs=(view.tensor,),
        output=call.name,
        activation=call.computed_activation(),
        output_channels=outputs,
        weight=np.ascontiguousarray(channels_first.reshape(outputs, columns)),
        shared_weight=call.buffer(1),
        bias=call.parameter(2, "bias") if call.has(2) else None,
    )
    return call.emitted(call.translation.emit(layer))


def _convolution_at_positions(call: Call, view: View, weight: Float32Array) -> View:
    """Emit a 1x1 convolution, which is a matrix product at every position of the tensor."""
    layer = Convolution(
        name=call.name,
        inputs=(view.tensor,),
        output=call.name,
        activation=call.computed_activation(),
        output_channels=weight.shape[0],
        weight=np.ascontiguousarray(weight.reshape(*weight.shape, 1, 1)),
        shared_weight=call.buffer(1),
        bias=call.parameter(2, "bias") if call.has(2) else None,
        kernel=(1, 1),
    )
    return call.emitted(call.translation.emit(layer))
