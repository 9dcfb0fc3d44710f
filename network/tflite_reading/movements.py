"""Operators that change the dimensions of a tensor, and transposes of its channels."""

from __future__ import annotations

import math
from dataclasses import replace

from network.tflite_reading.call import Call
from network.tflite_reading.translation import Value
from network.tflite_reading.views import View, image_shape


def reshape(call: Call) -> Value:
    """Translate RESHAPE to a constant shape, in which -1 stands for all that is left."""
    value = call.value(0)
    given = call.integers(1, "shape").reshape(-1).tolist() if call.has(1) else list(call.output_dims)
    known = math.prod(extent for extent in given if extent >= 0)
    rest = math.prod(_dims(value)) // known if known else 0
    return _moved(call, value, tuple(rest if extent < 0 else extent for extent in given))


def squeeze(call: Call) -> Value:
    """Translate SQUEEZE of the given dimensions of extent 1, or of all of them."""
    value = call.value(0)
    dims = _dims(value)
    given = call.node.attributes.get("SqueezeDims", ())
    axes = {axis % len(dims) for axis in given} if isinstance(given, tuple) and dims else set()
    removed = axes or {axis for axis, extent in enumerate(dims) if extent == 1}
    return _moved(call, value, tuple(extent for axis, extent in enumerate(dims) if axis not in removed))


def expand_dims(call: Call) -> Value:
    """Translate EXPAND_DIMS at a constant axis."""
    value = call.value(0)
    dims = _dims(value)
    axes = call.integers(1, "axis").reshape(-1).tolist()
    if len(axes) != 1 or not -len(dims) - 1 <= axes[0] <= len(dims):
        raise call.invalid(f"has the axis {axes[:8]} for {len(dims)} dimensions; expected one of them or the end")
    axis = axes[0] % (len(dims) + 1)
    return _moved(call, value, (*dims[:axis], 1, *dims[axis:]))


def _dims(value: Value) -> tuple[int, ...]:
    return value.dims if isinstance(value, View) else value.shape


def _moved(call: Call, value: Value, dims: tuple[int, ...]) -> Value:
    """Return a value with other extents, which are those that the file gives the output."""
    stated = call.translation.tensor(call.node.outputs[0])
    if math.prod(_dims(value)) != math.prod(dims) or not stated.has(dims):
        raise call.invalid(
            f"has an output of extents {list(call.output_dims)} in the file; its input of {list(_dims(value))} and its "
            f"options give {list(dims)[:8]}"
        )
    return replace(value, dims=dims) if isinstance(value, View) else value.reshape(dims)


def transpose(call: Call) -> Value:
    """Translate TRANSPOSE of a constant, of dimensions of extent 1, or between channels last and channels first."""
    value = call.value(0)
    rank = len(_dims(value))
    order = tuple(call.integers(1, "permutation").reshape(-1).tolist())
    if sorted(order) != list(range(rank)):
        raise call.invalid(f"has the permutation {list(order[:8])} of {rank} dimensions; expected each of them once")
    if not isinstance(value, View):
        return value.transpose(order)
    dims = tuple(value.dims[axis] for axis in order)
    longer = [axis for axis in order if value.dims[axis] != 1]
    if longer == sorted(longer):
        return replace(value, dims=dims)
    shape = call.shape(value)
    to_last, to_first = (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
    if order == to_first and not value.is_channels_first and image_shape(value.dims) == shape:
        return replace(value, dims=dims, is_channels_first=True)
    if order == to_last and (image := image_shape(dims)) is not None:
        if value.is_channels_first and image == shape:
            return replace(value, dims=dims, is_channels_first=False)
        call.translation.restart_with_channels_first(value, image)
    raise call.unsupported(
        f"transposes {list(value.dims)} by {list(order)}; expected a transpose that moves dimensions of extent 1 "
        "only, or the channels of an image"
    )
