"""The problem that every method solves: which tensors may get fewer bits, and what they take where.

Built once from a network, a budget and a rule book; the methods see no layer, no shape and no graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from network.budget import Budget
from network.layers import WeightLayer
from network.memory import Accounting, Step
from network.network import Network


@dataclass(frozen=True, slots=True)
class WeightTensor:
    """A weight tensor whose bits are to be chosen.

    Attributes:
        layer: the layer that reads it; its parameters depend on the scheme.
        elements: how many weights it has.
        output: the activation tensor whose bits its layer writes.
        is_last: no layer with weights runs after it.
    """

    layer: WeightLayer
    elements: int
    output: str
    is_last: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """Bits to choose under a budget.

    Attributes:
        budget: what may be taken.
        accounting: the rule book that counts.
        activations: the tensors that have bits of their own, in the order in which they are written, the input first.
        fixed: those of them that keep 8 bits: the network's input and its outputs.
        steps: what takes RAM when; occupants name tensors of `activations`.
        weights: in layer order.
    """

    budget: Budget
    accounting: Accounting
    activations: tuple[str, ...]
    fixed: frozenset[str]
    steps: tuple[Step, ...]
    weights: tuple[WeightTensor, ...]


def problem_of(network: Network, budget: Budget, accounting: Accounting) -> Problem:
    """The problem of fitting a network into a budget by a rule book."""
    same_bits = accounting.same_bits(network)
    weighted = network.weight_layers
    return Problem(
        budget=budget,
        accounting=accounting,
        activations=tuple(tensor for tensor, source in same_bits.items() if tensor == source),
        fixed=frozenset(same_bits[tensor] for tensor in (network.input, *network.outputs)),
        steps=accounting.steps(network),
        weights=tuple(
            WeightTensor(layer, network.weight_elements(layer), same_bits[layer.output], layer is weighted[-1])
            for layer in weighted
        ),
    )
