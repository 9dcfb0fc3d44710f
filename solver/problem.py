"""The problem that every method solves: which tensors may get fewer bits, and what they take where.

Built once from a network, a budget and a rule book; the methods see no layer, no shape and no byte rule. Sizes are
whole numbers of bits (the paper's book keeps fractions of a byte), for 8, 4 and 2 bits in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from network.allocation import BITS, Bits, Folding, Scheme, WeightScheme
from network.budget import Budget
from network.layers import WeightLayer
from network.memory import Accounting, Occupant, Region, Step
from network.network import Network

BITS_PER_BYTE: Final = 8
CHOICE_OF_BITS: Final[Mapping[Bits, int]] = {bits: choice for choice, bits in enumerate(BITS)}

SCHEMES: Final = (
    Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS),
    Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN),
    Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN),
)

Sizes = tuple[int, int, int]
"""In bits, at 8, 4 and 2 bits."""


@dataclass(frozen=True, slots=True)
class WeightTensor:
    """A weight tensor whose bits are to be chosen.

    Attributes:
        layer: the layer that reads it.
        output: the activation tensor whose bits its layer writes.
        sizes: of the packed weights.
        parameters: what the layer takes beside, by scheme.
    """

    layer: str
    output: str
    sizes: Sizes
    parameters: Mapping[Scheme, int]


@dataclass(frozen=True, slots=True)
class RamStep:
    """A step of the schedule.

    Attributes:
        layer: the layer that runs.
        output: the tensor that it writes.
        tensors: what is alive, by name, the output included; each tensor once.
        limit: what they may take in all: the budget less what the step and the network take beside.
        own: what the layer itself reads and writes; the other tensors wait.
    """

    layer: str
    output: str
    tensors: Mapping[str, Sizes]
    limit: int
    own: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodeFeature:
    """Flash that is taken once, if any of its askers has these bits.

    Attributes:
        part: what it is.
        size: in bits.
        bits: at which askers ask.
        layers: askers by their weight tensor.
        tensors: askers among activation tensors.
    """

    part: str
    size: int
    bits: Bits
    layers: frozenset[str]
    tensors: frozenset[str]


@dataclass(frozen=True, slots=True)
class Problem:
    """Bits to choose under a budget.

    Attributes:
        activations: the tensors that have bits of their own, in the order in which they are written, the input first.
        fixed: those of them that keep 8 bits: the network's input and its outputs.
        steps: what takes RAM when.
        weights: in layer order.
        flash_limit: what weights, their parameters and features may take: the budget less what is always taken.
        features: what is taken once where bits ask for it.
    """

    activations: tuple[str, ...]
    fixed: frozenset[str]
    steps: tuple[RamStep, ...]
    weights: tuple[WeightTensor, ...]
    flash_limit: int
    features: tuple[CodeFeature, ...]


def problem_of(network: Network, budget: Budget, accounting: Accounting) -> Problem:
    """The problem of fitting a network into a budget by a rule book."""
    same_bits = accounting.same_bits(network)
    always = accounting.always_shared(network)
    shared_ram = sum(each.size_bytes for each in always if each.region is Region.RAM)
    shared_flash = sum(each.size_bytes for each in always if each.region is Region.FLASH)
    weighted = network.weight_layers
    others = sum(
        accounting.parameter_bytes(network, layer, None, is_last=False)
        for layer in network.layers
        if not isinstance(layer, WeightLayer)
    )
    return Problem(
        activations=tuple(tensor for tensor, source in same_bits.items() if tensor == source),
        fixed=frozenset(same_bits[tensor] for tensor in (network.input, *network.outputs)),
        steps=tuple(_ram_step(step, accounting, budget.ram_bytes - shared_ram) for step in accounting.steps(network)),
        weights=tuple(
            WeightTensor(
                layer.name,
                same_bits[layer.output],
                _sizes(partial(accounting.weight_bytes, network, layer)),
                {
                    scheme: BITS_PER_BYTE
                    * accounting.parameter_bytes(network, layer, scheme, is_last=layer is weighted[-1])
                    for scheme in SCHEMES
                },
            )
            for layer in weighted
        ),
        flash_limit=BITS_PER_BYTE * (budget.flash_bytes - shared_flash - others),
        features=tuple(
            CodeFeature(
                feature.shared.part,
                BITS_PER_BYTE * feature.shared.size_bytes,
                feature.bits,
                frozenset(feature.layers),
                frozenset(same_bits[tensor] for tensor in feature.tensors),
            )
            for feature in accounting.features(network)
        ),
    )


def _ram_step(step: Step, accounting: Accounting, ram_bytes: int) -> RamStep:
    return RamStep(
        layer=step.layer,
        output=step.output.tensor,
        tensors={each.tensor: _occupant_sizes(each, accounting) for each in step.live},
        limit=BITS_PER_BYTE * (ram_bytes - step.scratch_bytes),
        own=tuple(dict.fromkeys(each.tensor for each in (*step.inputs, step.output))),
    )


def _occupant_sizes(occupant: Occupant, accounting: Accounting) -> Sizes:
    return _sizes(partial(accounting.activation_bytes, occupant))


def _sizes(size_bytes: Callable[[Bits], float]) -> Sizes:
    widest, middle, narrowest = (int(BITS_PER_BYTE * size_bytes(bits)) for bits in BITS)
    return widest, middle, narrowest
