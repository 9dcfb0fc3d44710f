"""The orders in which a network's layers can run, for choosing one together with the bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from network.allocation import Bits
from network.layers import Layer, WeightLayer
from network.network import Network
from solver.problem import CHOICE_OF_BITS, Problem
from solver.schedule import least_peak_schedule

MAX_ORDERS: Final = 300
"""A graph with no more orders than this is tried in all of them."""

MOST_TRIED_PER_ORDER: Final = 20
"""Orders that move the head are passed over; this bounds how many."""


def orders_to_try(
    network: Network, problem: Problem, activation_bits: Iterable[Mapping[str, Bits]]
) -> tuple[list[Network], bool]:
    """The orders that are worth a try, the given one first, and whether they are all that there are.

    Args:
        network: in the given order.
        problem: the network's, for what its tensors and steps take.
        activation_bits: in a graph with too many orders, those of least peak at each of these bits are tried.
    """
    orders = all_orders(network, MAX_ORDERS)
    if orders is not None:
        return orders, True
    most = max(step.limit for step in problem.steps)
    scratch = {step.layer: most - step.limit for step in problem.steps}
    sizes = {tensor: of for step in problem.steps for tensor, of in step.tensors.items()}
    least = [
        least_peak_schedule(
            network,
            {name: of[CHOICE_OF_BITS[bits[name]]] for name, of in sizes.items()},
            scratch,
            keeps_input=problem.keeps_input,
        )
        for bits in activation_bits
    ]
    return [network, *(schedule.network for schedule in least)], False


def all_orders(network: Network, most: int) -> list[Network] | None:
    """The network in each of its orders, the given one first; None if there are more than `most`.

    The last layer with weights stays the last: what it takes depends on that (the paper's book), and it should not be
    an order that decides which one is the network's head.
    """
    if network.is_chain:
        return [network]
    orders = [network.layers]
    head = network.weight_layers[-1]
    for tried, order in enumerate(_orders(network)):
        if tried > MOST_TRIED_PER_ORDER * most:
            return None
        if order != network.layers and _last_with_weights(order) is head:
            orders.append(order)
        if len(orders) > most:
            return None
    return [network if order is network.layers else replace(network, layers=order) for order in orders]


def _last_with_weights(order: tuple[Layer, ...]) -> Layer:
    return next(layer for layer in reversed(order) if isinstance(layer, WeightLayer))


def _orders(network: Network) -> Iterator[tuple[Layer, ...]]:
    """Depth first over the layers that can run next, in the file's order."""
    chosen: list[Layer] = []
    written = {network.input}

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
