"""Concatenation of tensors, and the layouts of inputs that are joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from network.layers import Axis, Concat, Flattening, Shape
from network.onnx_reading.call import Call
from network.onnx_reading.causes import Cause
from network.onnx_reading.views import (
    Loop,
    View,
    channels_last_view,
    channels_last_walk,
    contiguous_walk,
    image_view,
    merge_loops,
)

_CHANNELS_FIRST: Final = {3: (Axis.CHANNELS, Axis.HEIGHT, Axis.WIDTH), 2: (Axis.CHANNELS, Axis.WIDTH)}
"""Axes of a channels-first view, by its number of dimensions behind the batch."""

_CHANNELS_LAST: Final = {3: (Axis.HEIGHT, Axis.WIDTH, Axis.CHANNELS), 2: (Axis.WIDTH, Axis.CHANNELS)}
"""Axes of a channels-last view, by its number of dimensions behind the batch."""


def concat(call: Call) -> View:
    """Translate Concat of activation tensors along one of their axes, or of flattened tensors."""
    if not all(isinstance(value, View) for value in call.values()):
        raise call.node.unsupported("concatenates constants and activation tensors; expected activation tensors only")
    views = [call.view(index) for index in range(len(call.node.inputs))]
    first = views[0]
    axis = call.axis(call.integer("axis", 1), first)
    shapes = [call.shape(view) for view in views]
    loops = [view.axes() for view in views]
    if (flattening := _flattening(views, shapes, axis)) is not None:
        inputs = tuple(view.tensor for view in views)
        joined = call.translation.emit(
            Concat(name=call.node.name, inputs=inputs, output=call.output, flattening=flattening)
        )
        return replace(
            first, tensor=call.output, dims=(joined.elements, *first.dims[1:]), walk=contiguous_walk(joined.elements)
        )
    if (found := _rows_or_columns(views, shapes, axis)) is not None:
        along, view_of = found
        inputs = tuple(view.tensor for view in views)
        joined = call.translation.emit(Concat(name=call.node.name, inputs=inputs, output=call.output, axis=along))
        return view_of(call.output, joined, len(first.dims))
    others = []
    for view, shape, axes in zip(views, shapes, loops, strict=True):
        pixels = shape.height * shape.width
        if (
            axes is None
            or len(axes) != len(first.dims)
            or axes[axis] != merge_loops([Loop(shape.channels, pixels)])
            or shape[1:] != shapes[0][1:]
        ):
            if axis == len(view.dims) - 1:
                call.translation.restart_with_channels_last(view)
            elif axis == 0:
                call.translation.restart_with_layout_of(view)
            raise call.node.unsupported(
                f"concatenates {' and '.join(str(list(each.dims)) for each in views[:4])} along axis {axis + 1}; "
                f"expected an axis of the tensor '{view.tensor[:80]}' ({shape}), and equal extents along the others"
            )
        others.append((*axes[:axis], *axes[axis + 1 :], *view.dims[:axis], *view.dims[axis + 1 :]))
    if any(each != others[0] for each in others):
        restart_with_one_layout(call, views)
        raise call.node.unsupported(
            "concatenates tensors of different layouts; expected one height, width and order of axes: transpose them",
            Cause.LAYOUT,
        )
    joined = call.translation.emit(
        Concat(name=call.node.name, inputs=tuple(view.tensor for view in views), output=call.output)
    )
    joined_axes = list(loops[0] or ())
    joined_axes[axis] = (Loop(joined.channels, joined.height * joined.width),)
    dims = (*first.dims[:axis], joined.channels, *first.dims[axis + 1 :])
    return View(call.output, dims, merge_loops(loop for each in joined_axes for loop in each))


def _flattening(views: Sequence[View], shapes: Sequence[Shape], axis: int) -> Flattening | None:
    """Return the order in which the inputs of a Concat are flattened; None if none is, or if their orders differ."""
    are_vectors = all(view.dims[0] == view.elements and len(view.dims) == len(views[0].dims) for view in views)
    if axis != 0 or not are_vectors or all(shape[1:] == (1, 1) for shape in shapes):
        return None
    if all(view.is_contiguous for view in views):
        return Flattening.CHANNELS_FIRST
    if all(view.walk == channels_last_walk(shape) for view, shape in zip(views, shapes, strict=True)):
        return Flattening.CHANNELS_LAST
    return None


def _rows_or_columns(
    views: Sequence[View], shapes: Sequence[Shape], axis: int
) -> tuple[Axis, Callable[[str, Shape, int], View]] | None:
    """Return the axis of the tensors, height or width, along which views of the same layout are concatenated.

    Returns:
        The axis, and the function that returns the view of the result; None if the tensors are concatenated along
        another axis, have different extents along the others, or are not all channels first or all channels last.
    """
    rank = len(views[0].dims)
    for view_of, axes in ((image_view, _CHANNELS_FIRST), (channels_last_view, _CHANNELS_LAST)):
        along = axes.get(rank, ())[axis : axis + 1]
        if (
            along
            and along[0] is not Axis.CHANNELS
            and all(view == view_of(view.tensor, shape, rank) for view, shape in zip(views, shapes, strict=True))
            and len({tuple(shape[each.position] for each in Axis if each is not along[0]) for shape in shapes}) == 1
        ):
            return along[0], view_of
    return None


def restart_with_one_layout(call: Call, views: Sequence[View]) -> None:
    """Restart the translation if one of the views is an input whose channels are last, as those of another view are.

    Raises:
        InputLayoutRequired: If the layout of such an input is not settled yet.
    """
    if any(len(view.dims) > 1 and call.channel_axis(view) == len(view.dims) - 1 for view in views):
        for view in views:
            if call.channel_axis(view) != len(view.dims) - 1:
                call.translation.restart_with_channels_last(view)
