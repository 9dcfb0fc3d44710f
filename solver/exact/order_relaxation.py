"""Relaxation of an allocation problem over all orders of the layers: a lower bound for every order.

In each step, the relaxation counts only the tensors that the step's layer reads and writes, and the network's inputs
if their memory cannot be reused. In any order, more tensors may be alive, but not fewer. An output may overwrite each
input that it could overwrite in some order: the inputs whose last reader the layer can be, up to the first one whose
last reader it is in every order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from network.layers import Layer
from network.network import Network
from solver.problem import Problem, RamStep

MAX_LAYERS_COMPARED: Final = 3000
"""Largest number of layers whose precedence is computed, as one bit for each pair of layers. In a larger network, each
layer is assumed to be able to run after each other one."""


def relaxed_over_orders(network: Network, problem: Problem) -> Problem:
    """Return an allocation problem whose steps need no more RAM than those of any order of the layers.

    Args:
        network: The network.
        problem: The problem of the network in one order.
    """
    overwritten = _overwritten_in_some_order(network, problem) if problem.has_candidates else {}
    always_alive = () if problem.reuses_input else network.input_names
    return replace(
        problem,
        steps=tuple(_relaxed_step(step, always_alive, overwritten.get(step.layer, ())) for step in problem.steps),
    )


def _relaxed_step(step: RamStep, always_alive: tuple[str, ...], overwritten: tuple[str, ...]) -> RamStep:
    """Return a step of the schedule with only the tensors that are in memory in every order of the layers."""
    tensors = {name: step.tensors[name] for name in dict.fromkeys((*step.own, *always_alive))}
    return replace(step, tensors=tensors, overwrites=overwritten)


def _overwritten_in_some_order(network: Network, problem: Problem) -> dict[str, tuple[str, ...]]:
    """Return, for each layer, the inputs that its output overwrites in at least one order of the layers."""
    index_of = {layer.name: index for index, layer in enumerate(network.layers)}
    is_compared = len(network.layers) <= MAX_LAYERS_COMPARED
    before = _layers_before(network) if is_compared else [0] * len(network.layers)
    readers = network.readers()
    found = {}
    for step in problem.steps:
        own = index_of[step.layer]
        overwritten = []
        for tensor in step.candidates:
            others = [index_of[reader.name] for reader in readers[tensor] if reader.name != step.layer]
            if any(before[other] >> own & 1 for other in others):
                continue
            overwritten.append(tensor)
            if all(before[own] >> other & 1 for other in others):
                break
        found[step.layer] = tuple(overwritten)
    return found


def _layers_before(network: Network) -> list[int]:
    """Return, for each layer, the layers that run before it in every order, as an integer in which bit i is layer i."""
    written: Mapping[str, Layer] = {layer.output: layer for layer in network.layers}
    index_of = {layer.name: index for index, layer in enumerate(network.layers)}
    before: list[int] = []
    for layer in network.layers:
        own = 0
        for tensor in layer.inputs:
            if tensor in written:
                writer = index_of[written[tensor].name]
                own |= before[writer] | 1 << writer
        before.append(own)
    return before
