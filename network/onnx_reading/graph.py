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


@dataclass(frozen=True, eq=False)
class Graph:
    """The computation graph of a file.

    Attributes:
        opset: Version of the standard operators, from 11, to which older files are converted.
        input: Name of the graph input that becomes the network's input.
        input_dims: Extents of one input sample, without the batch.
        batch: Extent of the batch, 1 or more, if the file fixes it; otherwise None.
        nodes: The nodes, each after the nodes whose values it reads.
        outputs: Names of the graph outputs.
        initializers: Constants by name: tensors of the file that are not decoded yet, or arrays.
        size_bytes: Size of the file in bytes, or of all constants if the graph does not come from a file.
        has_batch: Whether the first dimension of the graph input is the batch.
        other_inputs: Names of further graph inputs that an output depends on.
        sources: Name of a constant that was computed from others before the translation -> name of the constant of the
            file behind it, e.g. of the codes of dequantized weights.
    """

    opset: int
    input: str
    input_dims: tuple[int, ...]
    batch: int | None
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    initializers: Mapping[str, TensorProto | ConstantArray]
    size_bytes: int
    has_batch: bool = True
    other_inputs: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    def without_batch(self) -> Graph | None:
        """Return the graph with the first dimension of its input as a part of the sample.

        Returns:
            The graph; None if the input has no fixed extent above 1 in its first dimension.
        """
        if not self.has_batch or self.batch in (None, 1):
            return None
        return replace(self, input_dims=(self.batch, *self.input_dims), batch=1, has_batch=False)

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
