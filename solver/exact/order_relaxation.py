"""The problem that every order of the layers has at least: a step holds its own layer's input and output alone.

Nothing waits, but for the network's input where that lives to the end. An output may lie on any input that some order
lets it: on each whose last reader the layer can be, up to the first whose last reader it always is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from network.layers import Layer
from network.network import Network
from solver.problem import Problem, RamStep

MAX_LAYERS_COMPARED: Final = 3000
"""Which layers come before which takes this many bits for each; in a larger graph every order is thought possible."""


def with_least_steps(network: Network, problem: Problem) -> Problem:
    """The problem without what depends on the order."""
    overwritten = _overwritten_in_some_order(network, problem) if problem.has_candidates else {}
    always = problem.activations[:1] if problem.keeps_input else ()
    return replace(
        problem, steps=tuple(_least_step(step, always, overwritten.get(step.layer, ())) for step in problem.steps)
    )


def _least_step(step: RamStep, always: tuple[str, ...], overwritten: tuple[str, ...]) -> RamStep:
    tensors = {name: step.tensors[name] for name in dict.fromkeys((*step.own, *always))}
    return replace(step, tensors=tensors, overwrites=overwritten)


def _overwritten_in_some_order(network: Network, problem: Problem) -> dict[str, tuple[str, ...]]:
    number = {layer.name: index for index, layer in enumerate(network.layers)}
    compares = len(network.layers) <= MAX_LAYERS_COMPARED
    before = _layers_before(network) if compares else [0] * len(network.layers)
    readers = network.readers()
    found = {}
    for step in problem.steps:
        own = number[step.layer]
        reached = []
        for tensor in step.candidates:
            others = [number[reader.name] for reader in readers[tensor] if reader.name != step.layer]
            if any(before[other] >> own & 1 for other in others):
                continue
            reached.append(tensor)
            if all(before[own] >> other & 1 for other in others):
                break
        found[step.layer] = tuple(reached)
    return found


def _layers_before(network: Network) -> list[int]:
    """For each layer, those that run before it in every order, as a set of bits."""
    written: Mapping[str, Layer] = {layer.output: layer for layer in network.layers}
    number = {layer.name: index for index, layer in enumerate(network.layers)}
    before: list[int] = []
    for layer in network.layers:
        own = 0
        for tensor in layer.inputs:
            if tensor in written:
                writer = number[written[tensor].name]
                own |= before[writer] | 1 << writer
        before.append(own)
    return before
