"""Parser of the ONNX file format: from bytes to a graph of plain Python data.

Only this module reads protobuf messages, except for the tensors, which are decoded when they are first used. It checks
names, attribute types and the connections of the graph, so that the code behind it meets neither cycles nor values that
no node writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import AttributeProto, TensorProto

from network.errors import InvalidNetwork, UnreadableFile, UnsupportedOperator
from network.names import MAX_NAME_LENGTH, is_name
from network.onnx_reading.quantized.names import FOREIGN_OPERATORS
from network.onnx_reading.tensors import ConstantArray, refuse_external_data

OLDEST_OPSET: Final = 11
"""Oldest supported version of the standard ONNX operators."""

NEWEST_OPSET: Final = 22
"""Newest supported version of the standard ONNX operators."""

_STANDARD_DOMAINS: Final = frozenset({"", "ai.onnx"})

_ATTRIBUTE_VALUES: Final[dict[int, Callable[[AttributeProto], Any]]] = {
    AttributeProto.INT: lambda attribute: attribute.i,
    AttributeProto.FLOAT: lambda attribute: attribute.f,
    # TensorFlow's own operators have attributes that are not valid UTF-8; replacement characters match no known value.
    AttributeProto.STRING: lambda attribute: attribute.s.decode(errors="replace"),
    AttributeProto.TENSOR: lambda attribute: attribute.t,
    AttributeProto.INTS: lambda attribute: tuple(attribute.ints),
    AttributeProto.FLOATS: lambda attribute: tuple(attribute.floats),
}


@dataclass(frozen=True, eq=False)
class Node:
    """One node of the graph.

    Attributes:
        name: Unique name of the node; the name of its first output if the file does not name it.
        operator: ONNX name of the operator, e.g. "Conv".
        inputs: Names of the values that the node reads; "" for an optional input that is left out.
        outputs: Names of the values that the node writes.
        attributes: Attribute values by name; each is an int, float, str, TensorProto, or a tuple of int or float.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node '{self.name[:80]}' ({self.operator[:40]})"

    def unsupported(self, what: str) -> UnsupportedOperator:
        """Return the error for a node that is valid ONNX but not supported; `what` follows the node in the message."""
        return UnsupportedOperator(f"{self} {what}")

    def invalid(self, what: str) -> InvalidNetwork:
        """Return the error for a node that contradicts itself or its inputs; `what` follows the node in the message."""
        return InvalidNetwork(f"{self} {what}")


@dataclass(frozen=True, eq=False)
class Graph:
    """The computation graph of a file.

    Attributes:
        opset: Version of the standard operators, 11 to 22.
        input: Name of the graph input.
        input_dims: Extents of one input sample, without the batch.
        batch: Extent of the batch, 1 or more, if the file fixes it; otherwise None.
        nodes: The nodes, each after the nodes whose values it reads.
        outputs: Names of the graph outputs.
        initializers: Constants by name: tensors of the file that are not decoded yet, or arrays.
        size_bytes: Size of the file in bytes, or of all constants if the graph does not come from a file.
    """

    opset: int
    input: str
    input_dims: tuple[int, ...]
    batch: int | None
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    initializers: Mapping[str, TensorProto | ConstantArray]
    size_bytes: int


def parse(content: bytes) -> Graph:
    """Parse the bytes of an ONNX file into a graph.

    Args:
        content: Bytes of the whole file.

    Raises:
        UnreadableFile: If the file is not valid ONNX, is truncated, or keeps data in other files.
        UnsupportedOperator: If the file uses an unsupported opset or operator domain, a function or a subgraph.
        InvalidNetwork: If the graph has several inputs or a cycle, or if a value is written twice or never.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
        return _graph(model, len(content))
    except (DecodeError, UnicodeDecodeError) as error:
        raise UnreadableFile(
            "the file is not a valid ONNX model, or is truncated; expected the whole file as the exporter wrote it"
        ) from error


def _graph(model: onnx.ModelProto, size_bytes: int) -> Graph:
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
    for tensor in graph.initializer:
        refuse_external_data(tensor, f"initializer '{tensor.name[:80]}'")
    initializers: dict[str, TensorProto | ConstantArray] = {tensor.name: tensor for tensor in graph.initializer}
    if model.functions:
        raise UnsupportedOperator(
            f"the file defines the function '{model.functions[0].name[:80]}'; expected standard operators only: "
            "export the network with functions inlined"
        )
    inputs = [value for value in graph.input if value.name not in initializers]
    if len(inputs) != 1:
        raise InvalidNetwork(
            f"the network has {len(inputs)} inputs ({', '.join(value.name[:80] for value in inputs[:5])}); expected "
            "one. If the others are constants without values (as the exporter writes Keras's Normalization layer), "
            "convert the SavedModel instead: python -m tf2onnx.convert --saved-model"
        )
    batch, dims = _input_dims(inputs[0])
    nodes = _nodes(graph.node)
    return Graph(
        opset=_opset(model),
        input=inputs[0].name,
        input_dims=dims,
        batch=batch,
        nodes=_topologically_sorted(nodes, {inputs[0].name, *initializers}),
        outputs=tuple(value.name for value in graph.output),
        initializers=initializers,
        size_bytes=size_bytes,
    )


def _check_names(names: Iterable[object]) -> None:
    """Reject names that are not printable text; protobuf does not guarantee text and returns bytes for other names."""
    for name in names:
        if not is_name(name):
            raise UnreadableFile(
                f"the file contains the name {str(name)[:40]!r}; "
                f"expected printable text of 1 to {MAX_NAME_LENGTH} characters: rename it or export the network again"
            )


def _opset(model: onnx.ModelProto) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in _STANDARD_DOMAINS]
    if not versions:
        raise UnreadableFile(
            "the file does not state its opset: it is not a valid ONNX model, or is truncated; expected the whole file "
            "as the exporter wrote it"
        )
    if not OLDEST_OPSET <= versions[0] <= NEWEST_OPSET:
        raise UnsupportedOperator(
            f"the file uses opset {versions[0]}; expected opset {OLDEST_OPSET} to {NEWEST_OPSET}: "
            "export the network again with opset 18"
        )
    return int(versions[0])


def _input_dims(value: onnx.ValueInfoProto) -> tuple[int | None, tuple[int, ...]]:
    """Return the extent of the batch, None if the file does not fix it, and the extents of one sample."""
    owner = f"input '{value.name[:80]}'"
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise UnsupportedOperator(f"{owner} is not a tensor of known shape; export the network with a fixed image size")
    extents = [
        dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim
    ]  # fmt: skip
    if not 2 <= len(extents) <= 4:
        raise UnsupportedOperator(
            f"{owner} has {len(extents)} dimensions; expected 2 to 4: a batch of vectors, sequences or images"
        )
    batch, *sample = extents
    dims = tuple(extent for extent in sample if extent is not None)
    if len(dims) < len(sample):
        raise UnsupportedOperator(
            f"{owner} has a dimension without a fixed extent in addition to the batch; export the network with a "
            "fixed image size"
        )
    if min(dims) < 1:
        raise InvalidNetwork(f"{owner} has the dimensions {list(dims)}; expected extents of 1 or more")
    return (batch if batch is not None and batch > 0 else None), dims


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
        node = Node(name, proto.op_type, tuple(proto.input), outputs, {})
        if proto.domain not in _STANDARD_DOMAINS and proto.op_type not in FOREIGN_OPERATORS:
            raise node.unsupported(
                f"is of the operator domain '{proto.domain[:80]}'; expected standard ONNX operators: export without "
                "optimizations for a runtime"
            )
        nodes.append(Node(name, node.operator, node.inputs, outputs, _attributes(node, proto.attribute)))
    return tuple(nodes)


def _attributes(node: Node, attributes: Iterable[AttributeProto]) -> Mapping[str, Any]:
    values = {}
    for attribute in attributes:
        _check_names([attribute.name])
        value = _ATTRIBUTE_VALUES.get(attribute.type)
        if value is None or attribute.ref_attr_name:
            raise node.unsupported(
                f"has the attribute '{attribute.name[:80]}', which is a subgraph, a reference, a sparse tensor or a "
                "list of strings; expected numbers, a string or a dense tensor"
            )
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
        in_order &= all(value in writers or value in given or not value for value in node.inputs)
        for value in filter(None, node.outputs):
            if value in writers or value in given:
                raise node.invalid(
                    f"writes '{value[:80]}', which already has a value; expected every value to be written once"
                )
            writers[value] = index
    if in_order:
        return nodes
    for node in nodes:
        for value in node.inputs:
            if value and value not in writers and value not in given:
                raise node.invalid(
                    f"reads '{value[:80]}', which no node writes; expected an input, an initializer or a node's output"
                )
    reads = {
        index: [writers[value] for value in node.inputs if value in writers] for index, node in enumerate(nodes)
    }  # fmt: skip
    try:
        return tuple(nodes[index] for index in TopologicalSorter(reads).static_order())
    except CycleError as error:
        cycle = ", ".join(str(nodes[index]) for index in error.args[1][:5])
        raise InvalidNetwork(
            f"the graph has a cycle through {cycle}; expected a graph without cycles: remove the loop"
        ) from error
