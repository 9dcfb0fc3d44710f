"""Operators that reduce an image to a row, a column or a pixel: pools whose window covers it."""

from __future__ import annotations

from network.layers import AveragePool, MaxPool
from network.onnx_reading.call import Call
from network.onnx_reading.views import Loop, View, Walk, contiguous_walk, merge_loops


def global_average_pool(call: Call) -> View:
    """Translate GlobalAveragePool, an average pool whose window is the image."""
    view, shape = call.image()
    return _over_image(call, view, (shape.height, shape.width), (view.dims[0], *(1,) * (len(view.dims) - 1)), "mean")


def global_max_pool(call: Call) -> View:
    """Translate GlobalMaxPool, a max pool whose window is the image."""
    view, shape = call.image()
    return _over_image(call, view, (shape.height, shape.width), (view.dims[0], *(1,) * (len(view.dims) - 1)), "max")


def reduce_mean(call: Call) -> View:
    """Translate ReduceMean over rows, columns or both, an average pool whose window covers them."""
    return _reduced(call, "mean")


def reduce_max(call: Call) -> View:
    """Translate ReduceMax over rows, columns or both, a max pool whose window covers them."""
    return _reduced(call, "max")


def _reduced(call: Call, what: str) -> View:
    view = call.view()
    axes = call.integers("axes", 1)
    if not axes:
        raise call.node.unsupported(
            "does not have axes, and so reduces all dimensions with the batch; expected the axes of the image"
        )
    reduced = {call.axis(axis, view) for axis in axes}
    keeps = call.integer("keepdims", 1)
    dims = tuple(
        1 if axis in reduced else extent for axis, extent in enumerate(view.dims) if keeps or axis not in reduced
    )
    _, height, width = call.shape(view)
    over = _loops_of(view, reduced)
    if over == contiguous_walk(height * width):
        return _over_image(call, view, (height, width), dims, what)
    if view.shows(call.shape(view)) and over == merge_loops([Loop(width, 1)]):
        return _over_image(call, view, (1, width), dims, what)
    if view.shows(call.shape(view)) and over == merge_loops([Loop(height, width)]):
        return _over_image(call, view, (height, 1), dims, what)
    raise call.node.unsupported(
        f"reduces the axes {list(axes)} of batch and {list(view.dims)}; expected rows and columns of an image"
    )


def _loops_of(view: View, some: set[int]) -> Walk | None:
    """Return the loops of some dimensions of a view, outermost first in the tensor's own order."""
    axes = view.axes()
    if axes is None:
        return None
    return merge_loops(sorted((loop for axis in some for loop in axes[axis]), key=lambda loop: -loop.stride))


def _over_image(call: Call, view: View, window: tuple[int, int], dims: tuple[int, ...], what: str) -> View:
    """Emit a pool whose window covers all rows, all columns or both; emit nothing for a window of one element.

    Args:
        call: The node.
        view: View of the input tensor.
        window: Height and width of the window.
        dims: Dimensions of the node's output, without the batch.
        what: Kind of the pool: "mean" or "max".
    """
    if window == (1, 1):
        return view.reshaped(dims)
    kind = AveragePool if what == "mean" else MaxPool
    layer = kind(name=call.node.name, inputs=(view.tensor,), output=call.output, kernel=window)
    return View(call.output, dims, contiguous_walk(call.translation.emit(layer).elements))
