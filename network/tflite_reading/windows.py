"""Operators that move a window over an image: convolutions, pools, means over the image, and padding."""

from __future__ import annotations

from typing import Final

import numpy as np

from network.layers import AveragePool, Convolution, Float32Array, MaxPool, Pad, Padding, Shape
from network.padding import same_padding
from network.tflite_reading.call import Call
from network.tflite_reading.views import View

_SAME: Final = 0
_VALID: Final = 1
_MAX_PAD: Final = 2**31 - 1


def convolution(call: Call) -> View:
    """Translate CONV_2D, whose weights are [output channels, height, width, channels of a group]."""
    _, shape = call.image()
    weight = _filter(call)
    channels = weight.shape[3]
    if shape.channels % channels:
        raise call.invalid(f"has weights {list(weight.shape)} for {shape.channels} input channels; expected a divisor")
    return _convolution(call, weight.transpose(0, 3, 1, 2), shape.channels // channels)


def depthwise_convolution(call: Call) -> View:
    """Translate DEPTHWISE_CONV_2D, whose weights are [1, height, width, channels * multiplier]."""
    _, shape = call.image()
    weight = _filter(call)
    if weight.shape[0] != 1 or weight.shape[3] % shape.channels:
        raise call.invalid(
            f"has weights {list(weight.shape)} for {shape.channels} input channels; expected [1, height, width, a "
            "multiple of the channels]"
        )
    return _convolution(call, weight.transpose(3, 0, 1, 2), shape.channels)


def _filter(call: Call) -> Float32Array:
    weight = call.parameter(1, "weights")
    if weight.ndim != 4 or not weight.size:
        raise call.invalid(f"has weights of the extents {list(weight.shape)}; expected four extents of 1 or more")
    return weight


def _convolution(call: Call, weight: Float32Array, groups: int) -> View:
    """Emit a convolution.

    Args:
        call: The operator.
        weight: Weights [output channels, channels of a group, height, width].
        groups: Number of groups.
    """
    view, shape = call.image()
    kernel = (weight.shape[2], weight.shape[3])
    stride = call.extents("StrideH", "StrideW")
    dilation = call.extents("DilationHFactor", "DilationWFactor", 1)
    layer = Convolution(
        name=call.name,
        inputs=(view.tensor,),
        output=call.name,
        activation=call.computed_activation(),
        output_channels=weight.shape[0],
        weight=np.ascontiguousarray(weight),
        shared_weight=call.buffer(1),
        bias=call.parameter(2, "bias") if call.has(2) else None,
        kernel=kernel,
        stride=stride,
        padding=_padding(call, shape, kernel, stride, dilation),
        dilation=dilation,
        groups=groups,
    )
    return call.emitted(call.translation.emit(layer))


def _padding(
    call: Call, shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Padding:
    scheme = call.option("Padding", _SAME)
    if scheme == _VALID:
        return Padding()
    if scheme != _SAME:
        raise call.invalid(f"has the padding scheme number {scheme}; expected 0 (SAME) or 1 (VALID)")
    return same_padding(shape, kernel, stride, dilation)


def max_pool(call: Call) -> View:
    """Translate MAX_POOL_2D."""
    return _pool(call, MaxPool)


def average_pool(call: Call) -> View:
    """Translate AVERAGE_POOL_2D, whose mean leaves the padding out."""
    return _pool(call, AveragePool)


def _pool(call: Call, kind: type[MaxPool | AveragePool]) -> View:
    view, shape = call.image()
    kernel = call.extents("FilterHeight", "FilterWidth")
    stride = call.extents("StrideH", "StrideW")
    layer = kind(
        name=call.name,
        inputs=(view.tensor,),
        output=call.name,
        activation=call.fused_activation(),
        kernel=kernel,
        stride=stride,
        padding=_padding(call, shape, kernel, stride),
    )
    return call.emitted(call.translation.emit(layer))


def mean(call: Call) -> View:
    """Translate MEAN over the height, the width or both as an average pool."""
    return _reduction(call, AveragePool)


def reduce_max(call: Call) -> View:
    """Translate REDUCE_MAX over the height, the width or both as a max pool."""
    return _reduction(call, MaxPool)


def _reduction(call: Call, kind: type[MaxPool | AveragePool]) -> View:
    view, shape = call.image()
    rank = len(view.dims)
    axes = {axis % rank for axis in call.integers(1, "axes").reshape(-1).tolist() if -rank <= axis < rank}
    if not axes or not axes <= set(range(1, rank - 1)):
        raise call.unsupported(
            f"reduces the axes {sorted(axes)} of {list(view.dims)}; expected the height and the width only"
        )
    reduces_width, reduces_height = rank - 2 in axes, rank - 3 in axes
    window = (shape.height if reduces_height else 1, shape.width if reduces_width else 1)
    layer = kind(name=call.name, inputs=(view.tensor,), output=call.name, kernel=window, stride=window)
    return call.emitted(call.translation.emit(layer))


def pad(call: Call) -> View:
    """Translate PAD and PADV2 with zeros around the image, or before and after the channels."""
    view, _ = call.image()
    amounts = call.integers(1, "paddings")
    rank = len(view.dims)
    if amounts.shape != (rank, 2) or (amounts < 0).any() or (amounts > _MAX_PAD).any():
        raise call.invalid(
            f"has paddings of the extents {list(amounts.shape)} for a tensor of {rank}; expected two numbers from 0 to "
            "2^31 - 1 for each"
        )
    if call.has(2) and np.any(call.constant(2) != 0):
        raise call.unsupported("pads with a value other than zero; expected padding with zeros")
    before_after = [tuple(pair) for pair in amounts.tolist()]
    if before_after[0] != (0, 0):
        raise call.unsupported("pads the batch; expected padding of the dimensions behind the batch only")
    *space, (channels_before, channels_after) = before_after[1:]
    (top, bottom), (left, right) = [(0, 0)] * (2 - len(space)) + space
    layer = Pad(
        name=call.name,
        inputs=(view.tensor,),
        output=call.name,
        padding=Padding(top, left, bottom, right),
        channels_before=channels_before,
        channels_after=channels_after,
    )
    return call.emitted(call.translation.emit(layer))
