"""The computation graph of a file, as plain Python data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from onnx import AttributeProto, TensorProto

from network.errors import InvalidNetwork
from network.onnx_reading.causes import Cause, UnsupportedNode
from network.onnx_reading.tensors import ConstantArray
from network.reading_options import unknown_output

UNREADABLE: Final = object()
"""Value of an attribute that is a subgraph, a reference, a sparse tensor or a list of strings."""


@dataclass(frozen=True, eq=False)
class Node:
    """One node of the graph.

    Attributes:
        name: Unique name of the node; the name of its first output if the file does not name it.
        operator: ONNX name of the operator, e.g. "Conv".
        inputs: Names of the values that the node reads; "" for an optional input that is left out.
        outputs: Names of the values that the node writes.
        attributes: Attribute values by name; each is an int, float, str, TensorProto, a tuple of int or float, or
            `UNREADABLE`.
        domain: Domain of the operator; empty for the ONNX standard.
        captured: Names of the values of the graph that the node's subgraphs read.
        unread_attributes: Attributes of the file whose value is `UNREADABLE`, for a node that the host computes.
        refusal: Error for which the node cannot be read, if the reader of another format knows it already; else None.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    domain: str = field(default="", kw_only=True)
    captured: tuple[str, ...] = field(default=(), kw_only=True)
    unread_attributes: tuple[AttributeProto, ...] = field(default=(), kw_only=True)
    refusal: UnsupportedNode | None = field(default=None, kw_only=True)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of all values that the node needs, without inputs that are left out."""
        return (*filter(None, self.inputs), *self.captured)

    def __str__(self) -> str:
        return f"node '{self.name[:80]}' ({self.operator[:40]})"

    def unsupported(self, what: str, cause: Cause = Cause.FORM) -> UnsupportedNode:
        """Return the error for a node that is valid ONNX but not supported; `what` follows the node in the message."""
        return UnsupportedNode(f"{self} {what}", cause)

    def invalid(self, what: str) -> InvalidNetwork:
        """Return the error for a node that contradicts itself or its inputs; `what` follows the node in the message."""
        return InvalidNetwork(f"{self} {what}")


@dataclass(frozen=True, slots=True)
class GraphInput:
    """Input of the graph that becomes an input of the network.

    Attributes:
        name: Name of the value.
        dims: Extents of one sample, without the batch.
        batch: Extent of the batch, 1 or more, if the file fixes it or there is no batch; otherwise None.
        has_batch: Whether the first dimension of the value is the batch.
    """

    name: str
    dims: tuple[int, ...]
    batch: int | None
    has_batch: bool = True

    def without_batch(self) -> GraphInput:
        """Return the same input, with a first dimension of a fixed extent above 1 as a part of the sample."""
        if self.batch is None or self.batch == 1:
            return self
        return GraphInput(self.name, (self.batch, *self.dims), batch=1, has_batch=False)


@dataclass(frozen=True, eq=False)
class Graph:
    """The computation graph of a file.

    Attributes:
        opset: Version of the standard operators, from 11, to which older files are converted.
        inputs: The graph inputs that become the network's inputs, one or more.
        nodes: The nodes, each after the nodes whose values it reads.
        outputs: Names of the graph outputs.
        initializers: Constants by name: tensors of the file that are not decoded yet, or arrays.
        size_bytes: Size of the file in bytes, or of all constants if the graph does not come from a file.
        unreadable_inputs: Name of each further graph input that cannot be read, although an output depends on it -> the
            reason.
        sources: Name of a constant that was computed from others before the translation -> name of the constant of the
            file behind it, e.g. of the codes of dequantized weights.
    """

    opset: int
    inputs: tuple[GraphInput, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    initializers: Mapping[str, TensorProto | ConstantArray]
    size_bytes: int
    unreadable_inputs: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def batch(self) -> int | None:
        """Extent of the batch, 1 or more, if the file fixes it for an input; otherwise None."""
        return next((each.batch for each in self.inputs if each.batch is not None), None)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the graph inputs that become the network's inputs."""
        return tuple(each.name for each in self.inputs)

    def without_batch(self) -> Graph | None:
        """Return the graph with the first dimension of its inputs as a part of the sample.

        Returns:
            The graph; None if the inputs have no fixed extent above 1 in their first dimension.
        """
        if self.batch is None or self.batch == 1:
            return None
        return replace(self, inputs=tuple(each.without_batch() for each in self.inputs))

    def ended_at(self, outputs: tuple[str, ...]) -> Graph:
        """Return the graph with other values as its outputs; the same graph if none is named.

        Args:
            outputs: Names of the values.

        Raises:
            RequestError: If no node writes one of the values.
        """
        if not outputs:
            return self
        written = {name: None for node in reversed(self.nodes) for name in node.outputs}
        for name in outputs:
            if name not in written:
                raise unknown_output(name, written, self.outputs)
        return replace(self, outputs=outputs)


def needed_nodes(nodes: tuple[Node, ...], outputs: tuple[str, ...]) -> tuple[Node, ...]:
    """Return the nodes on which an output of the graph depends, in the same order.

    Args:
        nodes: The nodes, each after the nodes that it reads.
        outputs: Names of the graph outputs.
    """
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.reads)
            kept.append(node)
    return tuple(reversed(kept))
