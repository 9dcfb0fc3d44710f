"""Builder of the ONNX model of a host graph: nodes and constants of a file, with floating-point numbers as float32."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from network.host_graph import MAX_HOST_GRAPH_BYTES, MAX_HOST_RANK, MAX_HOST_READS, HostGraph, HostRead

_FLOATING: Final = frozenset({TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})

_GRAPH_NAME: Final = "host"


def host_graph(
    reads: Iterable[HostRead],
    nodes: list[NodeProto],
    constants: Mapping[str, npt.NDArray[Any]],
    outputs: tuple[str, ...],
    opset: int,
) -> HostGraph | None:
    """Return the host graph of nodes.

    Args:
        reads: Values that the nodes read from the network, and outputs of the file that are tensors of the network.
        nodes: The ONNX nodes, each after the nodes that it reads.
        constants: Constants that the nodes read, by name.
        outputs: Names of the outputs of the file.
        opset: Version of the standard operators.

    Returns:
        The host graph; None if its model or its list of reads is too large, or if a tensor inside a node refers to
        another file.
    """
    reads = tuple(reads)
    if len(reads) > MAX_HOST_READS or any(len(read.dims) > MAX_HOST_RANK for read in reads):
        return None
    if not nodes:
        return HostGraph(reads, outputs)
    if sum(values.nbytes for values in constants.values()) > MAX_HOST_GRAPH_BYTES or any(map(_is_incomplete, nodes)):
        return None
    written = {name for node in nodes for name in node.output}
    read_by_nodes = {name for node in nodes for name in _reads(node)}
    graph = helper.make_graph(
        [_in_float32(node) for node in nodes],
        _GRAPH_NAME,
        [
            helper.make_tensor_value_info(read.value, TensorProto.FLOAT, read.dims)
            for read in reads
            if read.value in read_by_nodes
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs if name in written],
        [numpy_helper.from_array(_as_float32(values), name) for name, values in constants.items()],
    )
    domains = sorted({node.domain for node in nodes} - {""})
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = helper.find_min_ir_version_for(imports, ignore_unknown=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return HostGraph(reads, outputs, content) if len(content) <= MAX_HOST_GRAPH_BYTES else None


def parsed_host_model(content: bytes) -> onnx.ModelProto | None:
    """Return the ONNX model of a host graph from an untrusted description.

    Args:
        content: Bytes of the serialized model.

    Returns:
        The model; None if the bytes are not a model, or if the model has functions or refers to other files.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, UnicodeDecodeError):
        return None
    holder = AttributeProto(g=model.graph)
    if model.functions or any(map(_is_outside, _tensors([holder]))):
        return None
    return model


def _in_float32(node: NodeProto) -> NodeProto:
    """Return a node whose conversions to other floating-point types are conversions to float32."""
    if node.op_type == "Cast" and not node.domain:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i in _FLOATING:
                attribute.i = TensorProto.FLOAT
    return node


def _as_float32(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def _is_outside(tensor: TensorProto) -> bool:
    return bool(tensor.external_data) or tensor.data_location == TensorProto.EXTERNAL


def _is_incomplete(node: NodeProto) -> bool:
    return any(map(_is_outside, _tensors(node.attribute)))


def _subgraphs(attributes: Iterable[AttributeProto]) -> Iterator[GraphProto]:
    pending = [graph for attribute in attributes for graph in (attribute.g, *attribute.graphs)]
    while pending:
        graph = pending.pop()
        yield graph
        inner = [each for node in graph.node for each in node.attribute]
        pending += [each for attribute in inner for each in (attribute.g, *attribute.graphs) if each.ByteSize()]


def _tensors(attributes: Iterable[AttributeProto]) -> Iterator[TensorProto]:
    """Yield all tensors in attributes and in the subgraphs of attributes."""
    attributes = list(attributes)
    graphs = list(_subgraphs(attributes))
    inner = [each for graph in graphs for node in graph.node for each in node.attribute]
    for attribute in (*attributes, *inner):
        yield attribute.t
        yield from attribute.tensors
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield sparse.values
            yield sparse.indices
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices


def _reads(node: NodeProto) -> Iterator[str]:
    """Yield the names that a node and its subgraphs read, and perhaps names that a subgraph writes."""
    yield from node.input
    for graph in _subgraphs(node.attribute):
        yield from (value.name for value in graph.output)
        for inner in graph.node:
            yield from inner.input
