"""From bytes to a graph of plain Python data: all that is taken from the file format, in one place.

Nothing of the protobuf object survives this module but the tensors, which are decoded when they are first read. Names,
attribute types and the graph's wiring are checked here, so that what follows cannot meet a cycle or a missing tensor.
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
from network.onnx_reading.tensors import ConstantArray, refuse_external_data

OLDEST_OPSET: Final = 11
NEWEST_OPSET: Final = 22

_STANDARD_DOMAINS: Final = frozenset({"", "ai.onnx"})

_ATTRIBUTE_VALUES: Final[dict[int, Callable[[AttributeProto], Any]]] = {
    AttributeProto.INT: lambda attribute: attribute.i,
    AttributeProto.FLOAT: lambda attribute: attribute.f,
    # What is no text equals nothing that an operator knows; TensorFlow puts bytes into its own operators.
    AttributeProto.STRING: lambda attribute: attribute.s.decode(errors="replace"),
    AttributeProto.TENSOR: lambda attribute: attribute.t,
    AttributeProto.INTS: lambda attribute: tuple(attribute.ints),
    AttributeProto.FLOATS: lambda attribute: tuple(attribute.floats),
}


@dataclass(frozen=True, eq=False)
class Node:
    """One operator of the file.

    Attributes:
        name: unique; the name of the first output where the file gives none.
        operator: ONNX's name of the operator, e.g. "Conv".
        inputs: names of the values read; "" for an optional input left out.
        outputs: names of the values written.
        attributes: by name: int, float, str, TensorProto, or a tuple of int or float.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node '{self.name[:80]}' ({self.operator[:40]})"

    def unsupported(self, what: str) -> UnsupportedOperator:
        return UnsupportedOperator(f"{self} {what}")

    def invalid(self, what: str) -> InvalidNetwork:
        return InvalidNetwork(f"{self} {what}")


@dataclass(frozen=True, eq=False)
class Graph:
    """What the file computes.

    Attributes:
        opset: version of the standard operators, 11 to 22.
        input: the value that the caller writes.
        input_dims: one sample's extents, the batch left out.
        batch: the batch's extent where the file fixes it, else None.
        nodes: each after the nodes whose values it reads.
        outputs: the values that the caller reads.
        initializers: constants by name: of the file, not decoded, or arrays already.
        size_bytes: of the file, or of the constants where there is none.
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
    """The graph in the bytes of an ONNX file.

    Raises:
        UnreadableFile: not ONNX, truncated, or data in other files.
        UnsupportedOperator: an opset, a domain, a function or a subgraph outside what is read.
        InvalidNetwork: several inputs, a value written twice or by nobody, a cycle.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
        return _graph(model, len(content))
    except (DecodeError, UnicodeDecodeError) as error:
        raise UnreadableFile(
            "the file is no ONNX model, or a truncated one; expected the whole file as the exporter wrote it"
        ) from error


def _graph(model: onnx.ModelProto, size_bytes: int) -> Graph:
    graph = model.graph
    if not graph.node:
        raise UnreadableFile("the file holds no ONNX graph with operators; expected an exported network")
    if graph.sparse_initializer:
        raise UnsupportedOperator("the file has sparse initializers; export it with dense weights")
    _check_names(
        each.name for values in (graph.initializer, graph.input, graph.output, model.functions) for each in values
    )
    for tensor in graph.initializer:
        refuse_external_data(tensor, f"initializer '{tensor.name[:80]}'")
    initializers: dict[str, TensorProto | ConstantArray] = {tensor.name: tensor for tensor in graph.initializer}
    if model.functions:
        raise UnsupportedOperator(
            f"the file defines the function '{model.functions[0].name[:80]}'; export it with functions inlined"
        )
    inputs = [value for value in graph.input if value.name not in initializers]
    if len(inputs) != 1:
        raise InvalidNetwork(
            f"the network has {len(inputs)} inputs ({', '.join(value.name[:80] for value in inputs[:5])}); expected "
            "one. Where the others are constants that the exporter lost (those of Keras's Normalization layer), "
            "convert the SavedModel instead: python -m tf2onnx.convert --saved-model"
        )
    batch, dims = _input_dims(inputs[0])
    nodes = _nodes(graph.node)
    return Graph(
        opset=_opset(model),
        input=inputs[0].name,
        input_dims=dims,
        batch=batch,
        nodes=_in_order(nodes, {inputs[0].name, *initializers}),
        outputs=tuple(value.name for value in graph.output),
        initializers=initializers,
        size_bytes=size_bytes,
    )


def _check_names(names: Iterable[object]) -> None:
    """Protobuf promises no text: what is none comes as bytes."""
    for name in names:
        if not is_name(name):
            raise UnreadableFile(
                f"the file has the name {str(name)[:40]!r}; "
                f"expected printable text of 1 to {MAX_NAME_LENGTH} characters"
            )


def _opset(model: onnx.ModelProto) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in _STANDARD_DOMAINS]
    if not versions:
        raise UnreadableFile("the file names no opset: it is no ONNX model, or a truncated one")
    if not OLDEST_OPSET <= versions[0] <= NEWEST_OPSET:
        raise UnsupportedOperator(
            f"the file uses opset {versions[0]}; opsets {OLDEST_OPSET} to {NEWEST_OPSET} are read: "
            "export it again with opset 18"
        )
    return int(versions[0])


def _input_dims(value: onnx.ValueInfoProto) -> tuple[int | None, tuple[int, ...]]:
    """The batch's extent, if the file fixes it, and a sample's extents."""
    owner = f"input '{value.name[:80]}'"
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise UnsupportedOperator(f"{owner} is no tensor of a known shape; export the network with a fixed image size")
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
            f"{owner} leaves a dimension beside the batch open; export the network with a fixed image size"
        )
    if min(dims) < 1:
        raise InvalidNetwork(f"{owner} has the dimensions {list(dims)}; every extent must be 1 or more")
    return (batch if batch is not None and batch > 0 else None), dims


def _nodes(protos: Iterable[onnx.NodeProto]) -> tuple[Node, ...]:
    nodes = []
    taken: set[str] = set()
    times: Counter[str] = Counter()  # that a name was found taken
    for proto in protos:
        outputs = tuple(proto.output)
        _check_names(filter(None, (proto.name, proto.op_type, proto.domain, *proto.input, *outputs)))
        base = name = proto.name or next((output for output in outputs if output), proto.op_type)
        while name in taken:
            times[base] += 1
            name = f"{base}_{times[base] + 1}"
        taken.add(name)
        node = Node(name, proto.op_type, tuple(proto.input), outputs, {})
        if proto.domain not in _STANDARD_DOMAINS:
            raise node.unsupported(f"is of the domain '{proto.domain[:80]}'; only ONNX's own operators are read")
        nodes.append(Node(name, node.operator, node.inputs, outputs, _attributes(node, proto.attribute)))
    return tuple(nodes)


def _attributes(node: Node, attributes: Iterable[AttributeProto]) -> Mapping[str, Any]:
    values = {}
    for attribute in attributes:
        _check_names([attribute.name])
        value = _ATTRIBUTE_VALUES.get(attribute.type)
        if value is None or attribute.ref_attr_name:
            raise node.unsupported(
                f"has the attribute '{attribute.name[:80]}' of a kind that is not read "
                "(subgraphs, references, sparse tensors, strings)"
            )
        values[attribute.name] = value(attribute)
        if attribute.type == AttributeProto.TENSOR:
            refuse_external_data(attribute.t, f"{node}, attribute '{attribute.name[:80]}',")
    return values


def _in_order(nodes: tuple[Node, ...], given: set[str]) -> tuple[Node, ...]:
    """The nodes, each after the nodes that it reads; in the file's order if that is one."""
    writers: dict[str, int] = {}
    in_order = True
    for index, node in enumerate(nodes):
        in_order &= all(value in writers or value in given or not value for value in node.inputs)
        for value in filter(None, node.outputs):
            if value in writers or value in given:
                raise node.invalid(f"writes '{value[:80]}', which is written already; every value is written once")
            writers[value] = index
    if in_order:
        return nodes
    for node in nodes:
        for value in node.inputs:
            if value and value not in writers and value not in given:
                raise node.invalid(f"reads '{value[:80]}', which nothing writes")
    reads = {
        index: [writers[value] for value in node.inputs if value in writers] for index, node in enumerate(nodes)
    }  # fmt: skip
    try:
        return tuple(nodes[index] for index in TopologicalSorter(reads).static_order())
    except CycleError as error:
        cycle = ", ".join(str(nodes[index]) for index in error.args[1][:5])
        raise InvalidNetwork(f"a cycle runs through {cycle}; remove the loop") from error
