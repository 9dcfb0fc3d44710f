"""Operators that change the dimensions of a tensor and move none of its elements."""

from __future__ import annotations

import math
from dataclasses import replace

from network.tflite_reading.call import Call
from network.tflite_reading.translation import Value, View


def reshape(call: Call) -> Value:
    """Translate RESHAPE to a constant shape, in which -1 stands for all that is left."""
    value = call.value(0)
    if not call.has(1):
        return _moved(call, value, call.output_dims)
    given = call.integers(1, "shape").reshape(-1).tolist()
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
    if math.prod(_dims(value)) != math.prod(dims) or dims != call.output_dims:
        raise call.invalid(
            f"has an output of extents {list(call.output_dims)} in the file; its input of {list(_dims(value))} and its "
            f"options give {list(dims)[:8]}"
        )
    return replace(value, dims=dims) if isinstance(value, View) else value.reshape(dims)


def transpose(call: Call) -> Value:
    """Translate TRANSPOSE of a constant, or one that moves only dimensions of extent 1."""
    value = call.value(0)
    rank = len(value.dims) if isinstance(value, View) else value.ndim
    order = call.integers(1, "permutation").reshape(-1).tolist()
    if sorted(order) != list(range(rank)):
        raise call.invalid(f"has the permutation {order[:8]} of {rank} dimensions; expected each of them once")
    if not isinstance(value, View):
        return value.transpose(order)
    longer = [axis for axis in order if value.dims[axis] != 1]
    if longer != sorted(longer):
        raise call.unsupported(
            f"transposes {list(value.dims)} by {order}; expected a transpose that moves dimensions of extent 1 only"
        )
    return replace(value, dims=tuple(value.dims[axis] for axis in order))
