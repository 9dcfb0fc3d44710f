"""The message that refuses a graph: every node that stands in the way, grouped by cause, and what can be read."""

from __future__ import annotations

from typing import Final

from network.cutting import cut_advice
from network.errors import UnsupportedOperator
from network.onnx_reading.causes import Cause, Obstacle
from network.onnx_reading.patterns import recognised
from network.onnx_reading.translation import Translation

_NAMED: Final = 4
"""Number of nodes of each cause that a refusal names."""


def refusal(translation: Translation, obstacles: tuple[Obstacle, ...]) -> UnsupportedOperator:
    """Return the error that lists obstacles, one sentence for each cause, the most fundamental cause first.

    Args:
        translation: The translation, after its last node.
        obstacles: The obstacles that stand in the way, one or more, in the order of the nodes.
    """
    by_cause: dict[Cause, list[Obstacle]] = {}
    for obstacle in recognised(translation.graph, obstacles):
        by_cause.setdefault(obstacle.cause, []).append(obstacle)
    groups = sorted(by_cause.items(), key=lambda item: list(Cause).index(item[0]))
    sentences = [_sentence(cause, group) for cause, group in groups]
    if len(groups) > 1:
        heading = f"the network cannot be read for {len(groups)} causes"
        listed = "; ".join(f"({number}) {sentence}" for number, sentence in enumerate(sentences, start=1))
        return UnsupportedOperator(f"{heading}: {listed}{_read_before(translation)}")
    only = next(iter(by_cause.values()))
    return UnsupportedOperator((only[0].text if len(only) == 1 else sentences[0]) + _read_before(translation))


def _sentence(cause: Cause, obstacles: list[Obstacle]) -> str:
    """Return one cause with the number of its nodes, the reason of the first node, and the names of the next ones."""
    nodes = "1 node" if len(obstacles) == 1 else f"{len(obstacles)} nodes"
    others = ", ".join(obstacle.owner for obstacle in obstacles[1:_NAMED])
    more = ", ..." if len(obstacles) > _NAMED else ""
    also = f" (also {others}{more})" if others else ""
    return f"{cause.value}, {nodes}: {obstacles[0].text}{also}"


def _read_before(translation: Translation) -> str:
    """Return the end of the message, which says what was read; empty if no layer was read."""
    read = [layer for layer in translation.layers if layer.output not in translation.obstructed_tensors]
    if not read:
        return ""
    layers = "1 layer" if len(read) == 1 else f"{len(read)} layers"
    advice = cut_advice(translation.layers, translation.graph.input_names, obstructed=translation.obstructed_tensors)
    sentences = f". Without these, {layers} can be read, the last of them '{read[-1].name[:80]}'"
    return f"{sentences}. {advice}" if advice else sentences
