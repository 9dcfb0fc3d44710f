"""Operators that only change the dimensions of a tensor or their order, and the shape operator."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from network.onnx_reading.call import Call
from network.onnx_reading.causes import Cause
from network.onnx_reading.tensors import ConstantArray
from network.onnx_reading.translation import BATCH, shown_extents
from network.onnx_reading.views import View

_MAX_RANK = 8


def identity(call: Call) -> View:
    """Return the input of an Identity node unchanged."""
    return call.any_view(may_lack_batch=True)


def dropout(call: Call) -> View:
    """Return the input of a Dropout node unchanged: at inference, Dropout has no effect."""
    training = call.constant(2)
    if training is not None and training.any():
        raise call.node.unsupported("is in training mode; export the network for inference (model.eval())")
    return call.any_view(may_lack_batch=True)


def flatten(call: Call) -> View:
    """Translate Flatten to batch and features (axis 1, or an equivalent axis), or to any matrix if the batch is 1."""
    view = call.any_view(may_lack_batch=True)
    axis = call.integer("axis", 1)
    rank = view.rank
    if not -rank <= axis <= rank:
        raise call.node.invalid(f"has axis={axis} for {rank} dimensions; expected {-rank} to {rank}")
    axis = axis + rank if axis < 0 else axis
    if call.batch_is_one:
        view = view.with_all_dims()
        rows = math.prod(view.dims[:axis])
        return view.reshaped((rows, view.elements // rows)).with_leading_batch()
    if axis == 0 or math.prod(view.dims[: axis - 1]) != 1:
        raise call.node.unsupported(
            f"has axis={axis}, which puts features into the batch; expected axis=1", Cause.LAYOUT
        )
    return view.reshaped((view.elements,))


def reshape(call: Call) -> View:
    """Translate Reshape to a shape whose first dimension is the batch alone, or to any shape if the batch is 1."""
    view = call.any_view(may_lack_batch=True)
    wanted = call.integers("shape", 1)
    if wanted is None:
        raise call.node.invalid("does not have a shape; expected the target shape as its second input")
    old = view.dims if view.without_batch else (BATCH, *view.dims)
    if not call.integer("allowzero", 0):
        wanted = tuple(
            old[axis] if extent == 0 and axis < len(old) else extent for axis, extent in enumerate(wanted)
        )  # fmt: skip
    if call.batch_is_one and wanted[:1] != (BATCH,):
        return _reshaped_with_batch_of_one(call, view.with_all_dims(), wanted)
    batch, dims = (wanted[0], list(wanted[1:])) if wanted else (None, [])
    if batch not in (BATCH, -1, call.translation.graph.batch) or not 1 <= len(dims) <= _MAX_RANK:
        raise call.node.unsupported(
            f"reshapes batch and {list(view.dims)} to {shown_extents(wanted)}; expected the batch as the first "
            f"dimension, and 1 to {_MAX_RANK} dimensions behind it",
            Cause.LAYOUT,
        )
    if dims.count(-1) == 1 and batch != -1:
        known = -math.prod(dims)
        dims[dims.index(-1)] = view.elements // known if known > 0 else 0
    features = math.prod(dims)
    if batch == -1 and 0 < features < view.elements and view.elements % features == 0:
        raise call.node.unsupported(
            f"reshapes {list(view.dims)} to {shown_extents(wanted)}, which merges positions into the batch; expected "
            "the batch alone: for a product at every position (a Dense layer over an image) use a 1x1 convolution",
            Cause.LAYOUT,
        )
    if min(dims) < 1 or features != view.elements:
        raise call.node.invalid(
            f"reshapes {list(view.dims)} to {shown_extents(wanted)}; expected {view.elements} elements per sample"
        )
    return replace(view.reshaped(tuple(dims)), without_batch=False)


def _reshaped_with_batch_of_one(call: Call, view: View, wanted: tuple[int, ...]) -> View:
    """Return a view with other dimensions, the batch of 1 among them.

    Args:
        call: The Reshape node.
        view: The view, with all its dimensions.
        wanted: The dimensions of the result; one of them can be -1, the rest of the elements.
    """
    dims = list(wanted)
    if dims.count(-1) == 1:
        known = -math.prod(dims)
        dims[dims.index(-1)] = view.elements // known if known > 0 else 0
    if not 1 <= len(dims) <= _MAX_RANK or min(dims) < 1 or math.prod(dims) != view.elements:
        raise call.node.invalid(
            f"reshapes {list(view.dims)} to {shown_extents(wanted)}; expected 1 to {_MAX_RANK} dimensions with "
            f"{view.elements} elements"
        )
    return view.reshaped(tuple(dims)).with_leading_batch()


def squeeze(call: Call) -> View:
    """Translate Squeeze, which removes dimensions of extent 1."""
    view = call.any_view(may_lack_batch=True)
    axes = call.integers("axes", 1)
    if axes is not None and call.batch_is_one:
        view = view.with_all_dims()
    if axes is None:
        squeezed = view.reshaped(tuple(extent for extent in view.dims if extent != 1) or (1,))
        return replace(squeezed, without_batch=call.batch_is_one)
    removed = {call.axis(axis, view) for axis in axes}
    if any(view.dims[axis] != 1 for axis in removed):
        raise call.node.invalid(f"squeezes the axes {list(axes)} of {list(view.dims)}; expected extents of 1")
    kept = tuple(extent for axis, extent in enumerate(view.dims) if axis not in removed)
    return view.reshaped(kept or (1,)).with_leading_batch()


def unsqueeze(call: Call) -> View:
    """Translate Unsqueeze, which inserts dimensions of extent 1."""
    view = call.any_view(may_lack_batch=True)
    axes = call.integers("axes", 1)
    if axes is None or len(axes) > 8:
        raise call.node.invalid(
            f"has {0 if axes is None else len(axes)} axes; expected the axes of 1 to 8 new dimensions"
        )
    if call.batch_is_one:
        view = view.with_all_dims()
    places = {call.axis(axis, view, added=len(axes)) for axis in axes}
    if len(places) < len(axes):
        raise call.node.invalid(f"has the axes {list(axes)}; expected each axis once")
    old = iter(view.dims)
    extents = range(len(view.dims) + len(axes))
    return view.reshaped(tuple(1 if axis in places else next(old) for axis in extents)).with_leading_batch()


def transpose(call: Call) -> View:
    """Translate Transpose of the dimensions behind the batch, or of all dimensions if the batch is 1."""
    view = call.any_view(may_lack_batch=True)
    rank = view.rank
    order = call.integers("perm")
    order = tuple(reversed(range(rank))) if order is None else order
    if sorted(order) != list(range(rank)):
        raise call.node.invalid(
            f"has perm={list(order)[:8]} for {rank} dimensions; expected each of 0 to {rank - 1} once"
        )
    if call.batch_is_one:
        moved = view.with_all_dims().transposed(order)
    elif order[0] == 0:
        moved = view.transposed(tuple(axis - 1 for axis in order[1:]))
    else:
        raise call.node.unsupported(
            f"has perm={list(order)}, which moves the batch; expected the batch as the first dimension", Cause.LAYOUT
        )
    if moved is None:
        raise call.node.unsupported(
            f"transposes {list(view.dims)}, where one dimension mixes a part of the channels with pixels; expected "
            "dimensions that are whole channels, rows or columns, or factors of them",
            Cause.LAYOUT,
        )
    return moved.with_leading_batch()


def shape_of(call: Call) -> ConstantArray:
    """Return the dimensions of a tensor as a constant, with the placeholder `BATCH` for an open batch."""
    view = call.any_view(may_lack_batch=True)
    extents = view.dims if view.without_batch else (call.translation.graph.batch or BATCH, *view.dims)
    return np.array(extents[call.integer("start", 0) : call.integer("end", len(extents))], dtype=np.int64)
