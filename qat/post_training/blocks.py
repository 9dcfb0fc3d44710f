"""What is reconstructed at a time: the blocks of a network, from one tensor that everything passes through to the next.

    stem | conv conv add | conv conv conv add | pool | dense        | where one tensor alone goes on

A layer by itself knows nothing of the errors that a residual branch adds to its own; a block does (BRECQ,
arXiv 2102.05426, section 3.2). A block with many layers (all of a densely connected network is one) learns slower than
its layers one by one, and is taken apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from network.layers import WeightLayer
from network.network import Network

MOST_WEIGHT_LAYERS: Final = 8
"""Of a block that is kept together."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Layers that follow each other in the schedule and write one tensor for the layers behind them.

    Attributes:
        first: the index of the first layer.
        end: the index behind the last layer.
        sources: the tensors of the layers before that it reads.
        output: the tensor that it writes.
    """

    first: int
    end: int
    sources: tuple[str, ...]
    output: str

    @property
    def indices(self) -> range:
        """The indices of its layers."""
        return range(self.first, self.end)


def units_of(network: Network) -> list[Unit]:
    """The units that hold weights, in schedule order; every layer with weights is in one of them."""
    found: list[Unit] = []
    first = 0
    for index in range(len(network.layers)):
        if _everything_passes(network, index):
            found += _units_between(network, first, index + 1)
            first = index + 1
    return found


def _everything_passes(network: Network, index: int) -> bool:
    """Whatever runs later reads nothing older than this layer's output."""
    later = network.layers[index + 1 :]
    output = network.layers[index].output
    written = {layer.output for layer in later} | {output}
    return all(tensor in written for layer in later for tensor in layer.inputs)


def _units_between(network: Network, first: int, end: int) -> list[Unit]:
    layers = network.layers[first:end]
    weighted = [index for index in range(first, end) if isinstance(network.layers[index], WeightLayer)]
    leaves_early = any(layer.output in network.outputs for layer in layers[:-1])
    if len(weighted) > MOST_WEIGHT_LAYERS or leaves_early:
        return [_unit(network, index, index + 1) for index in weighted]
    return [_unit(network, first, end)] if weighted else []


def _unit(network: Network, first: int, end: int) -> Unit:
    layers = network.layers[first:end]
    own = {layer.output for layer in layers}
    read = dict.fromkeys(tensor for layer in layers for tensor in layer.inputs)
    return Unit(first, end, tuple(tensor for tensor in read if tensor not in own), layers[-1].output)
