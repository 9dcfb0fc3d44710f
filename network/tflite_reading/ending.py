"""End of the network: whether refused operators stand in the way, and what is left to the host behind the last layers.

A refused operator stands in the way if a layer with weights depends on it, or if it has weights or state itself. If
none does, the network ends at the last tensors that can be read, and the host computes the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from network.cutting import cut_advice, has_weights_before
from network.errors import InvalidNetwork, UnsupportedOperator
from network.host_graph import HostRead
from network.host_steps import HostSteps
from network.names import shown
from network.reading_options import MAX_OUTPUTS
from network.tflite_reading.graph import Node
from network.tflite_reading.refusals import BRANCHING, RECURRENT, STATEFUL, refusal_of
from network.tflite_reading.translation import Translation
from network.tflite_reading.views import View

_ALWAYS_IN_THE_WAY: Final = frozenset((*RECURRENT, *STATEFUL, *BRANCHING))
"""Operators with weights or state whatever their inputs are."""

_WITH_WEIGHTS: Final = frozenset((
    "BATCH_MATMUL", "CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "EMBEDDING_LOOKUP", "FULLY_CONNECTED", "GATHER",
    "TRANSPOSE_CONV",
))  # fmt: skip
"""Operators that are layers with weights if one of their parameters is a constant; a GATHER, if its table is."""

WITHOUT_EFFECT: Final = frozenset(("DEQUANTIZE", "QUANTIZE"))
"""Operators that change no real number, so that the host need not compute them."""


@dataclass(frozen=True, slots=True)
class Ending:
    """End of the network.

    Attributes:
        outputs: Names of the network's output tensors, in the order of the file's outputs, without duplicates.
        host_steps: What the host computes, for each output of the file that needs more than a tensor of the network.
    """

    outputs: tuple[str, ...]
    host_steps: tuple[HostSteps, ...]


def ending_of(translation: Translation) -> Ending:
    """Decide where the network ends.

    Args:
        translation: The translation, after its last operator.

    Raises:
        UnsupportedOperator: If refused operators stand in the way; names all that are refused, by cause.
        InvalidNetwork: If an output does not exist, or does not depend on the network's input.
    """
    graph = translation.graph
    if len(graph.outputs) > MAX_OUTPUTS:
        raise UnsupportedOperator(f"the file has {len(graph.outputs)} outputs; expected at most {MAX_OUTPUTS}")
    if _stands_in_the_way(translation):
        advice = cut_advice(translation.layers, translation.inputs)
        raise refusal_of(translation.refusals, len(graph.nodes), advice)
    writers = {output: position for position, node in enumerate(graph.nodes) for output in node.outputs}
    steps = [_host_steps(translation, writers, output) for output in graph.outputs]
    outputs = tuple(
        dict.fromkeys(
            tensor
            for each in steps
            for tensor in each.tensors
            if tensor not in translation.inputs or not each.operators
        )
    )
    if translation.refusals and not has_weights_before(translation.layers, outputs):
        advice = cut_advice(translation.layers, translation.inputs)
        raise refusal_of(translation.refusals, len(graph.nodes), advice)
    return Ending(outputs, tuple(each for each in steps if each.operators))


def read_of(translation: Translation, index: int) -> HostRead | None:
    """Return how the host reads a tensor of the file from the network or the sample; None if operators compute it."""
    value = translation.values.get(index)
    name = translation.name_of(index)
    if index in translation.graph.inputs:
        return HostRead(name, name, translation.tensor(index).dims, is_sample=True)
    if not isinstance(value, View) or index in translation.obstructed or value.after_softmax or value.is_assumed:
        return None
    if value.tensor in translation.inputs:
        if value.is_channels_first != translation.layout_of(value.tensor).is_channels_first:
            return None
        return HostRead(name, value.tensor, value.dims, is_sample=True)
    return HostRead(name, value.tensor, value.dims, channels_last=not value.is_channels_first)


def _stands_in_the_way(translation: Translation) -> bool:
    """Return whether a refused operator has weights, or a layer with weights depends on it."""
    if not translation.refusals:
        return False
    needed: set[int] = set()
    for node in reversed(translation.graph.nodes):
        if _has_weights(translation, node) or not needed.isdisjoint(node.outputs):
            if node.outputs[0] in translation.refused:
                return True
            needed.update(node.inputs)
    return False


def _has_weights(translation: Translation, node: Node) -> bool:
    if node.operator in _ALWAYS_IN_THE_WAY:
        return True
    if not node.operator.startswith("custom") and node.operator not in _WITH_WEIGHTS:
        return False
    given = [index for index in node.inputs if index >= 0]
    parameters = given[:1] if node.operator == "GATHER" else given
    has_constants = any(_is_constant(translation, index) for index in parameters)
    return has_constants and any(not _is_constant(translation, index) for index in given)


def _is_constant(translation: Translation, index: int) -> bool:
    tensor = translation.tensor(index)
    return tensor.data is not None or not isinstance(translation.values.get(index), View | None)


def _host_steps(translation: Translation, writers: Mapping[int, int], output: int) -> HostSteps:
    """Return what the host computes for one output of the file.

    Raises:
        InvalidNetwork: If the output does not exist, or does not depend on the network's input.
    """
    if output not in translation.graph.tensors:
        raise InvalidNetwork(f"the network's output number {output} does not exist; expected a tensor of the file")
    if not isinstance(translation.value(output, "the network's output"), View):
        raise InvalidNetwork(
            f"the network's output '{shown(translation.tensor(output).name)}' is a constant, which does not depend "
            "on the input; expected an output that is computed from the input"
        )
    nodes: set[int] = set()
    tensors: dict[str, None] = {}
    seen, pending = {output}, [output]
    while pending:
        index = pending.pop()
        read = read_of(translation, index)
        if read is not None:
            tensors[read.tensor] = None
        elif index in writers:
            nodes.add(writers[index])
            inputs = translation.graph.nodes[writers[index]].inputs
            more = [
                each for each in inputs if each >= 0 and each not in seen and not _is_constant(translation, each)
            ]  # fmt: skip
            pending.extend(reversed(more))
            seen.update(more)
    names = (translation.graph.nodes[position].operator for position in sorted(nodes))
    operators = tuple(name for name in names if name not in WITHOUT_EFFECT)
    return HostSteps(translation.name_of(output), tuple(tensors), operators)
