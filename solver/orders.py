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
    """Yield each valid order of a network's layers, by depth-first search over the layers that can run next."""
    chosen: list[Layer] = []
    written = set(network.input_names)

    def ready() -> list[Layer]:
        return [layer for layer in network.layers if layer.output not in written and written.issuperset(layer.inputs)]

    stack = [iter(ready())]
    while stack:
        layer = next(stack[-1], None)
        if layer is None:
            stack.pop()
            if chosen:
                written.discard(chosen.pop().output)
            continue
        chosen.append(layer)
        written.add(layer.output)
        if len(chosen) == len(network.layers):
            yield tuple(chosen)
            written.discard(chosen.pop().output)
        else:
            stack.append(iter(ready()))
