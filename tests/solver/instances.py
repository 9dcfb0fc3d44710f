"""Random small networks with sensitivities and budgets, and the answer by trying everything."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import strategies as st

from network.allocation import BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.budget import Budget
from network.layers import RELU, Add, AveragePool, Concat, Convolution, FullyConnected, Layer, Padding, Shape
from network.memory import Accounting, measure
from network.network import Network
from network.sensitivity import SensitivityTable
from solver.orders import all_orders
from tests.builders import network_of


def pointwise(name: str, source: str, channels: int, *, kernel: int = 1) -> Convolution:
    return Convolution(
        name=name,
        inputs=(source,),
        output=name,
        activation=RELU,
        output_channels=channels,
        kernel=(kernel, kernel),
        padding=Padding(*(kernel // 2,) * 4),
    )


@st.composite
def chains(draw: st.DrawFn, most: int = 8) -> Network:
    """Convolutions one after the other, with or without a fully connected layer at the end."""
    side = draw(st.integers(1, 9))
    layers: list[Layer] = []
    source = "input"
    for index in range(draw(st.integers(1, most))):
        layers.append(pointwise(f"l{index}", source, draw(st.integers(1, 40)), kernel=draw(st.sampled_from((1, 3)))))
        source = layers[-1].output
    if draw(st.booleans()):
        if draw(st.booleans()):
            layers.append(AveragePool(name="pool", inputs=(source,), output="pool", kernel=(side, side)))
            source = "pool"
        classes = draw(st.integers(1, 12))
        layers.append(FullyConnected(name="fc", inputs=(source,), output="fc", output_channels=classes))
    return network_of(layers, Shape(draw(st.integers(1, 16)), side, side))


@st.composite
def graphs(draw: st.DrawFn, most: int = 9) -> Network:
    """Residual, branching and concatenating graphs of 1x1 convolutions on one image size."""
    side = draw(st.integers(1, 8))
    channels = draw(st.sampled_from((2, 4, 5, 8)))
    layers: list[Layer] = [pointwise("l0", "input", channels)]
    alike = ["l0"]  # tensors that an add may join
    for index in range(1, draw(st.integers(2, most))):
        name, kind = f"l{index}", draw(st.sampled_from(("convolution", "add", "concat")))
        joined = draw(st.lists(st.sampled_from(alike), min_size=1, max_size=3, unique=True))
        if kind == "convolution" or len(joined) < 2:
            layers.append(pointwise(name, draw(st.sampled_from(alike)), channels))
        elif kind == "add":
            layers.append(Add(name=name, inputs=tuple(joined), output=name))
        else:
            layers.append(Concat(name=f"{name}_concat", inputs=tuple(joined), output=f"{name}_concat"))
            layers.append(pointwise(name, f"{name}_concat", channels))
        alike.append(name)
    read = {tensor for layer in layers for tensor in layer.inputs}
    ends = tuple(layer.output for layer in layers if layer.output not in read)
    return network_of(layers, Shape(draw(st.integers(1, 8)), side, side), outputs=ends)


def branches(count: int) -> Network:
    """The stem feeds `count` branches of a wide and a narrow layer, whose narrow ends are joined."""
    wide = [pointwise(f"wide{branch}", "stem", 64) for branch in range(count)]
    narrow = [pointwise(f"narrow{branch}", f"wide{branch}", 2) for branch in range(count)]
    layers = [pointwise("stem", "input", 4), *wide, *narrow]
    ends = tuple(f"narrow{branch}" for branch in range(count))
    return network_of(
        [*layers, Concat(name="join", inputs=ends, output="join"), pointwise("head", "join", 4)], Shape(4, 2, 2)
    )


def random_table(network: Network, seed: int) -> SensitivityTable:
    """Fewer bits never hurt less."""
    rng = np.random.default_rng(seed)

    def row() -> dict[Bits, float]:
        return dict(zip(BITS, np.sort(rng.exponential(1, len(BITS))).tolist(), strict=True))

    return SensitivityTable(
        "random", {layer.name: row() for layer in network.weight_layers}, {tensor: row() for tensor in network.tensors}
    )


def budget_between(
    network: Network, accounting: Accounting, weights: WeightScheme, ram_share: float, flash_share: float
) -> Budget:
    """A budget that far on the way from what 2 bits everywhere take to what 8 bits take."""

    def at(bits: Bits) -> tuple[float, float]:
        kept = {network.input, *network.outputs}
        activation_bits: dict[str, Bits] = {tensor: 8 if tensor in kept else bits for tensor in network.tensors}
        weight_bits = {layer.name: bits for layer in network.weight_layers}
        schemes = cheapest_schemes(network, accounting, weights, weight_bits, activation_bits)
        report = measure(network, Allocation(weight_bits, activation_bits, schemes), accounting)
        return report.flash_bytes, report.ram_bytes

    (least_flash, least_ram), (most_flash, most_ram) = at(2), at(8)
    return Budget(
        flash_bytes=max(1, int(least_flash + (most_flash - least_flash) * flash_share)),
        ram_bytes=max(1, int(least_ram + (most_ram - least_ram) * ram_share)),
    )


def cheapest_schemes(
    network: Network,
    accounting: Accounting,
    weights: WeightScheme,
    weight_bits: dict[str, Bits],
    activation_bits: dict[str, Bits],
) -> dict[str, Scheme]:
    """ICN, or folding where 8 bits on both sides of a layer with one range allow it and it takes no more bytes."""
    schemes = {}
    for layer in network.weight_layers:
        icn = Scheme(weights, Folding.ICN)
        possible = [icn]
        if not weights.is_per_channel and (weight_bits[layer.name], activation_bits[layer.output]) == (8, 8):
            possible.insert(0, Scheme(weights, Folding.WEIGHTS))
        is_last = layer is network.weight_layers[-1]
        taken = [accounting.parameter_bytes(network, layer, scheme, is_last=is_last) for scheme in possible]
        schemes[layer.name] = possible[taken.index(min(taken))]
    return schemes


def best_by_trying(
    network: Network, budget: Budget, accounting: Accounting, table: SensitivityTable, weights: WeightScheme
) -> float:
    """The least objective over all bits in all orders; infinite when nothing fits."""
    orders = all_orders(network, 10_000)
    assert orders is not None
    layers = [layer.name for layer in network.weight_layers]
    best = math.inf
    for order in orders:
        same_bits = accounting.same_bits(order)
        kept = {same_bits[tensor] for tensor in (order.input, *order.outputs)}
        own = [tensor for tensor in dict.fromkeys(same_bits.values()) if tensor not in kept]
        for chosen in itertools.product(BITS, repeat=len(own)):
            own_bits: dict[str, Bits] = {**dict.fromkeys(kept, BITS[0]), **dict(zip(own, chosen, strict=True))}
            activation_bits = {tensor: own_bits[same_bits[tensor]] for tensor in order.tensors}
            if table.objective({}, activation_bits) >= best:
                continue
            for weight_choice in itertools.product(BITS, repeat=len(layers)):
                weight_bits = dict(zip(layers, weight_choice, strict=True))
                objective = table.objective(weight_bits, activation_bits)
                if objective >= best:
                    continue
                schemes = cheapest_schemes(order, accounting, weights, weight_bits, activation_bits)
                report = measure(order, Allocation(weight_bits, activation_bits, schemes), accounting)
                if report.ram_bytes > budget.ram_bytes:
                    break  # no weights make it smaller
                if report.flash_bytes <= budget.flash_bytes:
                    best = objective
    return best
