"""Operators that move no data: they change what a tensor's dimensions are called, or their order."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from network.onnx_reading.call import Call
from network.onnx_reading.tensors import ConstantArray
from network.onnx_reading.translation import BATCH
from network.onnx_reading.views import View

_MAX_RANK = 8


def identity(call: Call) -> View:
    """Identity."""
    return call.any_view()


def dropout(call: Call) -> View:
    """Dropout at inference does nothing."""
    training = call.constant(2)
    if training is not None and training.any():
        raise call.node.unsupported("is in training mode; export the network for inference (model.eval())")
    return call.any_view()


def flatten(call: Call) -> View:
    """Flatten to batch and features."""
    view = call.any_view()
    axis = call.integer("axis", 1)
    rank = len(view.dims) + 1
    if not -rank <= axis <= rank:
        raise call.node.invalid(f"has axis={axis} for {rank} dimensions")
    axis = axis + rank if axis < 0 else axis
    if axis == 0 or math.prod(view.dims[: axis - 1]) != 1:
        raise call.node.unsupported(f"has axis={axis}, which puts features into the batch; expected axis=1")
    return view.reshaped((view.elements,))


def reshape(call: Call) -> View:
    """Reshape; the batch must stay the first dimension, by itself, or come back as it."""
    view = call.any_view(may_lack_batch=True)
    wanted = call.integers("shape", 1)
    if wanted is None:
        raise call.node.invalid("lacks its shape")
    old = view.dims if view.without_batch else (BATCH, *view.dims)
    if not call.integer("allowzero", 0):
        wanted = tuple(
            old[axis] if extent == 0 and axis < len(old) else extent for axis, extent in enumerate(wanted)
        )  # fmt: skip
    batch, dims = (wanted[0], list(wanted[1:])) if wanted else (None, [])
    if batch not in (BATCH, -1, call.translation.graph.batch) or not 1 <= len(dims) <= _MAX_RANK:
        raise call.node.unsupported(
            f"reshapes batch and {list(view.dims)} to {_shown(wanted)}; the batch must stay the first dimension"
        )
    if dims.count(-1) == 1 and batch != -1:
        known = -math.prod(dims)
        dims[dims.index(-1)] = view.elements // known if known > 0 else 0
    features = math.prod(dims)
    if batch == -1 and 0 < features < view.elements and view.elements % features == 0:
        raise call.node.unsupported(
            f"reshapes {list(view.dims)} to {_shown(wanted)}, which puts positions into the batch; for a product at "
            "every position (a Dense layer over an image) use a 1x1 convolution"
        )
    if min(dims) < 1 or features != view.elements:
        raise call.node.invalid(
            f"reshapes {list(view.dims)}, {view.elements} elements a sample, to {_shown(wanted)}, which has others"
        )
    return replace(view.reshaped(tuple(dims)), without_batch=False)


def _shown(extents: tuple[int, ...]) -> str:
    return str(["batch" if extent == BATCH else extent for extent in extents[:8]])


def squeeze(call: Call) -> View:
    """Squeeze: dimensions of extent 1 go."""
    view = call.any_view()
    axes = call.integers("axes", 1)
    if axes is None:
        squeezed = view.reshaped(tuple(extent for extent in view.dims if extent != 1) or (1,))
        return replace(squeezed, without_batch=call.translation.graph.batch == 1)
    gone = {call.axis(axis, len(view.dims) + 1) for axis in axes}
    if any(view.dims[axis] != 1 for axis in gone):
        raise call.node.invalid(f"squeezes the axes {list(axes)} of {list(view.dims)}; expected extents of 1")
    return view.reshaped(tuple(extent for axis, extent in enumerate(view.dims) if axis not in gone))


def unsqueeze(call: Call) -> View:
    """Unsqueeze: dimensions of extent 1 come in."""
    view = call.any_view()
    axes = call.integers("axes", 1)
    if axes is None or len(axes) > 8:
        raise call.node.invalid("lacks its axes, or has too many")
    rank = len(view.dims) + 1 + len(axes)
    places = {call.axis(axis, rank) for axis in axes}
    if len(places) < len(axes):
        raise call.node.invalid(f"names an axis twice in {list(axes)}")
    old = iter(view.dims)
    return view.reshaped(tuple(1 if axis in places else next(old) for axis in range(rank - 1)))


def transpose(call: Call) -> View:
    """Transpose of the dimensions behind the batch."""
    view = call.any_view()
    rank = len(view.dims) + 1
    order = call.integers("perm")
    order = tuple(reversed(range(rank))) if order is None else order
    if sorted(order) != list(range(rank)):
        raise call.node.invalid(f"has perm={list(order)[:8]} for {rank} dimensions")
    if order[0] != 0:
        raise call.node.unsupported(f"has perm={list(order)}, which moves the batch; expected it to stay first")
    moved = view.transposed(tuple(axis - 1 for axis in order[1:]))
    if moved is None:
        raise call.node.unsupported(f"transposes {list(view.dims)}, which mixes rows and channels; it is not followed")
    return moved


def shape_of(call: Call) -> ConstantArray:
    """Shape: the dimensions as a constant, in which the batch has no number yet."""
    view = call.any_view()
    extents = (BATCH, *view.dims)
    return np.array(extents[call.integer("start", 0) : call.integer("end", len(extents))], dtype=np.int64)
