"""Operators of the host program that move elements: most only make another view of the same array."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from deploy.host_c.elementwise import require
from deploy.host_c.views import Kind, View, indices, loop
from deploy.host_c.writer import NoForm, Writer
from deploy.host_step import HostStep

_MAX_RANK: Final = 8


def unchanged(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return the first input."""
    return views[:1]


def reshape(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return the elements with other extents."""
    keeps_zero = step.integer("allowzero", 0)
    shape = [
        views[0].shape[axis] if extent == 0 and not keeps_zero else extent
        for axis, extent in enumerate(step.required_integers("shape", 1))
    ]
    if -1 in shape:
        known = -math.prod(shape)
        shape[shape.index(-1)] = views[0].elements // known if known > 0 else 0
    return (writer.reshaped(views[0], tuple(shape)),)


def flatten(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return the elements as a matrix."""
    rows = math.prod(views[0].shape[: step.integer("axis", 1)])
    return (writer.reshaped(views[0], (rows, views[0].elements // rows)),)


def transpose(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return a view with the dimensions in another order."""
    rank = len(views[0].shape)
    order = step.integers("perm", len(step.inputs)) or tuple(reversed(range(rank)))
    if sorted(order) != list(range(rank)):
        raise NoForm
    return (views[0].permuted(order),)


def squeeze(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return a view without dimensions of extent 1."""
    view, axes = views[0], step.integers("axes", 1)
    dropped = {
        *(axis % len(view.shape) for axis in axes or ()),
        *(axis for axis, extent in enumerate(view.shape) if axes is None and extent == 1),
    }
    if any(view.shape[axis] != 1 for axis in dropped):
        raise NoForm
    return (view.permuted([axis for axis in range(len(view.shape)) if axis not in dropped]),)


def unsqueeze(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return a view with further dimensions of extent 1."""
    view, axes = views[0], step.required_integers("axes", 1)
    rank = len(view.shape) + len(axes)
    if rank > _MAX_RANK:
        raise NoForm
    added = {axis % rank for axis in axes}
    own = iter(zip(view.shape, view.strides, strict=True))
    pairs = [(1, 0) if axis in added else next(own) for axis in range(rank)]
    return (replace(view, shape=tuple(each for each, _ in pairs), strides=tuple(each for _, each in pairs)),)


def concat(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the copies into one array."""
    require(views[0].kind, *views)
    axis = step.integer("axis") % len(views[0].shape)
    extents = [view.shape[axis] for view in views]
    target = writer.new(views[0].kind, (*views[0].shape[:axis], sum(extents), *views[0].shape[axis + 1 :]))
    start = 0
    for view, extent in zip(views, extents, strict=True):
        part = target.cut(axis, start, 1, extent)
        if view.shape != part.shape:
            raise NoForm
        writer.fill(part, [view], "a")
        start += extent
    return (target,)


def split(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return a view of each part along an axis."""
    view, sizes = views[0], step.integers("split", 1)
    axis = step.integer("axis", 0) % len(view.shape)
    if sizes is None:
        if "num_outputs" in step.attributes or view.shape[axis] % step.outputs:
            raise NoForm
        sizes = (view.shape[axis] // step.outputs,) * step.outputs
    if sum(sizes) != view.shape[axis] or min(sizes) < 1:
        raise NoForm
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return tuple(view.cut(axis, start, 1, size) for start, size in zip(starts, sizes, strict=True))


def sliced(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return a view of a part along some axes; a step below 0 runs backwards."""
    view = views[0]
    starts, ends = step.required_integers("starts", 1), step.required_integers("ends", 2)
    axes = step.integers("axes", 3) if "axes" in step.attributes or step.has(3) else tuple(range(len(starts)))
    steps = step.integers("steps", 4) or (1,) * len(starts)
    for start, end, axis, stride in zip(starts, ends, axes or (), steps, strict=True):
        taken = range(*slice(start, end, stride).indices(view.shape[axis]))
        if not taken:
            raise NoForm
        view = view.cut(axis % len(view.shape), taken.start, taken.step, len(taken))
    return (view,)


def gather(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the copy of the elements with given indices along an axis; an index outside is limited to the ends."""
    view, picks = views
    require(Kind.WHOLE, picks)
    axis = step.integer("axis", 0) % len(view.shape)
    before, after, extent = view.shape[:axis], view.shape[axis + 1 :], view.shape[axis]
    target = writer.new(view.kind, (*before, *picks.shape, *after))
    index = indices("i", target.shape)
    inner = index[len(before) : len(before) + len(picks.shape)]
    source = view.at([*index[: len(before)], "at", *index[len(before) + len(picks.shape) :]])
    writer.lines += loop("i", target.shape, [
        f"int32_t at = {picks.at(inner)};",
        f"at = at < 0 ? at + {extent} : at;",
        f"at = at < 0 ? 0 : at < {extent} ? at : {extent - 1};",
        f"{target.at(index)} = {source};",
    ])  # fmt: skip
    return (target,)


def expand(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return a view that repeats the elements."""
    shape = np.broadcast_shapes(views[0].shape, step.required_integers("shape", 1))
    return (views[0].broadcast(shape),)


def shape_of(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return the extents as a constant."""
    if step.attributes:
        raise NoForm
    return (writer.constant(np.array(views[0].shape, dtype=np.int64)),)
