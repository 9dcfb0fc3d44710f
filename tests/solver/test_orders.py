"""All valid orders of a network's layers, compared with the permutations of the layers."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings

from network.layers import Layer
from network.network import Network
from solver.orders import all_orders
from tests.solver.instances import branches, graphs


def is_valid(network: Network, order: tuple[Layer, ...]) -> bool:
    written = set(network.input_names)
    for layer in order:
        if not written.issuperset(layer.inputs):
            return False
        written.add(layer.output)
    return next(layer for layer in reversed(order) if layer.name in heads(network)) is network.weight_layers[-1]


def heads(network: Network) -> set[str]:
    return {layer.name for layer in network.weight_layers}


@settings(max_examples=60, deadline=None)
@given(graphs(most=6))
def test_the_orders_are_the_valid_permutations(network: Network) -> None:
    orders = all_orders(network, 1000)
    assert orders is not None
    found = [order.layers for order in orders]
    assert found[0] == network.layers
    assert len(set(found)) == len(found)
    assert set(found) == {order for order in permutations(network.layers) if is_valid(network, order)}


def test_too_many_orders_are_not_listed() -> None:
    assert all_orders(branches(6), 100) is None
