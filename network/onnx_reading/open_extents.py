"""Fixing of the open extents of a graph's inputs by the extents that the caller gives."""

from __future__ import annotations

import onnx

from network.reading_options import Extents, ReadingOptions


def fix_open_extents(graph: onnx.GraphProto, options: ReadingOptions) -> None:
    """Write given extents into the inputs of a graph.

    Args:
        graph: The graph, whose inputs are changed.
        options: The options with the extents.

    Raises:
        RequestError: If an input does not exist, or a given extent contradicts a fixed one.
    """
    if not options.input_shapes:
        return
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in constants}
    before = {name: extents_of(value) for name, value in inputs.items()}
    for name, extents in options.fixed(before).items():
        if extents != before[name]:
            dims = inputs[name].type.tensor_type.shape.dim
            del dims[:]
            for extent in extents:
                dims.add(**({} if extent is None else {"dim_value": extent}))


def extents_of(value: onnx.ValueInfoProto) -> Extents:
    """Return the extents of a graph input, None for an open one; empty if the file does not state its shape.

    Some exporters write 0 or -1 as an open extent.
    """
    return tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in value.type.tensor_type.shape.dim
    )
