"""Random small networks, sensitivities, budgets and latency ceilings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from network.allocation import BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.budget import Budget
from network.devices.latency import CoreSpeed, Latency, layer_cycles
from network.kernel_sizes.tables import Optimization, sizes_for
from network.kernels import IN_PLACE_KERNELS, KERNELS_WITHOUT_WEIGHTS, WEIGHT_KERNELS
from network.layers import (
    RELU,
    Activation,
    Add,
    AveragePool,
    Concat,
    Convolution,
    FullyConnected,
    Layer,
    Padding,
    Shape,
)
from network.memory.accounting import Accounting, LayerBits
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.paper import PaperAccounting
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.exact.choices import Choices
from tests.builders import network_of


class TableBook(DeployedAccounting):
    """Accounting whose parameters depend on activation bits.

    It counts an activation function as a table lookup, and a layer with weights as thresholds for each output code.
    """

    def parameter_bytes(
        self, network: Network, layer: Layer, scheme: Scheme | None, bits: LayerBits, *, is_last: bool
    ) -> int:
        constant = super().parameter_bytes(network, layer, scheme, bits, is_last=is_last)
        if isinstance(layer, Activation):
            return constant + 2**bits.input + bits.output
        return constant + 2**bits.output + (bits.input if isinstance(layer, Convolution) else 0)


BOOKS = (
    PaperAccounting(),
    DeployedAccounting(),
    DeployedAccounting(reuses_input=False),
    DeployedAccounting(in_place=IN_PLACE_KERNELS),
    DeployedAccounting(in_place=IN_PLACE_KERNELS, reuses_input=False),
    TableBook(),
    TableBook(in_place=IN_PLACE_KERNELS),
    DeployedAccounting(sizes_for("rv32imac"), in_place=()),
    DeployedAccounting(sizes_for("cortex-m55", Optimization.UNROLLED)),
)
BOOK_NAMES = (
    "paper",
    "deployed",
    "deployed, input kept",
    "in place",
    "in place, input kept",
    "constants by bits",
    "in place, constants by bits",
    "stack by bits",
    "in place, stack by bits",
)


def pointwise(name: str, source: str, channels: int, *, kernel: int = 1) -> Convolution:
    """Return a square convolution that keeps the image size; `source` is the name of its input tensor."""
    return Convolution(
        name=name,
        inputs=(source,),
        output=name,
        activation=RELU,
        output_channels=channels,
        kernel=(kernel, kernel),
        padding=Padding(*(kernel // 2,) * 4),
    )


def depthwise(name: str, source: str, channels: int) -> Convolution:
    """Return a 3x3 depthwise convolution that keeps the image size; `source` is the name of its input tensor."""
    return Convolution(
        name=name,
        inputs=(source,),
        output=name,
        activation=RELU,
        output_channels=channels,
        kernel=(3, 3),
        padding=Padding(1, 1, 1, 1),
        groups=channels,
    )


@st.composite
def chains(draw: st.DrawFn, most: int = 8) -> Network:
    """Draw a chain of convolutions, with or without a pool and a fully connected layer at the end."""
    side = draw(st.integers(1, 9))
    layers: list[Layer] = []
    source, channels = "input", 0
    for index in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(("convolution", "depthwise", "activation"))) if index else ""
        if kind == "depthwise":
            layers.append(depthwise(f"l{index}", source, channels))
        elif kind == "activation":
            layers.append(Activation(name=f"l{index}", inputs=(source,), output=f"l{index}", activation=RELU))
        else:
            channels = draw(st.integers(1, 40))
            layers.append(pointwise(f"l{index}", source, channels, kernel=draw(st.sampled_from((1, 3)))))
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
    """Draw a graph of convolutions, activation functions, adds and concats, with one image size for all tensors.

    Some graphs have a second input, "other", which any layer but the first may read.
    """
    side = draw(st.integers(1, 8))
    channels = draw(st.sampled_from((2, 4, 5, 8)))
    layers: list[Layer] = [pointwise("l0", "input", channels)]
    same_shape = ["l0", "other"] if draw(st.booleans()) else ["l0"]  # tensors that an add may read
    for index in range(1, draw(st.integers(2, most))):
        kinds = ("convolution", "add", "concat", "depthwise", "activation")
        name, kind = f"l{index}", draw(st.sampled_from(kinds))
        joined = draw(st.lists(st.sampled_from(same_shape), min_size=1, max_size=3, unique=True))
        if kind == "depthwise":
            layers.append(depthwise(name, draw(st.sampled_from(same_shape)), channels))
        elif kind == "activation":
            source = draw(st.sampled_from(same_shape))
            layers.append(Activation(name=name, inputs=(source,), output=name, activation=RELU))
        elif kind == "convolution" or len(joined) < 2:
            layers.append(pointwise(name, draw(st.sampled_from(same_shape)), channels))
        elif kind == "add":
            layers.append(Add(name=name, inputs=tuple(joined), output=name))
        else:
            layers.append(Concat(name=f"{name}_concat", inputs=tuple(joined), output=f"{name}_concat"))
            layers.append(pointwise(name, f"{name}_concat", channels))
        same_shape.append(name)
    read = {tensor for layer in layers for tensor in layer.inputs}
    ends = tuple(layer.output for layer in layers if layer.output not in read)
    others = {"other": Shape(channels, side, side)} if "other" in read else {}
    given = Shape(draw(st.sampled_from((1, channels))), side, side)
    return network_of(layers, given, outputs=ends, other_inputs=others)


def with_shared_weights(network: Network, seed: int) -> Network:
    """Return the network with about half of the convolutions of equal shape sharing a weight tensor, by random groups.

    No weight tensor that has only one reader gets a name.
    """
    rng = np.random.default_rng(seed)
    names = {
        layer.name: f"{layer.weight_shape(network.input_shapes(layer))}, groups {layer.groups}, {rng.integers(0, 2)}"
        for layer in network.layers
        if isinstance(layer, Convolution)
    }
    shared = {name for name in names.values() if list(names.values()).count(name) > 1}
    layers = tuple(
        replace(layer, shared_weight=names[layer.name])
        if isinstance(layer, Convolution) and names[layer.name] in shared
        else layer
        for layer in network.layers
    )
    return replace(network, layers=layers)


def branches(count: int) -> Network:
    """Return a network with `count` branches of a wide and a narrow layer between a stem and a concat."""
    wide = [pointwise(f"wide{branch}", "stem", 64) for branch in range(count)]
    narrow = [pointwise(f"narrow{branch}", f"wide{branch}", 2) for branch in range(count)]
    layers = [pointwise("stem", "input", 4), *wide, *narrow]
    ends = tuple(f"narrow{branch}" for branch in range(count))
    return network_of(
        [*layers, Concat(name="join", inputs=ends, output="join"), pointwise("head", "join", 4)], Shape(4, 2, 2)
    )


def random_table(network: Network, seed: int, *, has_schemes: bool = False) -> SensitivityTable:
    """Return a random table in which fewer bits never have a smaller sensitivity.

    Args:
        network: The network.
        seed: Seed of the sensitivities.
        has_schemes: Whether the table has rows for some of the schemes.
    """
    rng = np.random.default_rng(seed)

    def row() -> dict[Bits, float]:
        return dict(zip(BITS, np.sort(rng.exponential(1, len(BITS))).tolist(), strict=True))

    def rows() -> dict[str, dict[Bits, float]]:
        return {layer.name: row() for layer in network.weight_layers}

    table = SensitivityTable("random", rows(), {tensor: row() for tensor in network.tensors})
    some = [scheme for scheme in WeightScheme if has_schemes and rng.random() < 0.6]
    return replace(table, weights_by_scheme={scheme: rows() for scheme in some})


def budget_between(
    network: Network, accounting: Accounting, weights: WeightScheme, ram_share: float, flash_share: float
) -> Budget:
    """Return a budget between the sizes of 2 bits and of 8 bits for all tensors.

    Args:
        network: The network.
        accounting: The accounting that counts bytes.
        weights: Scheme of the weights.
        ram_share: Position of the RAM budget: 0 for the size of 2 bits, 1 for that of 8 bits; may be outside.
        flash_share: Position of the flash budget.
    """

    def at(bits: Bits) -> tuple[float, float]:
        kept = {*network.input_names, *network.outputs}
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
    """Return the scheme of each layer: folding if it is possible and needs no more bytes than ICN, else ICN."""
    schemes = {}
    for layer in network.weight_layers:
        icn = Scheme(weights, Folding.ICN)
        possible = [icn]
        if (
            layer.shared_weight is None
            and not weights.is_per_channel
            and (weight_bits[layer.name], activation_bits[layer.output]) == (8, 8)
        ):
            possible.insert(0, Scheme(weights, Folding.WEIGHTS))
        is_last = layer is network.weight_layers[-1]
        bits = LayerBits(activation_bits[layer.inputs[0]], activation_bits[layer.output])
        sizes = [accounting.parameter_bytes(network, layer, scheme, bits, is_last=is_last) for scheme in possible]
        schemes[layer.name] = possible[sizes.index(min(sizes))]
    return schemes


def random_latency(network: Network, share: float, seed: int) -> Latency:
    """Return random rates for all bits, and a ceiling between the fewest and the most cycles.

    Args:
        network: The network.
        share: Position of the ceiling: 0 for the fewest cycles, 1 for the most.
        seed: Seed of the random rates.
    """
    rng = np.random.default_rng(seed)
    rates = {
        (kernel, activation, weight): float(rng.uniform(0.01, 1.0))
        for kernel in WEIGHT_KERNELS
        for activation in BITS
        for weight in BITS
    }
    speed = CoreSpeed("random", rates, dict.fromkeys(KERNELS_WITHOUT_WEIGHTS, 0.5), "random", frozenset())
    least = most = 0
    for layer in network.layers:
        weight_bits = BITS if layer in network.weight_layers else (None,)
        cycles = [layer_cycles(network, layer, bits, each, speed) for bits in BITS for each in weight_bits]
        least, most = least + min(cycles), most + max(cycles)
    return Latency(speed, max(1, int(least + (most - least) * share)))


def random_choices(network: Network, weights: WeightScheme | tuple[WeightScheme, ...], seed: int) -> Choices:
    """Return choices that restrict the bits of about half of the tensors."""
    rng = np.random.default_rng(seed)

    def some() -> tuple[Bits, ...]:
        return tuple(bits for bits in BITS if rng.random() < 0.5) or (BITS[rng.integers(0, len(BITS))],)

    fixed = {*network.input_names, *network.outputs}
    return Choices(
        weights if isinstance(weights, tuple) else (weights,),
        {layer.name: some() for layer in network.weight_layers if rng.random() < 0.5},
        {tensor: some() for tensor in network.tensors if tensor not in fixed and rng.random() < 0.5},
    )
