"""Search for an order of a network's layers in which the largest RAM of any step is smallest.

A state is the set of layers that have run. The live tensors follow from the set alone, so only the best way to reach a
state counts, the one with the smallest peak so far. States are visited in ascending order of their peaks: Dijkstra's
algorithm, with the maximum instead of the sum along a path. The first state with all layers that is visited has the
smallest peak of all orders.

    layers a -> b -> d, a -> c -> d:     {} - {a} - {a,b} - {a,b,c} - {a,b,c,d}
                                               \\ - {a,c} /

A chain has as many states as layers. A graph with many parallel branches has too many: after `max_states` states the
search starts again as a beam search, which keeps the `BEAM_WIDTH` states of smallest peak for each number of layers,
and the result has a lower bound below its peak. Of orders with equal peaks, the order of the file is preferred.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from network.layers import WeightLayer
from network.live_ranges import live_ranges
from network.network import Network

MAX_STATES: Final = 20_000
"""Largest number of states that the exact search visits."""

BEAM_WIDTH: Final = 64
"""Number of states that the beam search keeps for each number of layers."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """An order of a network's layers, with the largest RAM that any of its steps needs.

    Attributes:
        network: The network, with its layers in that order.
        peak: Size of the largest step, in the unit of the sizes.
        bound: Lower bound on the peak of each order.
        given_peak: Size of the largest step in the order that was given.
    """

    network: Network
    peak: int
    bound: int
    given_peak: int


def minimum_peak_schedule(
    network: Network,
    sizes: Mapping[str, int],
    scratch: Mapping[str, int],
    *,
    reuses_input: bool = True,
    max_states: int = MAX_STATES,
) -> Schedule:
    """Return the order of a network's layers with the smallest peak of RAM, if no output overwrites an input.

    Args:
        network: The network, with its layers in any valid order.
        sizes: Name of each activation tensor -> its size, in any unit.
        scratch: Name of a layer -> size of the scratch memory that it needs while it runs; 0 for a missing layer.
        reuses_input: Whether the memory of each input of the network is free after the last layer that reads it.
        max_states: Number of states after which the search becomes a beam search.
    """
    given_peak = _peak(network, sizes, scratch, reuses_input=reuses_input)
    graph = _Graph(network, sizes, scratch, reuses_input=reuses_input)
    bound = graph.largest_layer
    if given_peak == bound or network.is_chain:
        return Schedule(network, given_peak, given_peak if network.is_chain else bound, given_peak)
    order, is_exact = graph.search(max_states)
    ordered = replace(network, layers=tuple(network.layers[index] for index in order))
    peak = _peak(ordered, sizes, scratch, reuses_input=reuses_input)
    if peak >= given_peak:
        ordered, peak = network, given_peak
    return Schedule(ordered, peak, peak if is_exact else bound, given_peak)


def _peak(network: Network, sizes: Mapping[str, int], scratch: Mapping[str, int], *, reuses_input: bool) -> int:
    """Return the RAM of the step that needs the most, with the layers in the given order."""
    changes = [0] * (len(network.layers) + 1)
    for tensor, steps in live_ranges(network, reuses_input=reuses_input).items():
        changes[steps.start] += sizes[tensor]
        changes[steps.stop] -= sizes[tensor]
    alive, peak = 0, 0
    for layer, change in zip(network.layers, changes, strict=False):
        alive += change
        peak = max(peak, alive + scratch.get(layer.name, 0))
    return peak


class _Graph:
    """The layers of a network as a graph: what each layer waits for, allocates and frees.

    `network.live_ranges` gives the live ranges of one fixed order. The search does not have an order yet: whether a
    tensor is alive is decided by the set of layers that have run. So each tensor has the set of its readers as a mask,
    and is freed when all of them have run. In all masks, bit i stands for the layer i.

    Attributes:
        largest_layer: Largest sum of sizes of the inputs, output and scratch memory of one layer, a lower bound on the
            peak of each order.
    """

    def __init__(
        self, network: Network, sizes: Mapping[str, int], scratch: Mapping[str, int], *, reuses_input: bool
    ) -> None:
        writer = {layer.output: index for index, layer in enumerate(network.layers)}
        readers = network.readers()
        index_of = {layer.name: index for index, layer in enumerate(network.layers)}
        self._layers = len(network.layers)
        self._output_size = [sizes[layer.output] for layer in network.layers]
        self._scratch = [scratch.get(layer.name, 0) for layer in network.layers]
        self._inputs = [tuple(dict.fromkeys(layer.inputs)) for layer in network.layers]
        self._sizes = dict(sizes)
        self._start_size = sum(sizes[name] for name in network.input_names)
        self._needs = [sum(1 << writer[tensor] for tensor in inputs if tensor in writer) for inputs in self._inputs]
        self._followers: list[list[int]] = [
            [index_of[reader.name] for reader in readers[layer.output]] for layer in network.layers
        ]
        # The last layer with weights must remain the last one with weights: it waits for all others.
        *others, last = (index for index, layer in enumerate(network.layers) if isinstance(layer, WeightLayer))
        self._needs[last] |= sum(1 << other for other in others)
        for other in others:
            self._followers[other].append(last)
        # A tensor that is never freed has the empty mask.
        kept = {*network.outputs, *(() if reuses_input else network.input_names)}
        self._readers_mask = {
            tensor: 0 if tensor in kept else sum(1 << index_of[reader.name] for reader in layers)
            for tensor, layers in readers.items()
        }
        self._starters = tuple(index for index, needs in enumerate(self._needs) if needs == 0)
        self.largest_layer = max(
            sum(sizes[tensor] for tensor in inputs) + size + extra
            for inputs, size, extra in zip(self._inputs, self._output_size, self._scratch, strict=True)
        )

    def search(self, max_states: int) -> tuple[list[int], bool]:
        """Return an order of a network's layers, and whether it is proven that no order has a smaller peak of RAM.

        Args:
            max_states: Number of states after which the search becomes a beam search.
        """
        complete = (1 << self._layers) - 1
        parents: dict[int, tuple[int, int]] = {}
        best = {0: 0}
        alive_in = {0: self._start_size}
        ready_in = {0: self._starters}
        # Entries are (peak, -number of layers, mask): of equal peaks, the state with more layers is visited first, then
        # the one whose layers are earlier in the file.
        queue: list[tuple[int, int, int]] = [(0, 0, 0)]
        visited = 0
        while queue:
            peak, count, done = heapq.heappop(queue)
            if peak > best[done]:
                continue
            if done == complete:
                return _traced_order(parents, done), True
            visited += 1
            if visited > max_states:
                return self._beam_search(), False
            for layer in ready_in[done]:
                after, during = self._run(done, alive_in[done], layer)
                reached, new_peak = done | 1 << layer, max(peak, during)
                if new_peak < best.get(reached, new_peak + 1):
                    best[reached] = new_peak
                    parents[reached] = (done, layer)
                    if reached not in alive_in:
                        alive_in[reached] = after
                        ready_in[reached] = self._ready_after(ready_in[done], layer, reached)
                    heapq.heappush(queue, (new_peak, count - 1, reached))
        raise AssertionError("a valid network has an order")

    def _beam_search(self) -> list[int]:
        """Return an order of a network's layers with a small peak of RAM, found by beam search."""
        states = [(0, self._start_size, 0, self._starters)]  # peak, alive, mask, ready layers
        trail: list[dict[int, tuple[int, int]]] = []
        for _ in range(self._layers):
            found: dict[int, tuple[int, int, int, tuple[int, ...]]] = {}
            parents: dict[int, tuple[int, int]] = {}
            for peak, alive, done, ready in states:
                for layer in ready:
                    after, during = self._run(done, alive, layer)
                    reached, new_peak = done | 1 << layer, max(peak, during)
                    known = found.get(reached)
                    if known is None or new_peak < known[0]:
                        found[reached] = (new_peak, after, reached, self._ready_after(ready, layer, reached))
                        parents[reached] = (done, layer)
            states = sorted(found.values(), key=lambda state: state[:3])[:BEAM_WIDTH]
            trail.append({state[2]: parents[state[2]] for state in states})
        order: list[int] = []
        done = states[0][2]
        for parents in reversed(trail):
            done, layer = parents[done]
            order.append(layer)
        return order[::-1]

    def _run(self, done: int, alive: int, layer: int) -> tuple[int, int]:
        """Return the RAM of live tensors after a layer has run, and the RAM while it runs.

        Args:
            done: Mask of the layers that have run before.
            alive: Size of the live tensors before.
            layer: Index of the layer.
        """
        during = alive + self._output_size[layer] + self._scratch[layer]
        after_done = done | 1 << layer
        after = alive + self._output_size[layer]
        for tensor in self._inputs[layer]:
            readers = self._readers_mask[tensor]
            if readers and readers & ~after_done == 0:
                after -= self._sizes[tensor]
        return after, during

    def _ready_after(self, ready: tuple[int, ...], layer: int, done: int) -> tuple[int, ...]:
        """Return the layers that can run next, in ascending order of their indices.

        Args:
            ready: Layers that could run before.
            layer: Index of the layer that has run.
            done: Mask of the layers that have run, including this one.
        """
        released = {other for other in self._followers[layer] if self._needs[other] & ~done == 0}
        return tuple(sorted({*ready, *released} - {layer}))


def _traced_order(parents: Mapping[int, tuple[int, int]], done: int) -> list[int]:
    """Return the order of the layers that led to a state of the schedule search.

    Args:
        parents: Mask of each state -> mask of the state before it, and index of the layer between them.
        done: Mask of the state.
    """
    order = []
    while done:
        done, layer = parents[done]
        order.append(layer)
    return order[::-1]
