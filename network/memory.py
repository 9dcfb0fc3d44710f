"""The only byte accounting: what a network takes of flash and RAM under an allocation.

Two rule books are designed; one stands here. `paper` keeps the arithmetic of arXiv 1905.13082's published code:

    a tensor of n elements at b bits takes n * b / 8 bytes, a fraction is kept

    flash = packed weights + parameters, c output channels:
        per layer, folded weights     4 c + 20
        per layer, ICN                9 c + 12      the last layer: 4 c + 20 whatever the fold
        per channel, ICN             10 c +  8      the last layer: 7 c +  4

    RAM, a chain                       RAM, any other graph
      conv   pool   fc                   step   add        live
      in|out        in|out               a      |          input + a
      only layers with weights;          b      |  a       a + b        a waits for the add
      a layer's input has the bits       add    |  a, b    a + b + sum
      of the layer before it

In a chain only layers with weights are seen, as the paper sees them: a pool between two of them takes no step, and its
output has the bits of its input. In any other graph each layer is a step, and every tensor that is alive during it
counts: live from the step that writes it to the last that reads it. The caller's input is live from the start, the
network's outputs until the end. The largest step must fit.

`deployed`, the other book, will be an `Accounting` beside it; solvers and reports see the protocol alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from network.allocation import Allocation, Bits, Folding, Scheme
from network.errors import InvalidNetwork, RequestError
from network.layers import WeightLayer
from network.network import Network


@dataclass(frozen=True, slots=True)
class Occupant:
    """A tensor that takes RAM during a step.

    Attributes:
        tensor: whose bits it has.
        elements: how many of them it takes.
    """

    tensor: str
    elements: int

    def size_bytes(self, bits: Bits) -> float:
        return self.elements * bits / 8


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the schedule, and what is alive during it.

    Attributes:
        layer: the layer that runs.
        inputs: what it reads.
        output: what it writes.
        waiting: what is alive beside, read by a later step.
    """

    layer: str
    inputs: tuple[Occupant, ...]
    output: Occupant
    waiting: tuple[Occupant, ...] = ()

    @property
    def live(self) -> tuple[Occupant, ...]:
        return (*self.inputs, self.output, *self.waiting)


@dataclass(frozen=True, slots=True)
class LayerFlash:
    """What one layer takes of flash."""

    layer: str
    weight_bytes: float
    parameter_bytes: int

    @property
    def flash_bytes(self) -> float:
        return self.weight_bytes + self.parameter_bytes


@dataclass(frozen=True, slots=True)
class StepRam:
    """What one step takes of RAM."""

    layer: str
    input_bytes: float
    output_bytes: float
    waiting_bytes: float

    @property
    def ram_bytes(self) -> float:
        return self.input_bytes + self.output_bytes + self.waiting_bytes


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """Flash by layer (those with weights), RAM by step, and their totals."""

    accounting: str
    layers: tuple[LayerFlash, ...]
    steps: tuple[StepRam, ...]

    @property
    def flash_bytes(self) -> float:
        return sum(layer.flash_bytes for layer in self.layers)

    @property
    def ram_bytes(self) -> float:
        return max(step.ram_bytes for step in self.steps)

    @property
    def peak_layer(self) -> str:
        """The first layer whose step takes the most RAM."""
        return max(self.steps, key=lambda step: step.ram_bytes).layer


class Accounting(Protocol):
    """A rule book."""

    name: str

    def steps(self, network: Network) -> tuple[Step, ...]:
        """The steps that take RAM, in schedule order."""
        ...

    def same_bits(self, network: Network) -> Mapping[str, str]:
        """Every tensor -> the tensor whose bits it has: itself, or an earlier one."""
        ...

    def parameter_bytes(self, layer: WeightLayer, scheme: Scheme, *, is_last: bool) -> int:
        """Flash of a weight layer beside its weights; `is_last`: no layer with weights runs after it."""
        ...


class PaperAccounting:
    """The arithmetic of the paper's published code; see the module's text."""

    name = "paper"

    def steps(self, network: Network) -> tuple[Step, ...]:
        return _chain_steps(network) if network.is_chain else _graph_steps(network)

    def same_bits(self, network: Network) -> Mapping[str, str]:
        if not network.is_chain:
            return {tensor: tensor for tensor in network.tensors}
        weighted = {layer.name for layer in network.weight_layers}
        same = {network.input: network.input}
        for layer in network.layers:
            same[layer.output] = layer.output if layer.name in weighted else same[layer.inputs[0]]
        return same

    def parameter_bytes(self, layer: WeightLayer, scheme: Scheme, *, is_last: bool) -> int:
        channels = layer.output_channels
        if scheme.weights.is_per_channel:
            if scheme.folding is not Folding.ICN:
                raise RequestError(
                    "the paper's accounting knows per-channel weights with ICN only, not with folded weights"
                )
            return 7 * channels + 4 if is_last else 10 * channels + 8
        if scheme.folding is Folding.WEIGHTS or is_last:
            return 4 * channels + 20
        return 9 * channels + 12


ACCOUNTINGS: Final[Mapping[str, Accounting]] = {book.name: book for book in (PaperAccounting(),)}


def accounting_named(name: str) -> Accounting:
    """The rule book of that name.

    Raises:
        RequestError: there is none.
    """
    try:
        return ACCOUNTINGS[name]
    except KeyError:
        raise RequestError(f"unknown accounting {name[:60]!r}; expected one of: {', '.join(ACCOUNTINGS)}") from None


def measure(network: Network, allocation: Allocation, accounting: Accounting) -> MemoryReport:
    """The memory report of a network under an allocation."""
    weighted = network.weight_layers
    layers = tuple(
        LayerFlash(
            layer.name,
            network.weight_elements(layer) * allocation.weight_bits[layer.name] / 8,
            accounting.parameter_bytes(layer, allocation.schemes[layer.name], is_last=layer is weighted[-1]),
        )
        for layer in weighted
    )
    bits = allocation.activation_bits

    def taken(occupants: tuple[Occupant, ...]) -> float:
        return sum(each.size_bytes(bits[each.tensor]) for each in occupants)

    steps = tuple(
        StepRam(step.layer, taken(step.inputs), taken((step.output,)), taken(step.waiting))
        for step in accounting.steps(network)
    )
    return MemoryReport(accounting.name, layers, steps)


def _chain_steps(network: Network) -> tuple[Step, ...]:
    if not network.weight_layers:
        raise InvalidNetwork("the network has no convolution and no fully connected layer: nothing to fit")
    steps = []
    bits_of_input = network.input
    for layer in network.weight_layers:
        (shape,) = network.input_shapes(layer)
        inputs = (Occupant(bits_of_input, shape.elements),)
        steps.append(Step(layer.name, inputs, Occupant(layer.output, network.shapes[layer.output].elements)))
        bits_of_input = layer.output
    return tuple(steps)


def _graph_steps(network: Network) -> tuple[Step, ...]:
    if not network.weight_layers:
        raise InvalidNetwork("the network has no convolution and no fully connected layer: nothing to fit")
    last_read = {layer_input: step for step, layer in enumerate(network.layers) for layer_input in layer.inputs}
    last_read |= dict.fromkeys(network.outputs, len(network.layers))
    steps = []
    alive: dict[str, Occupant] = {network.input: Occupant(network.input, network.input_shape.elements)}
    for step, layer in enumerate(network.layers):
        output = Occupant(layer.output, network.shapes[layer.output].elements)
        inputs = tuple(alive[tensor] for tensor in dict.fromkeys(layer.inputs))
        waiting = tuple(each for tensor, each in alive.items() if tensor not in layer.inputs)
        steps.append(Step(layer.name, inputs, output, waiting))
        alive[layer.output] = output
        for tensor in layer.inputs:
            if last_read[tensor] <= step:
                alive.pop(tensor, None)
    return tuple(steps)
