"""Reading options applied to the graph of a TFLite file: given extents of the inputs, and other outputs."""

from __future__ import annotations

from dataclasses import replace

from network.reading_options import Extents, ReadingOptions, unknown_output
from network.tflite_reading.graph import OPEN, Graph, Tensor


def with_options(graph: Graph, options: ReadingOptions) -> Graph:
    """Return the graph with given extents and outputs, without the operators that no output needs.

    Args:
        graph: The graph of a file.
        options: The options.

    Raises:
        RequestError: If the options name an input or a tensor that does not exist, or contradict the file.
    """
    if options.outputs:
        graph = replace(graph, outputs=_indices(graph, options.outputs))
    if options.input_shapes:
        graph = _with_input_shapes(graph, options)
    return replace(graph, nodes=graph.needed_nodes())


def extents_of(tensor: Tensor) -> Extents:
    """Return the extents of an input, None for an open one."""
    return tuple(None if axis in tensor.open_axes or extent < 0 else extent for axis, extent in enumerate(tensor.dims))


def _with_input_shapes(graph: Graph, options: ReadingOptions) -> Graph:
    """Return the graph with given extents of its inputs; other extents that depend on them become open."""
    indices = {graph.tensors[index].name: index for index in graph.inputs if index in graph.tensors}
    fixed = options.fixed({name: extents_of(graph.tensors[index]) for name, index in indices.items()})
    tensors = {
        index: replace(
            tensor, dims=tuple(OPEN if axis in tensor.open_axes else each for axis, each in enumerate(tensor.dims))
        )
        for index, tensor in graph.tensors.items()
    }
    for name, index in indices.items():
        if None not in fixed[name]:
            dims = tuple(each or 1 for each in fixed[name])
            tensors[index] = replace(graph.tensors[index], dims=dims, open_axes=(), problem="")
    return replace(graph, tensors=tensors)


def _indices(graph: Graph, names: tuple[str, ...]) -> tuple[int, ...]:
    """Return the indices of the tensors with these names: those of the file, or those of the network.

    The network's name is the file's name up to the first ";"; or a name that is not unique, with the index behind it.
    """
    known: dict[str, int] = {}
    network_names: list[str] = []
    for node in graph.nodes:
        for index in node.outputs:
            if index in graph.tensors:
                name = graph.tensors[index].name
                short = name.split(";")[0]
                network_names.append(short)
                for each in (name, short, f"{short}_{index}", f"tensor_{index}"):
                    known.setdefault(each, index)
    for name in names:
        if name not in known:
            outputs = [graph.tensors[index].name for index in graph.outputs if index in graph.tensors]
            raise unknown_output(name, reversed(network_names), outputs)
    return tuple(dict.fromkeys(known[name] for name in names))
