"""Execution of a network's layers in schedule order; each tensor is freed after its last use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from network.live_ranges import live_ranges_of
from network.network import Network

T = TypeVar("T")


def joined_outputs(network: Network, tensors: Mapping[str, Tensor]) -> Tensor:
    """Flatten all outputs of a network and concatenate them, [n, values], in the order of `network.outputs`.

    Args:
        network: The network.
        tensors: Output tensors [n, channels, height, width], by name.
    """
    flat = [tensors[output].flatten(1) for output in network.outputs]
    return flat[0] if len(flat) == 1 else torch.cat(flat, dim=1)


def run_layers(
    network: Network, given: Mapping[str, T], compute: Callable[[int, Sequence[T]], T], *, keep_all: bool = False
) -> dict[str, T]:
    """Execute all layers of a network and return its output tensors by name; all other tensors are freed after their
    last use.

    Args:
        network: The network.
        given: The network's input tensors by name.
        compute: Function that computes a layer's output from the layer's index and its input tensors.
        keep_all: Whether to return all activation tensors instead of only the network's outputs.

    Returns:
        The tensors, by name.
    """
    wanted = network.tensors if keep_all else network.outputs
    return run_between(network, given, range(len(network.layers)), wanted, compute)


def run_between(
    network: Network,
    given: Mapping[str, T],
    indices: range,
    wanted: Iterable[str],
    compute: Callable[[int, Sequence[T]], T],
) -> dict[str, T]:
    """Execute a range of a network's layers and return the wanted tensors by name; all others are freed after their
    last use.

    Args:
        network: The network.
        given: Known tensors by name: all inputs of the range of layers.
        indices: Indices of the layers to execute, in schedule order.
        wanted: Names of the tensors to return, computed or given.
        compute: Function that computes a layer's output from the layer's index and its input tensors.

    Returns:
        The wanted tensors, by name.
    """
    wanted = tuple(wanted)
    ranges = live_ranges_of(network.layers[indices.start : indices.stop], given, wanted)
    tensors = dict(given)
    del given  # else this frame would keep them alive
    for position, index in enumerate(indices):
        layer = network.layers[index]
        tensors[layer.output] = compute(index, [tensors[tensor] for tensor in layer.inputs])
        for tensor in dict.fromkeys(layer.inputs):
            if tensor not in wanted and ranges[tensor].stop == position + 1:
                del tensors[tensor]
    return {tensor: tensors[tensor] for tensor in wanted}
