"""Parser of the ONNX file format: from bytes to a graph of plain Python data.

Only this module reads protobuf messages, except for the tensors, which are decoded when they are first used. It checks
names, attribute types and the connections of the graph, so that the code behind it meets neither cycles nor values that
no node writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import AttributeProto, TensorProto

from network.errors import InvalidNetwork, UnreadableFile, UnsupportedOperator
from network.names import MAX_NAME_LENGTH, is_name
from network.onnx_reading.external_weights import WeightFile, load_external_weights
from network.onnx_reading.graph import UNREADABLE, Graph, Node, needed_nodes
from network.onnx_reading.graph_inputs import inputs_of
from network.onnx_reading.open_extents import extents_of, fix_open_extents
from network.onnx_reading.quantized.names import FOREIGN_OPERATORS
from network.onnx_reading.structure import STANDARD_DOMAINS, standard_opset, with_known_structure
from network.onnx_reading.tensors import ConstantArray, refuse_external_data
from network.reading_options import AS_IN_FILE, ReadingOptions, open_extent_advice

_OUT_OF_MEMORY: Final = "alloc failed"
"""Text in protobuf's DecodeError when memory is missing, and the file may be valid."""

_ATTRIBUTE_VALUES: Final[dict[int, Callable[[AttributeProto], Any]]] = {
    AttributeProto.INT: lambda attribute: attribute.i,
    AttributeProto.FLOAT: lambda attribute: attribute.f,
    # TensorFlow's own operators have attributes that are not valid UTF-8; replacement characters match no known value.
    AttributeProto.STRING: lambda attribute: attribute.s.decode(errors="replace"),
    AttributeProto.TENSOR: lambda attribute: attribute.t,
    AttributeProto.INTS: lambda attribute: tuple(attribute.ints),
    AttributeProto.FLOATS: lambda attribute: tuple(attribute.floats),
}


def parse(content: bytes, weight_file: WeightFile | None = None, options: ReadingOptions = AS_IN_FILE) -> Graph:
    """Parse the bytes of an ONNX file into a graph.

    The graph ends at the tensors that the options name, if nodes of the file write all of them.

    Args:
        content: Bytes of the whole file.
        weight_file: Function that returns the content of a file of weights by its name; None if there are no such
            files.
        options: Extents of open dimensions, and the tensors at which the network ends.

    Raises:
        RequestError: If an extent is given to an input that does not exist, or contradicts the file.
        UnreadableFile: If the file is not valid ONNX, is truncated, or keeps data in other files that are not given.
        UnsupportedOperator: If the file uses an unsupported opset, functions that cannot be inlined or sparse weights,
            or if its input has an open extent.
        InvalidNetwork: If the graph has no input or a cycle, or if a value is written twice or never.
        MemoryError: If there is not enough memory to parse the file.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
        return _graph(model, len(content), weight_file, options)
    except (DecodeError, UnicodeDecodeError) as error:
        if _OUT_OF_MEMORY in str(error):
            raise MemoryError(str(error)) from error
        raise UnreadableFile(
            "the file is not a valid ONNX model, or is truncated; expected the whole file as the exporter wrote it"
        ) from error


def _graph(model: onnx.ModelProto, size_bytes: int, weight_file: WeightFile | None, options: ReadingOptions) -> Graph:
    graph = model.graph
    if not graph.node:
        raise UnreadableFile("the file does not contain an ONNX graph with nodes; expected an exported network")
    if graph.sparse_initializer:
        raise UnsupportedOperator(
            "the file has sparse initializers; expected dense ones: export the network with dense weights"
        )
    _check_names(
        each.name for values in (graph.initializer, graph.input, graph.output, model.functions) for each in values
    )
    size_bytes += load_external_weights(graph.initializer, weight_file)
    fix_open_extents(graph, options)
    model = with_known_structure(model)
    graph = model.graph
    initializers: dict[str, TensorProto | ConstantArray] = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in initializers]
    outputs = tuple(value.name for value in graph.output)
    nodes = _topologically_sorted(_nodes(graph.node), {*initializers, *(value.name for value in inputs)})
    if options.outputs and set(options.outputs) <= {name for node in nodes for name in node.outputs}:
        outputs = options.outputs
    nodes = needed_nodes(nodes, outputs)
    read = {*outputs, *(name for node in nodes for name in node.reads)}
    # With one input, the network's input is that one even if no output depends on it, which is rejected later.
    found = inputs_of([value for value in inputs if value.name in read or len(inputs) == 1], _input_dims)
    return Graph(
        opset=standard_opset(model),
        inputs=found.inputs,
        nodes=nodes,
        outputs=outputs,
        initializers=initializers,
        size_bytes=size_bytes,
        unreadable_inputs=found.unreadable,
    )


def _check_names(names: Iterable[object]) -> None:
    """Reject names that are not printable text; protobuf does not guarantee text and returns bytes for other names."""
    for name in names:
        if not is_name(name):
            raise UnreadableFile(
                f"the file contains the name {str(name)[:40]!r}; "
                f"expected printable text of 1 to {MAX_NAME_LENGTH} characters: rename it or export the network again"
            )


def _input_dims(value: onnx.ValueInfoProto) -> tuple[int | None, tuple[int, ...], bool]:
    """Return the extent of the batch, None if it is open, the extents of one sample, and whether there is a batch.

    An input of one dimension is a vector without a batch, whose batch counts as 1.
    """
    owner = f"input '{value.name[:80]}'"
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise UnsupportedOperator(f"{owner} is not a tensor of known shape; export the network with a fixed image size")
    extents = extents_of(value)
    if not 1 <= len(extents) <= 4 or extents == (None,):
        raise UnsupportedOperator(
            f"{owner} has {len(extents)} dimensions; expected 2 to 4, a batch of vectors, sequences or images, or one "
            "dimension of fixed extent, a vector"
        )
    has_batch = len(extents) > 1
    batch, *sample = extents if has_batch else (1, *extents)
    dims = tuple(extent for extent in sample if extent is not None)
    if len(dims) < len(sample):
        advice = open_extent_advice(value.name, extents, has_batch=has_batch)
        raise UnsupportedOperator(f"{owner} has a dimension without a fixed extent in addition to the batch; {advice}")
    return batch, dims, has_batch


def _nodes(protos: Iterable[onnx.NodeProto]) -> tuple[Node, ...]:
    """Return the nodes in the order of the file, with unique names: a repeated name gets the suffix _2, _3, ..."""
    nodes = []
    taken: set[str] = set()
    duplicates: Counter[str] = Counter()
    for proto in protos:
        outputs = tuple(proto.output)
        _check_names(filter(None, (proto.name, proto.op_type, proto.domain, *proto.input, *outputs)))
        base = name = proto.name or next((output for output in outputs if output), proto.op_type)
        while name in taken:
            duplicates[base] += 1
            name = f"{base}_{duplicates[base] + 1}"
        taken.add(name)
        # Runtimes and tools write operators of quantization into several domains.
        is_known = proto.domain in STANDARD_DOMAINS or proto.op_type in FOREIGN_OPERATORS
        domain = "" if is_known else proto.domain
        node = Node(name, proto.op_type, tuple(proto.input), outputs, {}, domain=domain)
        captured = tuple(sorted(_captured(proto.attribute), key=str))
        _check_names(captured)
        attributes = _attributes(node, proto.attribute)
        unread = tuple(each for each in proto.attribute if attributes[each.name] is UNREADABLE)
        nodes.append(replace(node, attributes=attributes, captured=captured, unread_attributes=unread))
    return tuple(nodes)


def _captured(attributes: Iterable[AttributeProto]) -> set[str]:
    """Return the names of the outer values that the subgraphs of a node read, and perhaps of some that they write."""
    graphs = [graph for attribute in attributes for graph in (attribute.g, *attribute.graphs)]
    read: set[str] = set()
    written: set[str] = set()
    while graphs:
        graph = graphs.pop()
        written.update(value.name for values in (graph.input, graph.initializer) for value in values)
        read.update(value.name for value in graph.output)
        for node in graph.node:
            read.update(filter(None, node.input))
            written.update(node.output)
            graphs.extend(graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs))
    return read - written


def _attributes(node: Node, attributes: Iterable[AttributeProto]) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    for attribute in attributes:
        _check_names([attribute.name])
        value = _ATTRIBUTE_VALUES.get(attribute.type)
        if value is None or attribute.ref_attr_name:
            values[attribute.name] = UNREADABLE
            continue
        values[attribute.name] = value(attribute)
        if attribute.type == AttributeProto.TENSOR:
            refuse_external_data(attribute.t, f"{node}, attribute '{attribute.name[:80]}',")
    return values


def _topologically_sorted(nodes: tuple[Node, ...], given: set[str]) -> tuple[Node, ...]:
    """Return the nodes, each after the nodes that it reads; in the order of the file if that is such an order.

    Args:
        nodes: The nodes in the order of the file.
        given: Names of the values that no node writes: the graph input and the initializers.

    Raises:
        InvalidNetwork: If a value is written twice or never, or if the graph has a cycle.
    """
    writers: dict[str, int] = {}
    in_order = True
    for index, node in enumerate(nodes):
        in_order &= all(value in writers or value in given for value in node.reads)
        for value in filter(None, node.outputs):
            if value in writers or value in given:
                raise node.invalid(
                    f"writes '{value[:80]}', which already has a value; expected every value to be written once"
                )
            writers[value] = index
    if in_order:
        return nodes
    for node in nodes:
        for value in node.reads:
            if value not in writers and value not in given:
                raise node.invalid(
                    f"reads '{value[:80]}', which no node writes; expected an input, an initializer or a node's output"
                )
    reads = {
        index: [writers[value] for value in node.reads if value in writers] for index, node in enumerate(nodes)
    }  # fmt: skip
    try:
        return tuple(nodes[index] for index in TopologicalSorter(reads).static_order())
    except CycleError as error:
        cycle = ", ".join(str(nodes[index]) for index in error.args[1][:5])
        raise InvalidNetwork(
            f"the graph has a cycle through {cycle}; expected a graph without cycles: remove the loop"
        ) from error
