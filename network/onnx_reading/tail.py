"""Nodes behind the end of the network, as the graph that the host computes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper

from network.errors import NetworkError
from network.host_graph import HostGraph, HostRead
from network.host_model import host_graph
from network.onnx_reading.ending import is_tensor_of_network
from network.onnx_reading.graph import UNREADABLE, Node
from network.onnx_reading.tensors import to_array
from network.onnx_reading.translation import BATCH, Translation
from network.onnx_reading.views import View


def host_graph_of(translation: Translation, inputs: Collection[str]) -> HostGraph | None:
    """Return the graph that the host computes for the outputs of the file.

    Args:
        translation: The translation, after its last node, of a graph that `ending` has accepted.
        inputs: Names of the network's inputs.

    Returns:
        The graph; None if it is too large, if the file computes batches of a fixed extent above 1, if the host needs an
        input that the network does not read, or if a constant or attribute of a node cannot be stored.
    """
    graph = translation.graph
    if any(each.has_batch and each.batch not in (None, 1) for each in graph.inputs):
        return None
    writers = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    reads: dict[str, HostRead] = {}
    constants: dict[str, npt.NDArray[Any]] = {}
    needed: set[int] = set()
    seen, pending = set(graph.outputs), list(reversed(graph.outputs))
    try:
        while pending:
            name = pending.pop()
            read = _read_of(translation, name)
            constant = None if read else _constant(translation, name)
            if read is not None and read.is_sample and read.tensor not in inputs:
                return None
            if read is not None:
                reads[name] = read
            elif constant is not None:
                constants[name] = constant
            elif name not in writers:
                return None
            else:
                needed.add(writers[name])
                more = [each for each in graph.nodes[writers[name]].reads if each not in seen]
                seen.update(more)
                pending.extend(reversed(more))
        nodes = [_proto(graph.nodes[index]) for index in sorted(needed)]
    except (NetworkError, TypeError, ValueError):
        return None
    return host_graph(reads.values(), nodes, constants, graph.outputs, graph.opset)


def _read_of(translation: Translation, name: str) -> HostRead | None:
    """Return how a value is read from a tensor of the network or from the sample; None if nodes compute the value."""
    graph, value = translation.graph, translation.values.get(name)
    if isinstance(value, View) and is_tensor_of_network(translation, value):
        dims = value.dims if value.without_batch else (1, *value.dims)
        return HostRead(name, value.tensor, dims, is_sample=value.tensor in graph.input_names)
    given = next((each for each in graph.inputs if each.name == name), None)
    if given is None:
        return None
    return HostRead(name, name, (1, *given.dims) if given.has_batch else given.dims, is_sample=True)


def _constant(translation: Translation, name: str) -> npt.NDArray[Any] | None:
    """Return a constant of the file or computed from constants, with a batch of 1; None if it is not known."""
    value = translation.values.get(name)
    if value is None and name in translation.graph.initializers:
        given = translation.graph.initializers[name]
        value = to_array(given, f"initializer '{name[:80]}'") if isinstance(given, TensorProto) else given
    if not isinstance(value, np.ndarray):
        return None
    return np.where(value == BATCH, np.ones_like(value), value) if value.dtype == np.int64 else value


def _proto(node: Node) -> NodeProto:
    """Return a node of the graph as the ONNX message.

    Raises:
        ValueError, TypeError: If the onnx library cannot store an attribute.
    """
    proto = NodeProto(
        name=node.name, op_type=node.operator, domain=node.domain, input=node.inputs, output=node.outputs
    )  # fmt: skip
    for name, value in node.attributes.items():
        if value is not UNREADABLE:
            proto.attribute.append(helper.make_attribute(name, value))
    proto.attribute.extend(node.unread_attributes)
    known = set(node.attributes)
    if {each.name for each in proto.attribute} != known:
        raise ValueError(f"{node} has an attribute that cannot be stored")
    return proto
