"""Conversion of `as_strided`, with which torch keeps the memory format of a tensor: channels last, or first."""

from __future__ import annotations

from network.onnx_reading.causes import Cause
from qat.torch_reader.call import AtenCall, AtenNode


def as_strided(call: AtenCall) -> AtenNode:
    """Convert a view with given strides to an ONNX node that keeps, or only reorders, the dimensions of the tensor.

    Strides say where the elements are in memory, which a network does not state: a view whose dimensions of more than
    one element have the strides of the tensor's own dimensions has the same elements in an order of its dimensions.

    Raises:
        UnsupportedNode: if the view repeats, leaves out or rearranges elements.
    """
    tensor = call.arguments["self"].meta["val"]
    size, stride = (tuple(int(each) for each in call.arguments[name]) for name in ("size", "stride"))
    offset = call.arguments["storage_offset"]
    order = _order(
        tuple(int(each) for each in tensor.shape), tuple(int(each) for each in tensor.stride()), size, stride
    )
    if order is None or offset not in (None, int(tensor.storage_offset())):
        raise call.unsupported(
            f"views a tensor of {list(tensor.shape)} as {list(size)} with the strides {list(stride)}; expected a view "
            "that has the same elements: use reshape, permute or contiguous",
            Cause.LAYOUT,
        )
    if order == tuple(range(len(size))):
        return call.onnx("Identity", call.value("self"))
    return call.onnx("Transpose", call.value("self"), perm=order)


def _order(
    extents: tuple[int, ...], strides: tuple[int, ...], size: tuple[int, ...], stride: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Return the order of a tensor's dimensions in which a view has them; None if the view has other elements.

    Args:
        extents: Extents of the tensor.
        strides: Strides of the tensor, in elements.
        size: Extents of the view.
        stride: Strides of the view, in elements.
    """
    if sorted(size) != sorted(extents):
        return None
    left = list(range(len(extents)))
    order = []
    for axis, (extent, step) in enumerate(zip(size, stride, strict=True)):
        same = [each for each in left if extents[each] == extent and (extent == 1 or strides[each] == step)]
        if not same:
            return None
        order.append(axis if axis in same else same[0])
        left.remove(order[-1])
    return tuple(order)
