"""The allocation problem that every method solves: tensors whose bits are to be chosen, their sizes, and limits.

`problem_building.py` builds it from a question. A method needs nothing else: it sees no layer, no shape and no rule of
an accounting. Sizes are whole numbers of bits for 8, 4 and 2 bits, in that order; bits and not bytes, because the
`paper` accounting counts fractions of a byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from network.allocation import BITS, Allocation, Bits, Scheme

BITS_PER_BYTE: Final = 8
CHOICE_OF_BITS: Final[Mapping[Bits, int]] = {bits: choice for choice, bits in enumerate(BITS)}
"""Bits -> index of their choice: 8 -> 0, 4 -> 1, 2 -> 2."""

Sizes = tuple[int, int, int]
"""Size in bits of something at 8, 4 and 2 bits."""

NOTHING: Final[Sizes] = (0, 0, 0)


def sizes_of(size: Callable[[Bits], int]) -> Sizes:
    """Return the sizes in bits at 8, 4 and 2 bits, from a function that returns the size in bits at given bits."""
    widest, middle, narrowest = (size(bits) for bits in BITS)
    return widest, middle, narrowest


def plus(sizes: Sizes, more: Sizes) -> Sizes:
    """Return the sums of two tensors' sizes at 8, 4 and 2 bits."""
    return sizes[0] + more[0], sizes[1] + more[1], sizes[2] + more[2]


@dataclass(frozen=True, slots=True)
class ParameterSize:
    """Size of a layer's parameters in bits: a constant, a term by its input's bits and one by its output's bits.

    Attributes:
        constant: The term that does not depend on bits.
        by_input: The term of the layer's first input tensor, 0 at 8 bits.
        by_output: The term of the layer's output tensor, 0 at 8 bits.
    """

    constant: int
    by_input: Sizes = NOTHING
    by_output: Sizes = NOTHING

    def total(self, input_bits: Bits, output_bits: Bits) -> int:
        """Return the size of a layer's parameters in bits, given the bits of its input and output.

        Args:
            input_bits: Bits of the layer's first input tensor.
            output_bits: Bits of the layer's output tensor.
        """
        return self.constant + self.by_input[CHOICE_OF_BITS[input_bits]] + self.by_output[CHOICE_OF_BITS[output_bits]]


@dataclass(frozen=True, slots=True)
class WeightTensor:
    """Weight tensor of a layer, whose bits are to be chosen, with its size at 8, 4 and 2 bits.

    Attributes:
        layer: Name of the layer that reads the weights.
        owner: Name of the first layer that reads the same weight tensor; the layer itself, unless it shares the weights
            of an earlier one. Layers with the same owner have the same bits.
        input: Name of the activation tensor whose bits the layer's input has.
        output: Name of the activation tensor whose bits the layer's output has.
        sizes: Size of the packed weights in bits; 0 if they are counted with another layer that shares them.
        parameters: Scheme that the layer can have -> size of the layer's parameters; the preferred scheme first, each
            with ICN before folding.
    """

    layer: str
    owner: str
    input: str
    output: str
    sizes: Sizes
    parameters: Mapping[Scheme, ParameterSize]


@dataclass(frozen=True, slots=True)
class RamStep:
    """One step of the schedule, with the sizes of the tensors in memory and the largest RAM that they may need.

    Attributes:
        layer: Name of the layer that runs in the step.
        output: Name of the tensor that the layer writes.
        tensors: Name of each tensor that is alive, including the output -> its sizes.
        limit: Largest sum of sizes, in bits, the RAM features that are needed included: the RAM budget without the
            scratch memory of the step and the memory that the network always needs.
        own: Names of the tensors that the layer reads and writes; the other tensors wait for a later step.
        overwrites: Names of the inputs that the output overwrites if both have the same bits. In one order of the
            layers, there is at most one; in the relaxation over all orders, one for each input that is overwritten in
            some order.
        saved: Size by which the step is smaller if the output overwrites an input, by their bits.
        candidates: Names of the inputs that the output could overwrite if this layer were their last reader, in the
            order of the layer's inputs.
    """

    layer: str
    output: str
    tensors: Mapping[str, Sizes]
    limit: int
    own: tuple[str, ...]
    overwrites: tuple[str, ...] = ()
    saved: Sizes = NOTHING
    candidates: tuple[str, ...] = ()

    def size(self, activation_bits: Mapping[str, Bits]) -> int:
        """Return the summed size in bits of the tensors that are in memory during a step of the schedule.

        Args:
            activation_bits: Name of each activation tensor that is alive -> its bits.
        """
        total = sum(sizes[CHOICE_OF_BITS[activation_bits[tensor]]] for tensor, sizes in self.tensors.items())
        bits = activation_bits[self.output]
        in_place = sum(activation_bits[tensor] == bits for tensor in self.overwrites)
        return total - in_place * self.saved[CHOICE_OF_BITS[bits]]


@dataclass(frozen=True, slots=True)
class CodeFeature:
    """Flash or RAM that code needs once if at least one tensor has certain bits, e.g. a kernel, or its stack.

    Attributes:
        name: Name of the feature, which no other feature of the problem has.
        size: Size in bits of the memory that is needed.
        weights: Pairs of a layer and the bits of its weights that need the feature.
        activations: Pairs of an activation tensor and its bits that need the feature.
    """

    name: str
    size: int
    weights: frozenset[tuple[str, Bits]]
    activations: frozenset[tuple[str, Bits]]


@dataclass(frozen=True, slots=True)
class LayerCycles:
    """Estimated cycles of a layer with weights, by the bits of its input and of its weights.

    Attributes:
        layer: Name of the layer.
        tensor: Name of the activation tensor that the layer reads.
        cycles: Number of cycles by the bits of the tensor, then by the bits of the weights.
    """

    layer: str
    tensor: str
    cycles: tuple[Sizes, Sizes, Sizes]


@dataclass(frozen=True, slots=True)
class Cycles:
    """Latency ceiling for the layers with weights, with the cycles of each of them.

    Attributes:
        limit: Largest number of cycles of these layers: the ceiling without the cycles of the other layers.
        layers: The layers with weights, in layer order.
    """

    limit: int
    layers: tuple[LayerCycles, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Allocation problem: tensors whose bits are to be chosen, with their sizes and the limits on flash and RAM.

    Attributes:
        activations: Names of the activation tensors that decide bits, in the order in which they are written, the
            network's inputs first. Every other activation tensor has the bits of one of them.
        fixed: Names of those of them that keep 8 bits, because an input or output of the network has their bits.
        steps: The steps of the schedule.
        weights: The weight tensor of each layer that has weights, in layer order.
        flash_limit: Largest size in bits of weights, parameters that depend on bits, and features: the flash budget
            without what is needed for all bits.
        parameters: Name of an activation tensor -> size of the parameters of layers without weights that depends on its
            bits.
        features: Flash that is needed once if a tensor has certain bits.
        same_bits: Name of each activation tensor of the network -> name of the one of `activations` whose bits it has.
        reuses_input: Whether the memory of each input of the network is free after the last layer that reads it. If
            not, the inputs are alive during every step.
        cycles: Cycles of the layers under a latency ceiling; None if there is no ceiling.
        ram_features: RAM that is needed in every step if a tensor has certain bits: the deeper stack of some kernels.
    """

    activations: tuple[str, ...]
    fixed: frozenset[str]
    steps: tuple[RamStep, ...]
    weights: tuple[WeightTensor, ...]
    flash_limit: int
    parameters: Mapping[str, Sizes]
    features: tuple[CodeFeature, ...]
    same_bits: Mapping[str, str]
    reuses_input: bool = True
    cycles: Cycles | None = None
    ram_features: tuple[CodeFeature, ...] = ()

    def needed_ram_features(self, allocation: Allocation) -> frozenset[str]:
        """Return the names of the RAM features that an allocation needs.

        Args:
            allocation: Bits of every tensor.
        """
        return frozenset(
            feature.name
            for feature in self.ram_features
            if any(allocation.weight_bits[layer] == bits for layer, bits in feature.weights)
            or any(allocation.activation_bits[tensor] == bits for tensor, bits in feature.activations)
        )

    @property
    def weight_tensors(self) -> Mapping[str, tuple[int, ...]]:
        """Name of the owner of each weight tensor -> indices in `weights` of the layers that read it, ascending."""
        readers: dict[str, list[int]] = {}
        for index, tensor in enumerate(self.weights):
            readers.setdefault(tensor.owner, []).append(index)
        return {owner: tuple(indices) for owner, indices in readers.items()}

    @property
    def has_steps_in_place(self) -> bool:
        """Whether an output can overwrite an input of the same bits, so that more bits can need less RAM."""
        return any(step.overwrites for step in self.steps)

    @property
    def has_candidates(self) -> bool:
        """Whether, in some order of the layers, an output can overwrite an input of the same bits."""
        return any(step.candidates for step in self.steps)
