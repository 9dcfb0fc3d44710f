"""The orders in which the layers of a network can run, from which one is chosen together with the bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from network.allocation import Bits
from network.layers import Layer, WeightLayer
from network.network import Network
from solver.problem import CHOICE_OF_BITS, Problem
from solver.schedule import minimum_peak_schedule

MAX_ORDERS: Final = 300
"""Largest number of orders that are all tried."""

MAX_ENUMERATED_PER_ORDER: Final = 20
"""Largest number of orders that are enumerated for each one that is kept. The others are discarded because their last
layer with weights is not that of the given order."""


def orders_to_try(
    network: Network, problem: Problem, activation_bits: Iterable[Mapping[str, Bits]]
) -> tuple[list[Network], bool]:
    """Return the layer orders to try, the given one first, and whether these are all possible orders.

    Args:
        network: The network, with its layers in the given order.
        problem: The problem of the network, for the sizes of its tensors and scratch memory.
        activation_bits: Allocations of bits, each as a mapping from the name of each activation tensor to its bits. If
            the network has too many orders, the order of the smallest peak is tried for each of them.
    """
    orders = all_orders(network, MAX_ORDERS)
    if orders is not None:
        return orders, True
    largest_limit = max(step.limit for step in problem.steps)
    scratch = {step.layer: largest_limit - step.limit for step in problem.steps}
    all_sizes = {tensor: sizes for step in problem.steps for tensor, sizes in step.tensors.items()}
    schedules = [
        minimum_peak_schedule(
            network,
            {name: sizes[CHOICE_OF_BITS[bits[name]]] for name, sizes in all_sizes.items()},
            scratch,
            reuses_input=problem.reuses_input,
        )
        for bits in activation_bits
    ]
    return [network, *(schedule.network for schedule in schedules)], False


def all_orders(network: Network, most: int) -> list[Network] | None:
    """Return a network in each valid order of its layers, the given order first; None if there are too many.

    In each of these orders, the last layer with weights is that of the given order: the `paper` accounting counts its
    parameters differently, and the order must not decide which layer that is.

    Args:
        network: The network.
        most: Largest number of orders.
    """
    if network.is_chain:
        return [network]
    orders = [network.layers]
    head = network.weight_layers[-1]
    for enumerated, order in enumerate(_enumerate_orders(network)):
        if enumerated > MAX_ENUMERATED_PER_ORDER * most:
            return None
        if order != network.layers and _last_with_weights(order) is head:
            orders.append(order)
        if len(orders) > most:
            return None
    return [network if order is network.layers else replace(network, layers=order) for order in orders]


def _last_with_weights(order: tuple[Layer, ...]) -> Layer:
    """Return the last layer of a network that has weights."""
    return next(layer for layer in reversed(order) if isinstance(layer, WeightLayer))


def _enumerate_orders(network: Network) -> Iterator[tuple[Layer, ...]]:
    """Yield each valid order of a network's layers, by depth-first search over the layers that can run next.

    Layers that can run next are tried in the order of the network.
    """
    layers = network.layers
    position = {layer.output: index for index, layer in enumerate(layers)}
    readers: dict[int, list[int]] = {index: [] for index in range(len(layers))}
    missing = [0] * len(layers)  # number of tensors that a layer reads and that are not written yet
    for index, layer in enumerate(layers):
        for tensor in set(layer.inputs) & position.keys():
            readers[position[tensor]].append(index)
            missing[index] += 1
    chosen: list[int] = []
    ready = [[index for index, count in enumerate(missing) if count == 0]]
    untried = [iter(ready[0])]
    while untried:
        following = next(untried[-1], None)
        if following is None:
            untried.pop()
            ready.pop()
            if chosen:
                _count(missing, readers[chosen.pop()], 1)
            continue
        chosen.append(following)
        _count(missing, readers[following], -1)
        if len(chosen) == len(layers):
            yield tuple(layers[each] for each in chosen)
            _count(missing, readers[chosen.pop()], 1)
            continue
        freed = [reader for reader in readers[following] if missing[reader] == 0]
        ready.append(sorted([*(each for each in ready[-1] if each != following), *freed]))
        untried.append(iter(ready[-1]))


def _count(missing: list[int], readers: Iterable[int], step: int) -> None:
    """Add a step to the number of missing tensors of each reader."""
    for reader in readers:
        missing[reader] += step
