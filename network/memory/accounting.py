"""Interface of byte accounting: the rules by which the flash and RAM of a network are counted.

`deployed.py` and `paper.py` implement it, `books.py` finds an accounting by its name, and `measure.py` adds up what it
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from network.allocation import Allocation, Bits, Scheme
from network.arena.plan import ArenaPlan
from network.layers import Layer, WeightLayer
from network.memory.report import Region, Shared
from network.memory.steps import Occupant, Step
from network.network import Network


@dataclass(frozen=True, slots=True)
class LayerBits:
    """Number of bits of the activation tensors that a layer reads and writes.

    Attributes:
        input: Bits of the first tensor that the layer reads: 8, 4 or 2.
        output: Bits of the tensor that the layer writes: 8, 4 or 2.
    """

    input: Bits
    output: Bits


@dataclass(frozen=True, slots=True)
class Feature:
    """Memory that a network needs once, but only if certain bits are in use, e.g. the code of a 4-bit kernel.

    Several may be parts of one memory, such as the stack of which each deeper path adds some bytes; they have one name.

    It is needed if one of the layers of `weights` has the weight bits that stand beside it, or one of the tensors of
    `activations` the bits beside it.

    Attributes:
        shared: The memory that is needed if the bits are in use.
        weights: Pairs of a layer's name and bits of its weights: 8, 4 or 2.
        activations: Pairs of an activation tensor's name and its bits: 8, 4 or 2.
    """

    shared: Shared
    weights: frozenset[tuple[str, Bits]] = field(default=frozenset())
    activations: frozenset[tuple[str, Bits]] = field(default=frozenset())

    def is_needed(self, allocation: Allocation) -> bool:
        """Return whether an allocation uses the bits that need this memory, e.g. 4-bit weights for a 4-bit kernel."""
        return any(allocation.weight_bits[layer] == bits for layer, bits in self.weights) or any(
            allocation.activation_bits[tensor] == bits for tensor, bits in self.activations
        )


class Accounting(Protocol):
    """Interface of byte accounting: a set of rules by which the flash and RAM of a network are counted.

    Every method that counts bytes of a layer raises `InvalidNetwork` if the class of the layer is not registered in
    `network.kernels.LAYER_KINDS`. An accounting never assumes a size for a kind that it does not know.
    """

    @property
    def name(self) -> str:
        """Name by which a user chooses these byte accounting rules."""
        ...

    @property
    def reuses_input(self) -> bool:
        """Whether the memory of each input of the network is free after the last layer that reads it."""
        ...

    @property
    def counts_shared_weights_once(self) -> bool:
        """Whether a weight tensor that several layers read is counted once, with the first of them."""
        ...

    def steps(self, network: Network) -> tuple[Step, ...]:
        """Return the steps of a network's schedule whose RAM is counted, in the order in which they run."""
        ...

    def same_bits(self, network: Network) -> Mapping[str, str]:
        """Return, for each activation tensor, the tensor whose bits it must have: itself or an earlier one."""
        ...

    def activation_bytes(self, occupant: Occupant, bits: Bits) -> float:
        """Return the number of bytes of an activation tensor at a given number of bits; a multiple of 1/8."""
        ...

    def weight_bytes(self, network: Network, layer: WeightLayer, bits: Bits) -> float:
        """Return the number of bytes of a layer's weight tensor at a given number of bits; a multiple of 1/8.

        It is 0 if an earlier layer stores the same weight tensor and `counts_shared_weights_once` is true.
        """
        ...

    def parameter_bytes(
        self, network: Network, layer: Layer, scheme: Scheme | None, bits: LayerBits, *, is_last: bool
    ) -> int:
        """Return the number of bytes of flash that a layer needs in addition to its weights, such as biases.

        Args:
            network: The network that contains the layer.
            layer: The layer.
            scheme: Scheme of the layer's weights; None for a layer without weights.
            bits: Bits of the layer's input and output tensor.
            is_last: Whether the layer is the last one with weights.

        The number must be a sum of a term that depends on the bits of the input alone and one that depends on the bits
        of the output alone, and what folding saves must not depend on the bits of the input: the exact program counts
        the terms of each tensor separately.
        """
        ...

    def always_shared(self, network: Network) -> tuple[Shared, ...]:
        """Return the memory that a network needs once, whatever the bits of its tensors."""
        ...

    def features(self, network: Network) -> tuple[Feature, ...]:
        """Return the memory that a network needs once, but only if certain bits are in use."""
        ...

    def arena(self, network: Network, activation_bits: Mapping[str, Bits], enough_bytes: int = 0) -> ArenaPlan | None:
        """Plan the offset of each activation tensor of a network in the arena, the RAM buffer that they share.

        Args:
            network: The network, with its layers in schedule order.
            activation_bits: Name of each tensor to place -> its bits; other tensors are left out.
            enough_bytes: Arena size in bytes at which the search for a smaller plan stops.

        Returns:
            The plan; None if the accounting makes no plan.
        """
        ...


def shared_memory(network: Network, allocation: Allocation, accounting: Accounting) -> tuple[Shared, ...]:
    """Return the memory that a network needs once at the given bits of its tensors, each part with its whole size.

    Args:
        network: The network.
        allocation: Bits of every tensor.
        accounting: Rules by which bytes are counted.
    """
    needed = (each.shared for each in accounting.features(network) if each.is_needed(allocation))
    found: dict[tuple[Region, str], Shared] = {}
    for part in (*accounting.always_shared(network), *needed):
        key = part.region, part.part
        known = found.get(key)
        found[key] = part if known is None else replace(known, size_bytes=known.size_bytes + part.size_bytes)
    return tuple(found.values())
