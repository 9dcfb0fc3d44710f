"""Running a network's layers in torch, and letting go of each tensor after its last reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from network.live_ranges import live_ranges_of
from network.network import Network

T = TypeVar("T")


class Schedule:
    """The order in which layers run."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def run(self, given: T, step: Callable[[int, Sequence[T]], T], *, keep_all: bool = False) -> dict[str, T]:
        """Run every layer.

        Args:
            given: the network's input tensor.
            step: from a layer's index and its inputs to its output.
            keep_all: return every tensor, not the network's outputs alone.
        """
        network = self.network
        wanted = network.tensors if keep_all else network.outputs
        return run_between(network, {network.input: given}, range(len(network.layers)), wanted, step)


def run_between(
    network: Network,
    given: Mapping[str, T],
    indices: range,
    wanted: Iterable[str],
    step: Callable[[int, Sequence[T]], T],
) -> dict[str, T]:
    """The wanted tensors, from those given and the layers between; each tensor is let go after its last reader.

    Args:
        network: whose layers run.
        given: tensors that the layers read, or that are wanted.
        indices: of the layers that run.
        wanted: what comes back.
        step: from a layer's index and its inputs to its output.
    """
    wanted = tuple(wanted)
    ranges = live_ranges_of(network.layers[indices.start : indices.stop], given, wanted)
    tensors = dict(given)
    del given  # else this frame would keep them alive
    for position, index in enumerate(indices):
        layer = network.layers[index]
        tensors[layer.output] = step(index, [tensors[tensor] for tensor in layer.inputs])
        for tensor in dict.fromkeys(layer.inputs):
            if tensor not in wanted and ranges[tensor].stop == position + 1:
                del tensors[tensor]
    return {tensor: tensors[tensor] for tensor in wanted}
