"""Order of a network's layers in which each layer reads only tensors that are written before it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Final

from network.errors import InvalidNetwork
from network.layers import Layer

_SHOWN_OF_CYCLE: Final = 5
"""Number of layers of a cycle that its error message names."""


def in_schedule_order(layers: Iterable[Layer], given: Iterable[str]) -> tuple[Layer, ...]:
    """Sort the layers of a network so that each reads only tensors that are written before it.

    Of the layers whose inputs are all written, the one that is first in the given order comes next. A given order that
    is valid is therefore kept.

    Args:
        layers: The layers in any order.
        given: Names of the tensors that exist before the first layer: the network's inputs.

    Raises:
        InvalidNetwork: if a tensor is written by no layer or by two, or if layers form a cycle; names the layers.
    """
    layers = tuple(layers)
    writers = _writers(layers)
    known = set(given)
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for index, layer in enumerate(layers):
        sorter.add(index)
        for tensor in layer.inputs:
            if tensor in writers:
                sorter.add(index, writers[tensor])
            elif tensor not in known:
                raise InvalidNetwork(
                    f"layer '{layer.name}' reads tensor '{tensor}', which no layer writes; correct the name"
                )
    try:
        sorter.prepare()
    except CycleError as error:
        raise _cycle([layers[index] for index in error.args[1]]) from None
    ready: list[int] = []
    ordered = []
    while sorter.is_active():
        for index in sorter.get_ready():
            heapq.heappush(ready, index)
        first = heapq.heappop(ready)
        ordered.append(layers[first])
        sorter.done(first)
    return tuple(ordered)


def _writers(layers: tuple[Layer, ...]) -> dict[str, int]:
    """Return, for each tensor, the index of the layer that writes it."""
    writers: dict[str, int] = {}
    for index, layer in enumerate(layers):
        earlier = writers.setdefault(layer.output, index)
        if earlier != index:
            raise InvalidNetwork(
                f"tensor '{layer.output}' is written twice, by layer '{layers[earlier].name}' "
                f"and by layer '{layer.name}'; rename one of the two outputs"
            )
    return writers


def _cycle(layers: list[Layer]) -> InvalidNetwork:
    """Return the error for layers that form a cycle.

    Args:
        layers: The layers of the cycle; each writes a tensor that the next one reads, and the last is the first.
    """
    shown = [f"'{layer.name}'" for layer in layers[:-1][:_SHOWN_OF_CYCLE]]
    left_out = ["..."] if len(layers) - 1 > _SHOWN_OF_CYCLE else []
    path = " -> ".join([*shown, *left_out, shown[0]])
    return InvalidNetwork(f"layer {shown[0]} is on a cycle: {path}; expected that no layer depends on its own output")
