"""Decomposition of a network into blocks of layers, whose weights are rounded together (BRECQ, arXiv 2102.05426).

The network is cut (`|`) behind every layer whose output is the only tensor that later layers read:

    stem | conv conv add | conv conv conv add | pool | dense

The reconstruction of a block considers the errors that a residual branch adds, that of a single layer does not
(section 3.2). A block with many layers learns slower than its layers one by one and is split into single layers; a
densely connected network is one such block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from network.layers import WeightLayer
from network.network import Network

MAX_WEIGHT_LAYERS: Final = 8
"""Largest number of layers with weights in a block of layers; a larger block is split into single layers."""


@dataclass(frozen=True, slots=True)
class Block:
    """Block of consecutive layers in schedule order; later layers read only one of the tensors that the block writes.

    Attributes:
        first: Index of the first layer, from 0.
        end: Index of the last layer plus one.
        sources: Names of the tensors that the block reads and earlier layers, or the network's input, provide.
        output: Name of the tensor that the last layer writes.
    """

    first: int
    end: int
    sources: tuple[str, ...]
    output: str

    @property
    def indices(self) -> range:
        """Indices of the block's layers in schedule order, ascending."""
        return range(self.first, self.end)


def blocks_of(network: Network) -> list[Block]:
    """Return the blocks of a network that contain layers with weights, in schedule order.

    Every layer with weights is in exactly one block.

    Args:
        network: The network, with its layers in schedule order.
    """
    found: list[Block] = []
    first = 0
    for index in range(len(network.layers)):
        if _is_only_source_of_later_layers(network, index):
            found += _blocks_between(network, first, index + 1)
            first = index + 1
    return found


def _is_only_source_of_later_layers(network: Network, index: int) -> bool:
    """Return whether later layers read, of all tensors that are written up to this layer, only this layer's output."""
    later = network.layers[index + 1 :]
    output = network.layers[index].output
    written = {layer.output for layer in later} | {output}
    return all(tensor in written for layer in later for tensor in layer.inputs)


def _blocks_between(network: Network, first: int, end: int) -> list[Block]:
    layers = network.layers[first:end]
    weighted = [index for index in range(first, end) if isinstance(network.layers[index], WeightLayer)]
    has_inner_output = any(layer.output in network.outputs for layer in layers[:-1])
    if len(weighted) > MAX_WEIGHT_LAYERS or has_inner_output:
        return [_block(network, index, index + 1) for index in weighted]
    return [_block(network, first, end)] if weighted else []


def _block(network: Network, first: int, end: int) -> Block:
    layers = network.layers[first:end]
    written = {layer.output for layer in layers}
    read = dict.fromkeys(tensor for layer in layers for tensor in layer.inputs)
    return Block(first, end, tuple(tensor for tensor in read if tensor not in written), layers[-1].output)
