"""End of the network: what stands in the way of reading a graph, and what is left to the host behind its last layers.

A node that cannot be read stands in the way if a layer with weights depends on it, or if it has weights itself. If no
such node stands in the way, the network ends at the last tensors that can be read, and the host computes the rest: a
final sigmoid, box decoding, joined heads, slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from network.cutting import has_weights_before
from network.errors import InvalidNetwork, UnsupportedOperator
from network.host_steps import HostSteps
from network.onnx_reading.causes import Obstacle, Unknown
from network.onnx_reading.graph import Node
from network.onnx_reading.refusal import refusal
from network.onnx_reading.translation import Translation
from network.onnx_reading.views import View
from network.reading_options import MAX_OUTPUTS

_RECURRENT: Final = frozenset(("GRU", "LSTM", "RNN", "Loop", "Scan"))
"""Operators that are layers with weights whatever their inputs are."""

_WITH_WEIGHTS: Final = frozenset((
    "Attention", "BatchNormalization", "Conv", "ConvInteger", "ConvTranspose", "Einsum", "Gather", "Gemm",
    "GroupNormalization", "InstanceNormalization", "LayerNormalization", "MatMul", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "RMSNormalization",
))  # fmt: skip
"""Operators that are layers with weights if one of their parameters is a constant; a Gather, if its table is."""

_WITHOUT_EFFECT: Final = frozenset(("Dropout", "Identity"))
"""Operators that the host need not compute."""


@dataclass(frozen=True, slots=True)
class Ending:
    """End of the network.

    Attributes:
        outputs: Names of the network's output tensors, in the order of the graph's outputs, without duplicates.
        host_steps: What the host computes, for each output of the graph that needs more than a tensor of the network.
        is_cut: Whether nodes that cannot be read were left to the host.
    """

    outputs: tuple[str, ...]
    host_steps: tuple[HostSteps, ...]
    is_cut: bool


def ending_of(translation: Translation) -> Ending:
    """Decide where the network ends.

    Args:
        translation: The translation, after its last node.

    Raises:
        UnsupportedOperator: If nodes that cannot be read stand in the way; names all of them, by cause.
        InvalidNetwork: If an output of the graph does not depend on the network's input.
    """
    graph = translation.graph
    if len(graph.outputs) > MAX_OUTPUTS:
        raise UnsupportedOperator(f"the graph has {len(graph.outputs)} outputs; expected at most {MAX_OUTPUTS}")
    in_the_way = _in_the_way(translation)
    if in_the_way:
        raise refusal(translation, in_the_way)
    writers = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    steps = [_host_steps(translation, writers, output) for output in graph.outputs]
    outputs = tuple(
        dict.fromkeys(
            tensor
            for each in steps
            for tensor in each.tensors
            if tensor in translation.shapes and (tensor not in graph.input_names or not each.operators)
        )
    )
    if translation.obstacles and not has_weights_before(translation.layers, outputs):
        raise refusal(translation, tuple(translation.obstacles.values()))
    return Ending(outputs, tuple(each for each in steps if each.operators), is_cut=bool(translation.obstacles))


def _in_the_way(translation: Translation) -> tuple[Obstacle, ...]:
    """Return the obstacles that have weights or on which a layer with weights depends, in the order of the nodes."""
    obstacles = translation.obstacles
    if not obstacles:
        return ()
    needed: set[str] = set()
    found = []
    for node in reversed(translation.graph.nodes):
        if _has_weights(translation, node) or not needed.isdisjoint(node.outputs):
            needed.update(node.reads)
            if node.name in obstacles:
                found.append(obstacles[node.name])
    if not needed.isdisjoint(translation.graph.unreadable_inputs):
        found.append(obstacles[""])
    return tuple(reversed(found))


def _has_weights(translation: Translation, node: Node) -> bool:
    if node.operator in _RECURRENT:
        return True
    if not node.domain and node.operator not in _WITH_WEIGHTS:
        return False
    parameters = node.inputs[:1] if node.operator == "Gather" else node.inputs
    has_constants = any(_is_constant(translation, name) for name in parameters if name)
    return has_constants and any(not _is_constant(translation, name) for name in node.inputs if name)


def _is_constant(translation: Translation, name: str) -> bool:
    value = translation.values.get(name)
    if isinstance(value, Unknown):
        return value.is_constant
    return not isinstance(value, View) and (value is not None or name in translation.graph.initializers)


def is_tensor_of_network(translation: Translation, view: View) -> bool:
    """Return whether a view is a tensor that the network computes, in its own order, so that the host may read it."""
    return view.tensor not in translation.obstructed_tensors and view.is_contiguous and not view.after_softmax


def _host_steps(translation: Translation, writers: Mapping[str, int], output: str) -> HostSteps:
    """Return what the host computes for one output of the graph.

    Args:
        translation: The translation, after its last node.
        writers: Index of the node that writes each value of the graph.
        output: Name of the output.

    Raises:
        InvalidNetwork: If the output does not depend on the network's input.
    """
    if output not in translation.values:
        translation.value(output, "the network's output")
    if _is_constant(translation, output):
        raise InvalidNetwork(
            f"the network's output '{output[:80]}' is a constant, which does not depend on the input; "
            "expected an output that is computed from the input: remove the constant from the graph's outputs"
        )
    nodes: set[int] = set()
    tensors: dict[str, None] = {}
    seen, pending = {output}, [output]
    while pending:
        name = pending.pop()
        value = translation.values.get(name)
        if isinstance(value, View) and is_tensor_of_network(translation, value):
            tensors[value.tensor] = None
            continue
        if name in translation.graph.input_names or name in translation.graph.unreadable_inputs:
            tensors[name] = None
            continue
        nodes.add(writers[name])
        read = [each for each in translation.graph.nodes[writers[name]].reads if not _is_constant(translation, each)]
        pending.extend(each for each in reversed(read) if each not in seen)
        seen.update(read)
    names = (translation.graph.nodes[index].operator for index in sorted(nodes))
    operators = tuple(name for name in names if name not in _WITHOUT_EFFECT)
    return HostSteps(output, tuple(tensors), operators)
