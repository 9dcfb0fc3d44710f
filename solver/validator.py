"""Independent check of a chosen allocation of bits, by byte accounting alone and without any code of the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final

from network.allocation import BITS, WIDEST_BITS, Allocation, Folding, WeightScheme
from network.arena.plan import scratch_name
from network.devices.latency import network_cycles
from network.memory.accounting import Accounting
from network.memory.books import optimization_of
from network.memory.measure import measure, overwritten_input, step_scratch_bytes
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.exact.choices import Choices
from solver.options import Method
from solver.question import Question
from solver.solution import Solution

SUM_TOLERANCE: Final = 1e-9
"""Relative difference up to which two sums of the same sensitivities are equal: the order of additions differs."""


def violations(question: Question, solution: Solution) -> list[str]:
    """List every rule that an allocation of bits breaks (budgets, allowed bits, memory plan), one sentence each.

    Args:
        question: The network, the budget and the options that were given.
        solution: Its solution, with the network in the order in which the layers run.

    Returns:
        The broken rules; empty if the solution is valid. A certificate of infeasibility is not checked.
    """
    if solution.allocation is None:
        return []
    network, allocation = solution.network, solution.allocation
    budget, method, accounting = question.budget, question.method, solution.accounting
    latency = replace(question, accounting=accounting).latency
    broken = _names(network, allocation)
    known = {(each.name, optimization_of(each)) for each in (question.accounting, *question.alternatives)}
    if (accounting.name, optimization_of(accounting)) not in known:
        broken.append(f"the bytes are counted by the accounting '{accounting.name}', which the question does not have")
    if broken:  # such an allocation cannot be measured
        return broken
    broken += _bits(network, allocation, accounting) + _shared_weights(network, allocation)
    broken += [] if method is Method.EXACT else _schemes(network, method, allocation)
    if method is Method.EXACT:
        broken += _not_allowed(question.choices, allocation) + _foldings(network, allocation)
    if question.sensitivity is not None and not broken:
        broken += _sum(question.sensitivity, solution, allocation)
    cycles = 0 if latency is None else network_cycles(network, allocation, latency.speed)
    if latency is not None and cycles > latency.most_cycles:
        broken.append(f"the network needs {cycles} cycles, but the latency ceiling is {latency.most_cycles}")
    report = measure(network, allocation, accounting)
    if report.flash_bytes > budget.flash_bytes:
        broken.append(f"the network needs {report.flash_bytes} bytes of flash, but the budget is {budget.flash_bytes}")
    if report.ram_bytes > budget.ram_bytes:
        broken.append(
            f"the network needs {report.ram_bytes} bytes of RAM, with the peak at '{report.peak_layer}', "
            f"but the budget is {budget.ram_bytes}"
        )
    if report.arena is not None:
        broken += _overlaps(network, report.arena.offsets, allocation, accounting)
    return broken


def _overlaps(
    network: Network, offsets: Mapping[str, int], allocation: Allocation, accounting: Accounting
) -> list[str]:
    """List the tensors that overlap in the arena while both are alive, and outputs that miss the input they overwrite.

    Args:
        network: The network, with its layers in schedule order.
        offsets: Name of each tensor and scratch memory -> its offset in the arena, in bytes.
        allocation: Bits of every tensor.
        accounting: The accounting that counts bytes.
    """
    broken = []
    bits = allocation.activation_bits
    for step in accounting.steps(network):
        overwritten = overwritten_input(step, accounting, bits)
        output = step.output.tensor
        if overwritten is not None and offsets[output] != offsets[overwritten]:
            broken.append(
                f"'{output}' and '{overwritten}', which it overwrites in step '{step.layer}', have different offsets"
            )
        places = [
            (offsets[each.tensor], accounting.activation_bytes(each, bits[each.tensor]), each.tensor)
            for each in step.live
            if overwritten is None or each.tensor != output
        ]
        scratch_bytes = step_scratch_bytes(step, overwritten)
        if scratch_bytes:
            places.append((offsets[scratch_name(step.layer)], scratch_bytes, scratch_name(step.layer)))
        places.sort()
        broken += [
            f"'{low[2]}' and '{high[2]}' overlap in the arena in step '{step.layer}'"
            for low, high in pairwise(places)
            if low[0] + low[1] > high[0]
        ]
    return broken


def _names(network: Network, allocation: Allocation) -> list[str]:
    """List the parts of an allocation whose names of layers or tensors are missing, unknown or in the wrong order."""
    layers = [layer.name for layer in network.weight_layers]
    broken = []
    if list(allocation.activation_bits) != list(network.tensors):
        broken.append("activation bits are not given for every tensor, in the order in which they are written")
    for what, given in (("weight bits", allocation.weight_bits), ("schemes", allocation.schemes)):
        if list(given) != layers:
            broken.append(f"{what} are not given for every layer with weights, in layer order")
    return broken


def _bits(network: Network, allocation: Allocation, accounting: Accounting) -> list[str]:
    """List the tensors whose bits are not 8, 4 or 2, not 8 at an end of the network, or not those of a tied tensor."""
    broken = []
    for what, bits in (("weights", allocation.weight_bits), ("tensor", allocation.activation_bits)):
        broken += [f"{what} '{name}' has {each} bits, not 8, 4 or 2" for name, each in bits.items() if each not in BITS]
    for tensor in (*network.input_names, *network.outputs):
        if allocation.activation_bits[tensor] != WIDEST_BITS:
            broken.append(f"tensor '{tensor}' is an input or output of the network and must keep 8 bits")
    for tensor, source in accounting.same_bits(network).items():
        if allocation.activation_bits[tensor] != allocation.activation_bits[source]:
            broken.append(f"tensor '{tensor}' must have the bits of '{source}'")
    return broken


def _not_allowed(choices: Choices, allocation: Allocation) -> list[str]:
    """List the tensors whose bits or quantization schemes are not among those that the user allows."""
    broken = [
        f"{what} '{name}' has {bits} bits, which are not allowed"
        for what, given, allowed in (
            ("weights", allocation.weight_bits, choices.allowed_weight_bits),
            ("tensor", allocation.activation_bits, choices.allowed_activation_bits),
        )
        for name, bits in given.items()
        if bits not in allowed.get(name, BITS)
    ]
    broken += [
        f"layer '{layer}' has the scheme {scheme.weights}; expected {' or '.join(choices.schemes)}"
        for layer, scheme in allocation.schemes.items()
        if scheme.weights not in choices.schemes
    ]
    return broken


def _foldings(network: Network, allocation: Allocation) -> list[str]:
    """List the layers that fold batch norm into weights without one range, or without 8 bits, or before fewer bits."""
    broken = []
    for layer in network.weight_layers:
        scheme = allocation.schemes[layer.name]
        if scheme.folding is Folding.WEIGHTS:
            weight_bits, output_bits = allocation.weight_bits[layer.name], allocation.activation_bits[layer.output]
            if scheme.weights.is_per_channel:
                broken.append(f"layer '{layer.name}' folds batch norm into weights of the scheme {scheme.weights}")
            if (weight_bits, output_bits) != (WIDEST_BITS, WIDEST_BITS):
                broken.append(
                    f"layer '{layer.name}' folds batch norm, but its weights have {weight_bits} bits and its output "
                    f"{output_bits}; expected 8 and 8"
                )
    return broken


def _sum(table: SensitivityTable, solution: Solution, allocation: Allocation) -> list[str]:
    """Compare the stated sum of sensitivities with the table, layer by layer and scheme by scheme."""
    if solution.objective is None:
        return []
    total = sum(table.activations[name][bits] for name, bits in allocation.activation_bits.items())
    for layer, bits in allocation.weight_bits.items():
        rows = table.weights_by_scheme.get(allocation.schemes[layer].weights)
        total += (table.weights if rows is None else rows)[layer][bits]
    if abs(total - solution.objective) <= SUM_TOLERANCE * max(abs(total), abs(solution.objective)):
        return []
    return [f"the summed sensitivity is stated as {solution.objective}, but the table has {total}"]


def _shared_weights(network: Network, allocation: Allocation) -> list[str]:
    """List the weight tensors that several layers share with different bits or schemes, or with folded batch norm."""
    broken = []
    for name, layers in _readers_of_shared_weights(network).items():
        if len({allocation.weight_bits[layer] for layer in layers}) > 1:
            broken.append(f"the layers {', '.join(layers)} share the weights '{name}', but have different bits")
        schemes = {allocation.schemes[layer] for layer in layers}
        if len(schemes) > 1:
            broken.append(f"the layers {', '.join(layers)} share the weights '{name}', but have different schemes")
        if any(scheme.folding is not Folding.ICN for scheme in schemes):
            broken.append(f"the layers {', '.join(layers)} share the weights '{name}', but fold batch norm into them")
    return broken


def _readers_of_shared_weights(network: Network) -> dict[str, list[str]]:
    """Return the names of the layers that read each weight tensor with more than one reader."""
    readers: dict[str, list[str]] = {}
    for layer in network.weight_layers:
        if layer.shared_weight is not None:
            readers.setdefault(layer.shared_weight, []).append(layer.name)
    return {name: layers for name, layers in readers.items() if len(layers) > 1}


def _schemes(network: Network, method: Method, allocation: Allocation) -> list[str]:
    """List the layers whose quantization scheme is not that of the chosen rule (MixPL or MixPC)."""
    broken = []
    sharing = {layer for layers in _readers_of_shared_weights(network).values() for layer in layers}
    for layer in network.weight_layers:
        scheme = allocation.schemes[layer.name]
        expected = WeightScheme.PER_LAYER_ASYM_PACT
        fold = Folding.WEIGHTS
        if method is Method.MIXPC:
            expected, fold = WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN
        elif (
            layer.name in sharing
            or allocation.weight_bits[layer.name] != 8
            or allocation.activation_bits[layer.output] != 8
        ):
            fold = Folding.ICN
        if (scheme.weights, scheme.folding) != (expected, fold):
            broken.append(
                f"layer '{layer.name}' has {scheme.weights} and {scheme.folding}; expected {expected} and {fold}"
            )
    return broken
