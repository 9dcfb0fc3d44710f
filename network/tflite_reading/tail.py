"""Operators behind the end of the network, as the graph that the host computes, in ONNX operators of real numbers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy.typing as npt
from onnx import NodeProto

from network.errors import NetworkError
from network.host_graph import HostGraph, HostRead
from network.host_model import host_graph
from network.tflite_reading.ending import read_of
from network.tflite_reading.host_operators import OPERATORS
from network.tflite_reading.host_writer import HostWriter
from network.tflite_reading.translation import Translation
from network.tflite_reading.views import View

_OPSET: Final = 17
"""Version of the ONNX operators of the host graph."""


def host_graph_of(translation: Translation, inputs: Collection[str]) -> HostGraph | None:
    """Return the graph that the host computes for the outputs of the file.

    Args:
        translation: The translation, after its last operator, of a file that `ending` has accepted.
        inputs: Names of the network's inputs.

    Returns:
        The graph; None if it is too large, if the host needs an input that the network does not read, or if an operator
        has no form in ONNX operators here.
    """
    tail = _Tail(translation)
    try:
        for output in translation.graph.outputs:
            tail.need(output)
        nodes = tail.nodes()
    except (NetworkError, LookupError, OverflowError, ValueError, TypeError):
        return None
    if any(read.is_sample and read.tensor not in inputs for read in tail.reads.values()):
        return None
    outputs = tuple(map(translation.name_of, translation.graph.outputs))
    return host_graph(tail.reads.values(), nodes, tail.constants, outputs, _OPSET)


class _Tail:
    """State of the collection of the operators of the host.

    Args:
        translation: The translation.

    Attributes:
        reads: Value that is read from the network, by the index of its tensor in the file.
        constants: Constants that the nodes read, by name.
    """

    def __init__(self, translation: Translation) -> None:
        self.reads: dict[int, HostRead] = {}
        self.constants: dict[str, npt.NDArray[Any]] = {}
        self._translation = translation
        self._writers = {
            output: position for position, node in enumerate(translation.graph.nodes) for output in node.outputs
        }
        self._positions: set[int] = set()
        self._seen: set[int] = set()

    def need(self, index: int) -> None:
        """Collect what a tensor of the file depends on, up to the tensors of the network.

        Raises:
            LookupError: If no operator writes the tensor.
            NetworkError: If a constant cannot be decoded.
        """
        pending = [index]
        while pending:
            index = pending.pop()
            if index < 0 or index in self._seen:
                continue
            self._seen.add(index)
            read = read_of(self._translation, index)
            constant = None if read else self._constant(index)
            if read is not None:
                self.reads[index] = read
            elif constant is not None:
                self.constants[self._translation.name_of(index)] = constant
            else:
                self._positions.add(self._writers[index])
                pending.extend(reversed(self._translation.graph.nodes[self._writers[index]].inputs))

    def nodes(self) -> list[NodeProto]:
        """Return the ONNX nodes of all operators that were collected.

        Raises:
            LookupError: If an operator has no form in ONNX operators.
        """
        written: list[NodeProto] = []
        for position in sorted(self._positions):
            node = self._translation.graph.nodes[position]
            OPERATORS[node.operator](HostWriter(self._translation, node, written, self.constants))
        return written

    def _constant(self, index: int) -> npt.NDArray[Any] | None:
        tensor, value = self._translation.tensor(index), self._translation.values.get(index)
        if value is None and tensor.data is not None:
            value = self._translation.value(index, "the host")
        return None if value is None or isinstance(value, View) else value
