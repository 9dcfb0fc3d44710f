"""The graph of a TFLite file as frozen data, without flatbuffers: tensors, operators, inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]
Attribute = int | float | tuple[int, ...]

OPEN = -1
"""Extent of a tensor that depends on an extent of an input which the caller gives."""

SHOWN_LENGTH = 80
"""Largest number of characters of a name in an error message."""


@dataclass(frozen=True, eq=False)
class Quantization:
    """Mapping of the codes of a tensor to real numbers: real = (code - zero point) * scale.

    Attributes:
        scales: Scales, float32 [1], or one for each index along `axis`.
        zero_points: Zero points, int64 of the same length as `scales`, or of length 1.
        axis: Dimension of the tensor to which the scales belong; without meaning for a single scale.
    """

    scales: npt.NDArray[np.float32]
    zero_points: npt.NDArray[np.int64]
    axis: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the file: an activation tensor, or a constant.

    Attributes:
        name: Name in the file; neither unique nor printable in every file.
        dims: Extents, the batch first.
        kind: Name of the element type, e.g. "INT8".
        quantization: Scales and zero points; None if there are none.
        data: Bytes of a constant, little-endian; None for an activation tensor.
        problem: Reason why the reader cannot use the tensor, for an error message; empty if it can.
        buffer: Index of the buffer of the file that has the data; constants with the same data can share one.
        open_axes: Indices of the dimensions behind the batch that the file leaves open.
    """

    name: str
    dims: tuple[int, ...]
    kind: str
    quantization: Quantization | None = None
    data: ByteArray | None = None
    problem: str = ""
    buffer: int = 0
    open_axes: tuple[int, ...] = ()

    def can_have(self, dims: tuple[int, ...]) -> bool:
        """Return whether the file allows these extents, apart from dimensions of extent 1 and their order."""
        return OPEN in self.dims or math.prod(dims) == math.prod(self.dims)

    def has(self, dims: tuple[int, ...]) -> bool:
        """Return whether these are the extents that the file states, whatever stands in place of open ones."""
        return len(dims) == len(self.dims) and all(
            stated in (OPEN, extent) for stated, extent in zip(self.dims, dims, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Node:
    """An operator of the graph.

    Attributes:
        operator: Name of the operator, e.g. "CONV_2D", or "custom operator 'NAME'".
        inputs: Indices of the tensors that it reads; -1 for an optional input that is left out.
        outputs: Indices of the tensors that it writes.
        attributes: Name of each option of the operator -> its value: a number, or a list of whole numbers. Enumerations
            have their number in the schema.
    """

    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Graph:
    """The main subgraph of a file.

    Attributes:
        tensors: Index of each tensor that an operator, the input or an output refers to -> the tensor.
        nodes: The operators in the order of execution.
        inputs: Indices of the tensors that the caller writes.
        outputs: Indices of the tensors that the caller reads.
        size_bytes: Size of the file, in bytes.
    """

    tensors: Mapping[int, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    size_bytes: int

    def needed_nodes(self) -> tuple[Node, ...]:
        """Return the operators on which an output depends, in the order of execution."""
        needed = set(self.outputs)
        kept = []
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        return tuple(reversed(kept))
