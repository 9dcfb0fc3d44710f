"""Recognition of layers that a file has as several nodes: layer normalization, attention, channel shuffles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from network.onnx_reading.causes import Cause, Obstacle
from network.onnx_reading.graph import Graph, Node

_MEANS: Final = frozenset(("GlobalAveragePool", "ReduceMean"))
_SQUARES: Final = frozenset(("Mul", "Pow"))
_SCALES_AND_MOVES: Final = frozenset((
    "Add", "Cast", "Div", "Dropout", "Identity", "Mul", "Reshape", "Squeeze", "Transpose", "Unsqueeze", "Where",
))  # fmt: skip
_PRODUCTS: Final = frozenset(("Einsum", "MatMul"))
_MAX_STEPS: Final = 6
"""Largest number of nodes between the product and the softmax of an attention."""


def recognised(graph: Graph, obstacles: tuple[Obstacle, ...]) -> list[Obstacle]:
    """Replace the obstacles that are pieces of one known layer by one obstacle that names this layer.

    Args:
        graph: The graph of nodes.
        obstacles: The obstacles, in the order of the nodes.

    Returns:
        The obstacles; one that stands for pieces has the position of its first piece.
    """
    patterns = _Patterns(graph, frozenset(obstacle.owner for obstacle in obstacles))
    replaced: dict[str, Obstacle] = {}
    for whole, pieces in patterns.found():
        replaced |= {str(piece): whole for piece in pieces if str(piece) not in replaced}
    return list(dict.fromkeys(replaced.get(obstacle.owner, obstacle) for obstacle in obstacles))


@dataclass(frozen=True, eq=False)
class _Patterns:
    """Search for layers in pieces.

    Attributes:
        graph: The graph of nodes.
        owners: The nodes that are obstacles, as text.
    """

    graph: Graph
    owners: frozenset[str]

    def found(self) -> Iterator[tuple[Obstacle, tuple[Node, ...]]]:
        """Yield each layer in pieces with its nodes."""
        writers = {name: node for node in self.graph.nodes for name in node.outputs}
        readers: dict[str, list[Node]] = {}
        for node in self.graph.nodes:
            for name in dict.fromkeys(node.reads):
                readers.setdefault(name, []).append(node)
        shuffles: dict[str, Obstacle] = {}
        for node in self.graph.nodes:
            if node.operator == "Sqrt":
                yield from self._normalization(node, writers, readers)
            elif node.operator == "Softmax":
                yield from self._attention(node, writers, readers)
            elif str(node) in self.owners:
                for whole, pieces in self._shuffle(node, writers):
                    yield shuffles.setdefault(whole.owner, whole), pieces

    def _normalization(
        self, root: Node, writers: dict[str, Node], readers: dict[str, list[Node]]
    ) -> Iterator[tuple[Obstacle, tuple[Node, ...]]]:
        """Yield (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) around a square root."""
        added = _writer(root, writers, {"Add"})
        variance = _writer(added, writers, _MEANS) if added else None
        square = _writer(variance, writers, _SQUARES) if variance else None
        centred = _writer(square, writers, {"Sub"}) if square else None
        mean = _writer(centred, writers, _MEANS) if centred else None
        if not (added and variance and square and centred and mean):
            return
        divided = [node for name in root.outputs for node in readers.get(name, ())]
        pieces = (mean, centred, square, variance, added, root, *divided)
        text = (
            f"{mean} to {divided[0] if divided else root} are a normalization in {len(pieces)} pieces; it computes its "
            "statistics from each sample: use batch norm instead, which is folded into the weights"
        )
        yield Obstacle(str(mean), Cause.NORMALIZATION, text), pieces

    def _attention(
        self, softmax: Node, writers: dict[str, Node], readers: dict[str, list[Node]]
    ) -> Iterator[tuple[Obstacle, tuple[Node, ...]]]:
        """Yield softmax(q k) v around a softmax, with scalings, masks and moves of dimensions between."""
        before = [softmax]
        while before[-1].operator not in _PRODUCTS and len(before) < _MAX_STEPS:
            previous = _writer(before[-1], writers, _SCALES_AND_MOVES | _PRODUCTS)
            if previous is None:
                return
            before.append(previous)
        behind = [softmax]
        while behind[-1].operator not in _PRODUCTS and len(behind) < _MAX_STEPS:
            following = [node for name in behind[-1].outputs for node in readers.get(name, ())]
            if len(following) != 1 or following[0].operator not in _SCALES_AND_MOVES | _PRODUCTS:
                return
            behind.append(following[0])
        first, last = before[-1], behind[-1]
        if first.operator in _PRODUCTS and last.operator in _PRODUCTS and str(first) in self.owners:
            text = f"{first} to {last} are an attention; attention layers are not supported: use convolutions"
            yield Obstacle(str(first), Cause.ATTENTION, text), (*before, *behind)

    def _shuffle(self, node: Node, writers: dict[str, Node]) -> Iterator[tuple[Obstacle, tuple[Node, ...]]]:
        """Yield Reshape, Transpose, Reshape in front of a node that requires an image."""
        last = _writer(node, writers, {"Reshape"})
        copied = _writer(last, writers, {"Identity"}) if last else None  # torch copies a tensor before it reshapes it
        middle = _writer(copied or last, writers, {"Transpose"}) if last else None
        first = _writer(middle, writers, {"Reshape"}) if middle else None
        if last and middle and first:
            text = (
                f"{first} to {last} are a channel shuffle, whose result {node} reads; no layer moves channels: remove "
                "the shuffle, or reorder the weights of the next convolution"
            )
            yield Obstacle(str(first), Cause.SHUFFLE, text), (first, middle, last, node)


def _writer(node: Node, writers: dict[str, Node], operators: frozenset[str] | set[str]) -> Node | None:
    """Return the first node with one of the operators that writes an input of a node."""
    written = (writers.get(name) for name in node.inputs)
    return next((each for each in written if each is not None and each.operator in operators), None)
