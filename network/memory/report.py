"""The only byte accounting: what a network takes of flash and RAM under an allocation.

A rule book, an `Accounting`, says what each part takes; here the parts are added up, for every rule book alike.
`paper_accounting.py` and `deployed_accounting.py` hold the two that exist, `accounting.py` finds them by name.

    flash = for each layer: packed weights + parameters;   + what the network shares (kernels' code, start-up data)
    RAM   = the arena that holds the largest step;         + what lives beside it (state, stack)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from network.allocation import Allocation, Bits, Scheme
from network.arena.plan import ArenaPlan
from network.layers import Layer, WeightLayer
from network.memory.steps import Occupant, Step
from network.network import Network


class Region(StrEnum):
    """A kind of memory of the device."""

    FLASH = "flash"
    RAM = "ram"


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that the network takes once, whatever its layers are.

    Attributes:
        region: flash or RAM.
        part: what it is, e.g. "kernel code: convolution, 4-bit weights" or "stack".
        size_bytes: what it takes.
        is_estimate: it cannot be known before linking.
    """

    region: Region
    part: str
    size_bytes: int
    is_estimate: bool


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
    """What one step takes of RAM.

    Attributes:
        layer: the layer that runs.
        input_bytes: what it reads.
        output_bytes: what it writes; 0 where that lies on an input.
        waiting_bytes: what a later step reads.
        scratch_bytes: what its kernel takes beside.
        overwrites: the input that its output lies on; None where it has a place of its own.
    """

    layer: str
    input_bytes: float
    output_bytes: float
    waiting_bytes: float
    scratch_bytes: int = 0
    overwrites: str | None = None

    @property
    def ram_bytes(self) -> float:
        return self.input_bytes + self.output_bytes + self.waiting_bytes + self.scratch_bytes


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """Flash by layer, RAM by step, what is shared, and the totals.

    Attributes:
        accounting: the rule book's name.
        layers: those that take flash, in schedule order.
        steps: those that take RAM, in schedule order.
        shared: what is taken once.
        arena: where each tensor lies, if the rule book places tensors; else the largest step is what RAM they take.
    """

    accounting: str
    layers: tuple[LayerFlash, ...]
    steps: tuple[StepRam, ...]
    shared: tuple[Shared, ...] = ()
    arena: ArenaPlan | None = None

    @property
    def flash_bytes(self) -> float:
        return sum(layer.flash_bytes for layer in self.layers) + self._shared_bytes(Region.FLASH)

    @property
    def ram_bytes(self) -> float:
        activations = self.peak_bytes if self.arena is None else self.arena.arena_bytes
        return activations + self._shared_bytes(Region.RAM)

    @property
    def peak_bytes(self) -> float:
        """The largest step's."""
        return max(step.ram_bytes for step in self.steps)

    @property
    def peak_layer(self) -> str:
        """The first layer whose step takes the most RAM."""
        return max(self.steps, key=lambda step: step.ram_bytes).layer

    def _shared_bytes(self, region: Region) -> int:
        return sum(each.size_bytes for each in self.shared if each.region is region)


@dataclass(frozen=True, slots=True)
class Feature:
    """Something shared that is taken only where bits ask for it, e.g. a kernel for 4-bit weights.

    Attributes:
        shared: what is taken.
        layers: layers that ask for it, when their weights have `bits`; or
        tensors: tensors that ask for it, when they have `bits`.
        bits: at which they do.
    """

    shared: Shared
    bits: Bits
    layers: tuple[str, ...] = field(default=())
    tensors: tuple[str, ...] = field(default=())

    def is_needed(self, allocation: Allocation) -> bool:
        return any(allocation.weight_bits[layer] == self.bits for layer in self.layers) or any(
            allocation.activation_bits[tensor] == self.bits for tensor in self.tensors
        )


class Accounting(Protocol):
    """A rule book."""

    @property
    def name(self) -> str: ...

    @property
    def reuses_input(self) -> bool:
        """Whether the network's input gives its place up once it is read; else it lives to the end."""
        ...

    def steps(self, network: Network) -> tuple[Step, ...]:
        """The steps that take RAM, in schedule order."""
        ...

    def same_bits(self, network: Network) -> Mapping[str, str]:
        """Every tensor -> the tensor whose bits it has: itself, or an earlier one."""
        ...

    def activation_bytes(self, occupant: Occupant, bits: Bits) -> float:
        """RAM of an activation tensor; a multiple of 1/8."""
        ...

    def weight_bytes(self, network: Network, layer: WeightLayer, bits: Bits) -> float:
        """Flash of a weight tensor; a multiple of 1/8."""
        ...

    def parameter_bytes(self, network: Network, layer: Layer, scheme: Scheme | None, *, is_last: bool) -> int:
        """Flash of a layer beside its weights; `is_last`: no layer with weights runs after it."""
        ...

    def always_shared(self, network: Network) -> tuple[Shared, ...]:
        """What the network takes once, whatever the bits."""
        ...

    def features(self, network: Network) -> tuple[Feature, ...]:
        """What the network takes once, where bits ask for it."""
        ...

    def arena(self, network: Network, activation_bits: Mapping[str, Bits], enough_bytes: int = 0) -> ArenaPlan | None:
        """Where the tensors that have bits lie, without the others; None if the rule book does not place them.

        A plan of at most `enough_bytes` ends the search for a smaller one.
        """
        ...


def measure(network: Network, allocation: Allocation, accounting: Accounting) -> MemoryReport:
    """The memory report of a network under an allocation."""
    weighted = network.weight_layers
    bits = allocation.activation_bits
    layers = []
    for layer in network.layers:
        has_weights = isinstance(layer, WeightLayer)
        weight_bytes = (
            accounting.weight_bytes(network, layer, allocation.weight_bits[layer.name])
            if isinstance(layer, WeightLayer)
            else 0.0
        )
        parameter_bytes = accounting.parameter_bytes(
            network, layer, allocation.schemes.get(layer.name), is_last=bool(weighted) and layer is weighted[-1]
        )
        if has_weights or parameter_bytes:
            layers.append(LayerFlash(layer.name, weight_bytes, parameter_bytes))

    def taken(occupants: tuple[Occupant, ...]) -> float:
        return sum(accounting.activation_bytes(each, bits[each.tensor]) for each in occupants)

    steps = []
    for step in accounting.steps(network):
        overwritten = overwritten_input(step, accounting, bits)
        output_bytes = taken((step.output,)) if overwritten is None else 0.0
        scratch_bytes = step_scratch_bytes(step, overwritten)
        steps.append(
            StepRam(step.layer, taken(step.inputs), output_bytes, taken(step.waiting), scratch_bytes, overwritten)
        )
    asked_for = tuple(feature.shared for feature in accounting.features(network) if feature.is_needed(allocation))
    shared = (*accounting.always_shared(network), *asked_for)
    return MemoryReport(accounting.name, tuple(layers), tuple(steps), shared, accounting.arena(network, bits))


def bytes_saved_in_place(step: Step, accounting: Accounting, bits: Bits) -> float:
    """What a step takes less where its output lies on an input of the same bits; 0 where that would take more."""
    if step.in_place is None:
        return 0.0
    return max(accounting.activation_bytes(step.output, bits) - step.in_place.scratch_bytes, 0.0)


def overwritten_input(step: Step, accounting: Accounting, activation_bits: Mapping[str, Bits]) -> str | None:
    """The input that a step's output lies on under these bits; None where it has a place of its own.

    Tensors without bits are left out: nothing lies on them, and they on nothing.
    """
    if step.overwrites is None:
        return None
    bits = activation_bits.get(step.output.tensor)
    if bits is None or activation_bits.get(step.overwrites) != bits:
        return None
    return step.overwrites if bytes_saved_in_place(step, accounting, bits) > 0 else None


def step_scratch_bytes(step: Step, overwritten: str | None) -> int:
    """What a step's kernel takes beside, where its output lies on `overwritten`."""
    in_place = 0 if overwritten is None or step.in_place is None else step.in_place.scratch_bytes
    return step.scratch_bytes + in_place
