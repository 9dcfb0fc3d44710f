"""The order of the smallest peak, compared with all orders."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from network.layers import Add, Shape
from network.memory.steps import live_steps
from network.network import Network
from solver.orders import all_orders
from solver.schedule import minimum_peak_schedule
from tests.builders import network_of
from tests.solver.instances import branches, graphs, pointwise


def peak_of(network: Network, sizes: dict[str, int], scratch: dict[str, int]) -> int:
    """Return the size of the largest step in the order of the network."""
    return max(sum(sizes[each.tensor] for each in step.live) + scratch[step.layer] for step in live_steps(network, {}))


@settings(max_examples=300, deadline=None)
@given(graphs(most=7), st.data())
def test_the_peak_is_the_minimum_over_all_orders(network: Network, data: st.DataObject) -> None:
    orders = all_orders(network, 200)
    if orders is None:
        return
    sizes = {tensor: data.draw(st.integers(1, 20)) for tensor in network.tensors}
    scratch = {layer.name: data.draw(st.integers(0, 5)) for layer in network.layers}
    schedule = minimum_peak_schedule(network, sizes, scratch)
    assert schedule.given_peak == peak_of(network, sizes, scratch)
    assert schedule.peak == peak_of(schedule.network, sizes, scratch)
    assert schedule.bound <= schedule.peak
    assert schedule.peak == min(peak_of(order, sizes, scratch) for order in orders)


def test_wide_tensors_are_not_alive_at_the_same_time() -> None:
    """In the order of the file, all wide tensors are alive at once; in the best order, only one at a time."""
    network = branches(6)
    sizes = {tensor: shape.elements for tensor, shape in network.shapes.items()}
    schedule = minimum_peak_schedule(network, sizes, {})
    assert schedule.given_peak == 6 * 256 + 16  # the step that writes the last wide tensor also reads the stem
    assert schedule.peak == schedule.bound
    assert schedule.peak < schedule.given_peak / 4


def test_the_beam_search_returns_a_valid_order_no_worse_than_the_given_one() -> None:
    network = branches(9)
    sizes = {tensor: shape.elements for tensor, shape in network.shapes.items()}
    schedule = minimum_peak_schedule(network, sizes, {}, max_states=3)
    assert sorted(layer.name for layer in schedule.network.layers) == sorted(layer.name for layer in network.layers)
    assert schedule.bound <= schedule.peak <= schedule.given_peak


def test_the_given_order_is_kept_if_all_peaks_are_equal() -> None:
    layers = [pointwise("a", "input", 4), pointwise("b", "input", 4), Add(name="sum", inputs=("a", "b"), output="sum")]
    network = network_of([*layers, pointwise("z", "sum", 4)], Shape(4, 2, 2))
    schedule = minimum_peak_schedule(network, dict.fromkeys(network.tensors, 1), {})
    assert [layer.name for layer in schedule.network.layers] == ["a", "b", "sum", "z"]
