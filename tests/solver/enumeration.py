"""Full enumeration of all bits and orders of a small network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

from network.allocation import BITS, Allocation, Bits, Scheme, WeightScheme
from network.budget import Budget
from network.devices.latency import Latency, network_cycles
from network.layers import WeightLayer
from network.memory.accounting import Accounting, LayerBits
from network.memory.measure import measure
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
    """Return the minimum objective over all allowed bits and schemes in all orders; infinite if no bits fit."""
    orders = all_orders(network, 10_000)
    assert orders is not None
    layers = [layer.name for layer in network.weight_layers]
    best = math.inf
    for order in orders:
        same_bits = accounting.same_bits(order)
        kept = {same_bits[tensor] for tensor in (*order.input_names, *order.outputs)}
        own = [tensor for tensor in dict.fromkeys(same_bits.values()) if tensor not in kept]
        for chosen in itertools.product(BITS, repeat=len(own)):
            own_bits: dict[str, Bits] = {**dict.fromkeys(kept, BITS[0]), **dict(zip(own, chosen, strict=True))}
            activation_bits = {tensor: own_bits[same_bits[tensor]] for tensor in order.tensors}
            activation_sum = table.objective(Allocation({}, activation_bits, {}))
            if activation_sum >= best:
                continue
            if any(activation_bits[name] not in bits for name, bits in choices.allowed_activation_bits.items()):
                continue
            for weight_choice in itertools.product(*(choices.allowed_weight_bits.get(name, BITS) for name in layers)):
                weight_bits = dict(zip(layers, weight_choice, strict=True))
                if not _is_same(order, weight_bits):
                    continue
                rows = [table.weight_rows(scheme) for scheme in choices.schemes]
                least = [min(each[name][weight_bits[name]] for each in rows) for name in layers]
                if activation_sum + sum(least) >= best:
                    continue
                for schemes in _schemes(order, accounting, table, choices, weight_bits, activation_bits):
                    allocation = Allocation(weight_bits, activation_bits, schemes)
                    objective = table.objective(allocation)
                    if objective >= best:
                        continue
                    if latency is not None and network_cycles(order, allocation, latency.speed) > latency.most_cycles:
                        continue
                    report = measure(order, allocation, accounting)
                    if report.ram_bytes > budget.ram_bytes:
                        break  # schemes do not change the RAM
                    if report.flash_bytes <= budget.flash_bytes:
                        best = objective
    return best


def _schemes(
    network: Network,
    accounting: Accounting,
    table: SensitivityTable,
    choices: Choices,
    weight_bits: dict[str, Bits],
    activation_bits: dict[str, Bits],
) -> Iterator[dict[str, Scheme]]:
    """Yield every choice of schemes; of schemes that the table does not distinguish, only one of the fewest bytes."""
    layers = [layer.name for layer in network.weight_layers]
    cheapest = {
        scheme: cheapest_schemes(network, accounting, scheme, weight_bits, activation_bits)
        for scheme in choices.schemes
    }
    if len(choices.schemes) > 1:
        bits = {tensor: activation_bits[tensor] for tensor in network.tensors}

        def size(scheme: WeightScheme, layer: WeightLayer) -> int:
            own = LayerBits(bits[layer.inputs[0]], bits[layer.output])
            given = cheapest[scheme][layer.name]
            return accounting.parameter_bytes(network, layer, given, own, is_last=layer is network.weight_layers[-1])

        alike = [scheme for scheme in choices.schemes if scheme not in table.weights_by_scheme]
        # Layers that share weights have one scheme: there, every scheme is tried.
        options = []
        for layer in network.weight_layers:
            distinguished = [scheme for scheme in choices.schemes if scheme in table.weights_by_scheme]
            smallest = [min((size(scheme, layer), scheme) for scheme in alike)[1]] if alike else []
            options.append(list(choices.schemes) if layer.shared_weight is not None else distinguished + smallest)
    else:
        options = [list(choices.schemes)] * len(layers)
    for chosen in itertools.product(*options):
        scheme_of = dict(zip(layers, chosen, strict=True))
        if _is_same(network, scheme_of):
            yield {name: cheapest[scheme][name] for name, scheme in scheme_of.items()}


def _is_same(network: Network, of_layer: Mapping[str, object]) -> bool:
    """Return whether layers that share weights have the same bits, or the same scheme."""
    return not any(
        of_layer[one.name] != of_layer[other.name]
        for one, other in itertools.combinations(network.weight_layers, 2)
        if one.shared_weight is not None and one.shared_weight == other.shared_weight
    )
