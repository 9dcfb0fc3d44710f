"""Full enumeration of all bits and orders of a small network."""

from __future__ import annotations

import itertools
import math

from network.allocation import BITS, Allocation, Bits
from network.budget import Budget
from network.devices.latency import Latency, network_cycles
from network.memory.accounting import Accounting
from network.memory.measure import measure
from network.memory.report import Region
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.exact.choices import Choices
from solver.orders import all_orders
from tests.solver.instances import cheapest_schemes


def minimum_by_enumeration(
    network: Network,
    budget: Budget,
    accounting: Accounting,
    table: SensitivityTable,
    choices: Choices,
    latency: Latency | None = None,
) -> float:
    """Return the minimum objective over all allowed bits in all orders; infinite if no bits fit."""
    orders = all_orders(network, 10_000)
    assert orders is not None
    layers = [layer.name for layer in network.weight_layers]
    changes_ram = any(each.shared.region is Region.RAM and each.weights for each in accounting.features(network))
    best = math.inf
    for order in orders:
        same_bits = accounting.same_bits(order)
        kept = {same_bits[tensor] for tensor in (*order.input_names, *order.outputs)}
        own = [tensor for tensor in dict.fromkeys(same_bits.values()) if tensor not in kept]
        for chosen in itertools.product(BITS, repeat=len(own)):
            own_bits: dict[str, Bits] = {**dict.fromkeys(kept, BITS[0]), **dict(zip(own, chosen, strict=True))}
            activation_bits = {tensor: own_bits[same_bits[tensor]] for tensor in order.tensors}
            if table.objective({}, activation_bits) >= best:
                continue
            if any(activation_bits[name] not in bits for name, bits in choices.allowed_activation_bits.items()):
                continue
            for weight_choice in itertools.product(*(choices.allowed_weight_bits.get(name, BITS) for name in layers)):
                weight_bits = dict(zip(layers, weight_choice, strict=True))
                if any(
                    weight_bits[one.name] != weight_bits[other.name]
                    for one, other in itertools.combinations(order.weight_layers, 2)
                    if one.shared_weight is not None and one.shared_weight == other.shared_weight
                ):
                    continue
                objective = table.objective(weight_bits, activation_bits)
                if objective >= best:
                    continue
                schemes = cheapest_schemes(order, accounting, choices.weights, weight_bits, activation_bits)
                allocation = Allocation(weight_bits, activation_bits, schemes)
                if latency is not None and network_cycles(order, allocation, latency.speed) > latency.most_cycles:
                    continue
                report = measure(order, allocation, accounting)
                if report.ram_bytes > budget.ram_bytes:
                    if not changes_ram:
                        break
                elif report.flash_bytes <= budget.flash_bytes:
                    best = objective
    return best
