"""Operators that slide a window over an image: convolutions, pools and padding.

A sequence [N, C, L] is read as an image of height 1: its kernel extent, stride, dilation and two pads are those of the
width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from network.layers import AveragePool, Convolution, MaxPool, Pad, Padding, Shape
from network.onnx_reading.call import Call
from network.onnx_reading.causes import Cause
from network.onnx_reading.graph import Node
from network.onnx_reading.views import View, channels_last_view, image_view
from network.padding import same_padding

_MAX_EXTENT: Final = 2**31 - 1
"""Largest kernel extent, stride, dilation and pad."""


@dataclass(frozen=True, slots=True)
class Window:
    """Attributes of a window that slides over an image.

    Attributes:
        kernel: Height and width of the window, 1 or more.
        stride: Vertical and horizontal stride, 1 or more.
        dilation: Vertical and horizontal dilation, 1 or more.
        padding: Number of rows and columns added around the image.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: Padding


def convolution(call: Call) -> View:
    """Translate Conv with any number of groups, padding and dilation, over images and sequences."""
    view, shape = call.image()
    weight = call.parameter(1, "weights")
    if weight.ndim not in (3, 4) or weight.ndim != len(view.dims) + 1:
        raise call.node.unsupported(
            f"has weights of {weight.ndim} dimensions for an input of {len(view.dims) + 1}; "
            "expected 4 dimensions for both (an image), or 3 for both (a sequence)"
        )
    kernel_shape = call.integers("kernel_shape")
    if kernel_shape is not None and kernel_shape != weight.shape[2:]:
        raise call.node.invalid(
            f"has kernel_shape={list(kernel_shape)[:8]} and weights of shape {list(weight.shape)}; expected a "
            f"kernel_shape of {list(weight.shape[2:])}, the last dimensions of the weights"
        )
    window = _window(call, shape, weight.shape[2:])
    groups = call.integer("group", 1)
    if groups < 1:
        raise call.node.invalid(f"has {groups} groups; expected 1 or more groups")
    layer = Convolution(
        name=call.node.name,
        inputs=(view.tensor,),
        output=call.output,
        output_channels=weight.shape[0],
        weight=weight.reshape(*weight.shape[:2], *window.kernel),
        shared_weight=call.translation.source_of(call.node.inputs[1]),
        bias=_bias(call),
        kernel=window.kernel,
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        groups=groups,
    )
    return image_view(call.output, call.translation.emit(layer), len(view.dims))


def _bias(call: Call) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    return call.parameter(2, "bias") if call.has(2) else None


def max_pool(call: Call) -> View:
    """Translate MaxPool; ceil_mode becomes additional padding, which never is the maximum."""
    view, shape = call.image()
    call.refuse_unless("dilations", 1, "expected dilations of 1, because dilated pools are not supported")
    call.refuse_unless("storage_order", 0, "expected 0, the row-major order")
    window = _pool_window(call, view, shape)
    layer = MaxPool(
        name=call.node.name,
        inputs=(view.tensor,),
        output=call.output,
        kernel=window.kernel,
        stride=window.stride,
        padding=_with_ceiling(call, shape, window),
    )
    return image_view(call.output, call.translation.emit(layer), len(view.dims))


def average_pool(call: Call) -> View:
    """Translate AveragePool, whose average includes the padding (count_include_pad) or leaves it out."""
    view, shape = call.image()
    call.refuse_unless("dilations", 1, "expected dilations of 1, because dilated pools are not supported")
    window = _pool_window(call, view, shape)
    padding = _with_ceiling(call, shape, window)
    counts_padding = bool(call.integer("count_include_pad", 0)) and any(window.padding)
    if counts_padding and padding != window.padding:
        raise call.node.unsupported(
            "has ceil_mode=1, which adds padding that the average leaves out, and pads that the average includes "
            "(count_include_pad=1); expected one kind of padding: export it with ceil_mode=0 and explicit pads"
        )
    layer = AveragePool(
        name=call.node.name,
        inputs=(view.tensor,),
        output=call.output,
        kernel=window.kernel,
        stride=window.stride,
        padding=padding,
        count_includes_padding=counts_padding,
    )
    return image_view(call.output, call.translation.emit(layer), len(view.dims))


def pad(call: Call) -> View:
    """Translate Pad with zeros around the image, or before and after the channels."""
    view = call.view()
    shape = call.shape(view)
    rank = len(view.dims)
    channels_last = view == channels_last_view(view.tensor, shape, rank) and not view.shows(shape)
    if not channels_last and not view.shows(shape):
        call.translation.restart_with_layout_of(view)
        raise call.node.unsupported(
            f"pads a tensor that is reshaped or transposed to {list(view.dims)}; expected channels, height, width",
            Cause.LAYOUT,
        )
    call.refuse_unless("mode", "constant", "expected constant padding")
    value = call.constant(2)
    if value is not None and np.any(value != 0):
        raise call.node.unsupported("pads with a value other than zero; expected padding with zeros")
    (channels_before, top, left), (channels_after, bottom, right) = (
        _as_image(amounts, channels_last=channels_last) for amounts in _pads_behind_batch(call, rank)
    )
    layer = Pad(
        name=call.node.name,
        inputs=(view.tensor,),
        output=call.output,
        padding=Padding(top, left, bottom, right),
        channels_before=channels_before,
        channels_after=channels_after,
    )
    padded = call.translation.emit(layer)
    return (channels_last_view if channels_last else image_view)(call.output, padded, rank)


def _pads_behind_batch(call: Call, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the amounts of padding before and after each dimension behind the batch.

    Args:
        call: The Pad node.
        rank: Number of dimensions, without the batch.
    """
    pads = call.integers("pads", 1)
    if pads is None:
        raise call.node.invalid("does not have pads; expected two numbers for each dimension")
    axes = [axis + 1 for axis in range(-1, rank)]
    if (given := call.integers("axes", 3)) is not None:
        axes = [axis % (rank + 1) for axis in given]
    if len(pads) != 2 * len(axes) or any(abs(amount) > _MAX_EXTENT for amount in pads):
        raise call.node.invalid(
            f"has pads={list(pads)[:8]} for {len(axes)} dimensions; expected two numbers for each, of at most 2^31 - 1"
        )
    before, after = [0] * (rank + 1), [0] * (rank + 1)
    for axis, amount_before, amount_after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        before[axis], after[axis] = amount_before, amount_after
    if before[0] or after[0]:
        raise call.node.unsupported("pads the batch; expected padding of the dimensions behind the batch only")
    return tuple(before[1:]), tuple(after[1:])


def _as_image(amounts: tuple[int, ...], *, channels_last: bool) -> tuple[int, int, int]:
    """Return amounts per dimension as amounts for channels, height and width; missing dimensions have the amount 0."""
    channels, *space = amounts[-1:] + amounts[:-1] if channels_last else amounts
    height, width = (0,) * (2 - len(space)) + tuple(space)
    return channels, height, width


def _window(call: Call, shape: Shape, kernel_shape: tuple[int, ...]) -> Window:
    """Return the window of a node, from its attributes.

    Args:
        call: The node.
        shape: Shape of the tensor under the window.
        kernel_shape: Extents of the kernel: two for an image, one for a sequence.
    """
    rank = len(kernel_shape)
    kernel = _pair(call.node, "kernel_shape", kernel_shape, rank)
    stride = _pair(call.node, "strides", call.integers("strides") or (1,) * rank, rank)
    dilation = _pair(call.node, "dilations", call.integers("dilations") or (1,) * rank, rank)
    pads = call.integers("pads") or (0,) * (2 * rank)
    if len(pads) != 2 * rank or max(map(abs, pads)) > _MAX_EXTENT:
        raise call.node.invalid(
            f"has pads={list(pads)[:8]}; expected {2 * rank} numbers whose absolute values are at most 2^31 - 1"
        )
    padding = Padding(*pads) if rank == 2 else Padding(0, pads[0], 0, pads[1])
    auto_pad = call.text("auto_pad", "NOTSET")
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        padding = same_padding(shape, kernel, stride, dilation, odd_one_before=auto_pad == "SAME_LOWER")
    elif auto_pad == "VALID":
        padding = Padding()
    elif auto_pad != "NOTSET":
        raise call.node.invalid(f"has auto_pad='{auto_pad[:40]}'; expected NOTSET, SAME_UPPER, SAME_LOWER or VALID")
    return Window(kernel, stride, dilation, padding)


def _pair(node: Node, what: str, values: tuple[int, ...], rank: int) -> tuple[int, int]:
    if len(values) != rank or not all(1 <= value <= _MAX_EXTENT for value in values):
        raise node.invalid(f"has {what}={list(values)[:8]}; expected {rank} numbers from 1 to 2^31 - 1")
    return (values[0], values[1]) if rank == 2 else (1, values[0])


def _pool_window(call: Call, view: View, shape: Shape) -> Window:
    kernel_shape = call.integers("kernel_shape")
    if kernel_shape is None or len(kernel_shape) != len(view.dims) - 1 or len(kernel_shape) not in (1, 2):
        raise call.node.unsupported(
            f"has kernel_shape={kernel_shape} for an input of {len(view.dims) + 1} dimensions; "
            "expected 2 extents for an image, 1 for a sequence"
        )
    return _window(call, shape, kernel_shape)


def _with_ceiling(call: Call, shape: Shape, window: Window) -> Padding:
    """Return the padding of a pool with the rows and columns that ceil_mode adds at the bottom and on the right.

    Windows that start in this additional padding are left out, as ONNX defines ceil_mode.
    """
    if not call.integer("ceil_mode", 0):
        return window.padding
    top, left, bottom, right = window.padding
    extra = []
    for size, kernel, stride, before, after in zip(
        shape[1:], window.kernel, window.stride, (top, left), (bottom, right), strict=True
    ):
        span = size + before + after - kernel
        positions = -(-span // stride) + 1
        if (positions - 1) * stride >= size + before:
            positions -= 1
        extra.append(max((positions - 1) * stride - span, 0))
    return Padding(top, left, bottom + extra[0], right + extra[1])
