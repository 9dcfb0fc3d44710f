"""Running a network's layers in torch, and letting go of each tensor after its last reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from network.network import Network

T = TypeVar("T")


class Schedule:
    """The order in which layers run, and what each of them is the last to read."""

    def __init__(self, network: Network) -> None:
        self.network = network
        last_reader = {tensor: layer.name for layer in network.layers for tensor in layer.inputs}
        self._released_after: Mapping[str, tuple[str, ...]] = {
            layer.name: tuple(
                tensor
                for tensor in dict.fromkeys(layer.inputs)
                if last_reader[tensor] == layer.name and tensor not in network.outputs
            )
            for layer in network.layers
        }

    def run(self, given: T, step: Callable[[int, Sequence[T]], T], *, keep_all: bool = False) -> dict[str, T]:
        """Run every layer.

        Args:
            given: the network's input tensor.
            step: from a layer's index and its inputs to its output.
            keep_all: return every tensor, not the network's outputs alone.
        """
        tensors = {self.network.input: given}
        del given  # else the caller's frame would keep it alive
        for index, layer in enumerate(self.network.layers):
            tensors[layer.output] = step(index, [tensors[tensor] for tensor in layer.inputs])
            if not keep_all:
                for tensor in self._released_after[layer.name]:
                    del tensors[tensor]
        return tensors if keep_all else {tensor: tensors[tensor] for tensor in self.network.outputs}
