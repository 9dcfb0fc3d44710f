"""The judge of every answer. It knows the network, the budget and the accounting, and nothing of the search."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from network.allocation import BITS, WIDEST_BITS, Allocation, Folding, WeightScheme
from network.budget import Budget
from network.memory import Accounting, measure
from network.network import Network
from solver.solution import Method


def violations(
    network: Network, budget: Budget, method: Method, accounting: Accounting, allocation: Allocation
) -> list[str]:
    """Every rule that an allocation breaks, in words; empty when it is a solution."""
    broken = _names(network, allocation)
    if broken:  # nothing can be measured
        return broken
    for what, bits in (("weights", allocation.weight_bits), ("tensor", allocation.activation_bits)):
        broken += [f"{what} '{name}' has {each} bits, not 8, 4 or 2" for name, each in bits.items() if each not in BITS]
    for tensor in (network.input, *network.outputs):
        if allocation.activation_bits[tensor] != WIDEST_BITS:
            broken.append(f"'{tensor}' is an input or output of the network and must keep 8 bits")
    for tensor, source in accounting.same_bits(network).items():
        if allocation.activation_bits[tensor] != allocation.activation_bits[source]:
            broken.append(f"'{tensor}' must have the bits of '{source}'")
    broken += [] if method is Method.EXACT else _schemes(network, method, allocation)
    report = measure(network, allocation, accounting)
    if report.flash_bytes > budget.flash_bytes:
        broken.append(f"takes {report.flash_bytes} bytes of flash, {budget.flash_bytes} may be taken")
    if report.ram_bytes > budget.ram_bytes:
        broken.append(
            f"takes {report.ram_bytes} bytes of RAM, the most at '{report.peak_layer}', {budget.ram_bytes} may be taken"
        )
    if report.arena is not None:
        broken += _overlaps(network, report.arena.offsets, allocation, accounting)
    return broken


def _overlaps(
    network: Network, offsets: Mapping[str, int], allocation: Allocation, accounting: Accounting
) -> list[str]:
    """Tensors that share a byte of the arena during a step."""
    broken = []
    for step in accounting.steps(network):
        places = sorted(
            (
                offsets[each.tensor],
                accounting.activation_bytes(each, allocation.activation_bits[each.tensor]),
                each.tensor,
            )
            for each in step.live
        )
        broken += [
            f"'{low[2]}' and '{high[2]}' overlap in the arena during step '{step.layer}'"
            for low, high in pairwise(places)
            if low[0] + low[1] > high[0]
        ]
    return broken


def _names(network: Network, allocation: Allocation) -> list[str]:
    layers = [layer.name for layer in network.weight_layers]
    broken = []
    if list(allocation.activation_bits) != list(network.tensors):
        broken.append("activation bits are not given for every tensor, in the order in which they are written")
    for what, given in (("weight bits", allocation.weight_bits), ("schemes", allocation.schemes)):
        if list(given) != layers:
            broken.append(f"{what} are not given for every layer with weights, in layer order")
    return broken


def _schemes(network: Network, method: Method, allocation: Allocation) -> list[str]:
    broken = []
    for layer in network.weight_layers:
        scheme = allocation.schemes[layer.name]
        expected = WeightScheme.PER_LAYER_ASYM_PACT
        fold = Folding.WEIGHTS
        if method is Method.MIXPC:
            expected, fold = WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN
        elif allocation.weight_bits[layer.name] != 8 or allocation.activation_bits[layer.output] != 8:
            fold = Folding.ICN
        if (scheme.weights, scheme.folding) != (expected, fold):
            broken.append(f"layer '{layer.name}' has {scheme.weights} and {scheme.folding}, not {expected} and {fold}")
    return broken
