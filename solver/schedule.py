"""The order in which layers run: the one whose largest step is the least.

A state is the set of layers that have run; what is alive follows from the set alone, so the best way to a state is the
one with the least peak so far, and states are taken in the order of their peaks (Dijkstra's algorithm with the
maximum in place of the sum). The first complete state has the least peak of all orders.

    layers a -> b -> d, a -> c -> d:     {} - {a} - {a,b} - {a,b,c} - {a,b,c,d}
                                               \\ - {a,c} /

A chain has as many states as layers. A graph with many branches at once has too many: beyond `max_states` the most
promising states of each size are kept (a beam), and the answer says how far from the bound it may be. At equal peaks
the file's own order wins.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from network.layers import WeightLayer
from network.network import Network

MAX_STATES: Final = 20_000
BEAM_WIDTH: Final = 64


@dataclass(frozen=True, slots=True)
class Schedule:
    """An order of a network's layers.

    Attributes:
        network: the network in that order.
        peak: the largest step, in the unit of the sizes.
        bound: no order has a smaller peak.
        given_peak: the largest step in the order that was given.
    """

    network: Network
    peak: int
    bound: int
    given_peak: int


def least_peak_schedule(
    network: Network,
    sizes: Mapping[str, int],
    scratch: Mapping[str, int],
    *,
    keeps_input: bool = False,
    max_states: int = MAX_STATES,
) -> Schedule:
    """The order of least peak, every tensor in a place of its own.

    Args:
        network: in any valid order.
        sizes: what each activation tensor takes.
        scratch: what each layer takes beside while it runs; 0 where it is missing.
        keeps_input: the network's input lives to the end.
        max_states: how many states are visited before the search turns into a beam.
    """
    graph = _Graph(network, sizes, scratch, keeps_input=keeps_input)
    given_peak = graph.peak_of(range(len(network.layers)))
    bound = graph.least_step
    if given_peak == bound or network.is_chain:
        return Schedule(network, given_peak, given_peak if network.is_chain else bound, given_peak)
    order, is_exact = graph.search(max_states)
    peak = graph.peak_of(order)
    if peak >= given_peak:
        order, peak = list(range(len(network.layers))), given_peak
    ordered = replace(network, layers=tuple(network.layers[index] for index in order))
    return Schedule(ordered, peak, peak if is_exact else bound, given_peak)


class _Graph:
    """What each layer waits for, and what it allocates and frees."""

    def __init__(
        self, network: Network, sizes: Mapping[str, int], scratch: Mapping[str, int], *, keeps_input: bool
    ) -> None:
        writer = {layer.output: index for index, layer in enumerate(network.layers)}
        readers = network.readers()
        index_of = {layer.name: index for index, layer in enumerate(network.layers)}
        self.layers = len(network.layers)
        self.output_size = [sizes[layer.output] for layer in network.layers]
        self.scratch = [scratch.get(layer.name, 0) for layer in network.layers]
        self.inputs = [tuple(dict.fromkeys(layer.inputs)) for layer in network.layers]
        self.sizes = dict(sizes)
        self.start_size = sizes[network.input]
        self.needs = [sum(1 << writer[tensor] for tensor in inputs if tensor in writer) for inputs in self.inputs]
        self.followers: list[list[int]] = [
            [index_of[reader.name] for reader in readers[layer.output]] for layer in network.layers
        ]
        # The network's head, its last layer with weights, stays the last of them: it waits for all others.
        *others, head = (index for index, layer in enumerate(network.layers) if isinstance(layer, WeightLayer))
        self.needs[head] |= sum(1 << other for other in others)
        for other in others:
            self.followers[other].append(head)
        kept = {*network.outputs, *((network.input,) if keeps_input else ())}
        # A tensor is freed once all its readers have run; outputs never are.
        self.readers_mask = {
            tensor: 0 if tensor in kept else sum(1 << index_of[reader.name] for reader in layers)
            for tensor, layers in readers.items()
        }
        self.starters = [index for index, needs in enumerate(self.needs) if needs == 0]
        self.least_step = max(
            sum(sizes[tensor] for tensor in inputs) + size + extra
            for inputs, size, extra in zip(self.inputs, self.output_size, self.scratch, strict=True)
        )

    def run(self, done: int, alive: int, layer: int) -> tuple[int, int]:
        """What is alive after a layer has run, and what was during it."""
        during = alive + self.output_size[layer] + self.scratch[layer]
        after_done = done | 1 << layer
        after = alive + self.output_size[layer]
        for tensor in self.inputs[layer]:
            readers = self.readers_mask[tensor]
            if readers and readers & ~after_done == 0:
                after -= self.sizes[tensor]
        return after, during

    def peak_of(self, order: range | list[int]) -> int:
        done, alive, peak = 0, self.start_size, 0
        for layer in order:
            alive, during = self.run(done, alive, layer)
            done |= 1 << layer
            peak = max(peak, during)
        return peak

    def search(self, max_states: int) -> tuple[list[int], bool]:
        """An order, and whether no other has a smaller peak."""
        complete = (1 << self.layers) - 1
        parents: dict[int, tuple[int, int]] = {}
        best = {0: 0}
        alive_in = {0: self.start_size}
        ready_in = {0: tuple(self.starters)}
        # Among equal peaks the state with more layers done, then the one that keeps closest to the file's order.
        queue: list[tuple[int, int, int]] = [(0, 0, 0)]
        visited = 0
        while queue:
            peak, count, done = heapq.heappop(queue)
            if peak > best[done]:
                continue
            if done == complete:
                return self._order(parents, done), True
            visited += 1
            if visited > max_states:
                return self._beam(), False
            for layer in ready_in[done]:
                after, during = self.run(done, alive_in[done], layer)
                reached, new_peak = done | 1 << layer, max(peak, during)
                if new_peak < best.get(reached, new_peak + 1):
                    best[reached] = new_peak
                    parents[reached] = (done, layer)
                    if reached not in alive_in:
                        alive_in[reached] = after
                        ready_in[reached] = self._ready_after(ready_in[done], layer, reached)
                    heapq.heappush(queue, (new_peak, count - 1, reached))
        raise AssertionError("a valid network has an order")

    def _beam(self) -> list[int]:
        states = [(0, self.start_size, 0, tuple(self.starters), None)]
        trail: list[dict[int, tuple[int, int]]] = []
        for _ in range(self.layers):
            found: dict[int, tuple[int, int, int, tuple[int, ...], tuple[int, int]]] = {}
            for peak, alive, done, ready, _parent in states:
                for layer in ready:
                    after, during = self.run(done, alive, layer)
                    reached, new_peak = done | 1 << layer, max(peak, during)
                    known = found.get(reached)
                    if known is None or new_peak < known[0]:
                        found[reached] = (
                            new_peak,
                            after,
                            reached,
                            self._ready_after(ready, layer, reached),
                            (done, layer),
                        )
            kept = sorted(found.values(), key=lambda state: state[:3])[:BEAM_WIDTH]
            trail.append({state[2]: state[4] for state in kept})
            states = [(*state[:4], None) for state in kept]
        order: list[int] = []
        done = states[0][2]
        for parents in reversed(trail):
            done, layer = parents[done]
            order.append(layer)
        return order[::-1]

    def _ready_after(self, ready: tuple[int, ...], layer: int, done: int) -> tuple[int, ...]:
        released = {other for other in self.followers[layer] if self.needs[other] & ~done == 0}
        return tuple(sorted({*ready, *released} - {layer}))

    @staticmethod
    def _order(parents: Mapping[int, tuple[int, int]], done: int) -> list[int]:
        order = []
        while done:
            done, layer = parents[done]
            order.append(layer)
        return order[::-1]
