"""Pair terms: what two tensors that are quantized together add to the sum of each alone; an experiment.

    term of tensors a, b at bits i, j  =  divergence(a at i and b at j)  -  divergence(a at i)  -  divergence(b at j)

with the Kullback-Leibler divergence of the network's output, as in the measure `measured`. Pairs are neighbours in the
graph: a layer's weights with its input and with its output, the weights of two layers of which one reads the other
(across pooling and adds), and the input of a layer with its output. Terms with 8 bits are taken as 0. `joint` is the
divergence with all tensors of an allocation quantized together: a sum over all subsets of tensors can predict what it
predicts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import torch
from torch import Tensor

from benchmarks.tasks import Task
from network.allocation import DEFAULT_WEIGHT_SCHEME, Allocation, Bits
from network.layers import WeightLayer
from network.network import Network
from network.sensitivity.table import SensitivityTable
from qat.data.batches import tensor_of
from qat.data.dataset import SampleSource, labelled
from qat.prepare import float_module
from qat.sensitivity.errors import TensorErrors, tensor_errors
from qat.tasks.objectives import Categorical

FEW: Final = 8
"""Number of the pairs of the most strongly coupled tensors, by their largest term."""

SUMMED_WITH: Final = ("fisher", "measured")
"""Measures to whose sums the terms are added."""

_FEW_BITS: Final[tuple[Bits, ...]] = (4, 2)

TensorKey = tuple[str, str]
"""Kind of a tensor ("weights" or "activations"), and its layer or its name."""


@dataclass(frozen=True, slots=True, eq=False)
class PairPredictions:
    """Predictions of allocations by pair terms, and what they cost.

    Attributes:
        sums: For each allocation, by name of the prediction, the predicted rise of the loss in nats.
        seconds: Seconds to measure, by name of the prediction, without those of the measure to which terms are added.
    """

    sums: tuple[Mapping[str, float], ...]
    seconds: Mapping[str, float]


class JointDivergence:
    """Divergence of a network's output with several tensors quantized together.

    Args:
        network: The network, with one output of classes.
        samples: Training samples; activation ranges are measured on the first of them.
    """

    def __init__(self, network: Network, samples: SampleSource) -> None:
        given = samples[:]
        self._network = network
        self._errors: TensorErrors = tensor_errors(float_module(network), given, (DEFAULT_WEIGHT_SCHEME,))
        self._inputs = tensor_of(given, network)
        self._reference = self._logits({})
        self._objective = Categorical(network.outputs[0], 0, self._reference.shape[1])

    @torch.inference_mode()
    def of(self, bits: Mapping[TensorKey, Bits]) -> float:
        """Return the mean divergence in nats with the given tensors quantized; all others are in float."""
        return float(self._objective.divergences(self._reference, self._logits(bits)).mean())

    @torch.inference_mode()
    def _logits(self, bits: Mapping[TensorKey, Bits]) -> Tensor:
        network, errors = self._network, self._errors

        def quantized(name: str, values: Tensor) -> Tensor:
            own = bits.get(("activations", name))
            return values if own is None else values + errors.activation(name, values, own)

        name = network.only_input.name
        tensors = {name: quantized(name, self._inputs)}
        for index, layer in enumerate(network.layers):
            own = bits.get(("weights", layer.name))
            weight = None
            if own is not None and isinstance(layer, WeightLayer):
                weight = errors.parameters(layer).weight + errors.weights[DEFAULT_WEIGHT_SCHEME][layer.name][own]
            inputs = [tensors[each] for each in layer.inputs]
            tensors[layer.output] = quantized(layer.output, errors.float_network.step(index, inputs, weight))
        return tensors[network.outputs[0]].flatten(1).double()


def neighbours(network: Network) -> Iterator[tuple[TensorKey, TensorKey]]:
    """Yield the pairs of tensors that are neighbours in the graph; the input and the output of the network, whose bits
    are never reduced, are left out.
    """
    kept = {*network.input_names, *network.outputs}
    readers_of: dict[str, list[str]] = {}  # the layers with weights that read a tensor, across other layers
    for layer in reversed(network.layers):
        further = [layer.name] if isinstance(layer, WeightLayer) else readers_of.get(layer.output, [])
        for tensor in layer.inputs:
            readers_of.setdefault(tensor, []).extend(further)
    for layer in network.layers:
        tensors = [name for name in (*layer.inputs, layer.output) if name not in kept]
        if isinstance(layer, WeightLayer):
            yield from ((("weights", layer.name), ("activations", tensor)) for tensor in tensors)
            for reader in dict.fromkeys(readers_of.get(layer.output, [])):
                yield ("weights", layer.name), ("weights", reader)
        for tensor in layer.inputs:
            if tensor not in kept and layer.output not in kept:
                yield ("activations", tensor), ("activations", layer.output)


Terms = Mapping[tuple[TensorKey, TensorKey], Mapping[tuple[Bits, Bits], float]]


def pair_terms(network: Network, divergence: JointDivergence) -> Terms:
    """Measure the terms of all neighbours, in nats; the strongest pair comes first."""
    alone: dict[tuple[TensorKey, Bits], float] = {}

    def of_one(tensor: TensorKey, bits: Bits) -> float:
        if (tensor, bits) not in alone:
            alone[tensor, bits] = divergence.of({tensor: bits})
        return alone[tensor, bits]

    terms = {
        (one, other): {
            (first, second): divergence.of({one: first, other: second}) - of_one(one, first) - of_one(other, second)
            for first, second in product(_FEW_BITS, repeat=2)
        }
        for one, other in neighbours(network)
    }
    strengths = {pair: max(abs(term) for term in of_pair.values()) for pair, of_pair in terms.items()}
    return {pair: terms[pair] for pair in sorted(terms, key=lambda pair: -strengths[pair])}


def pair_predictions(
    task: Task, tables: Mapping[str, SensitivityTable], allocations: Sequence[Allocation], samples: int
) -> PairPredictions:
    """Predict allocations by sums with pair terms, and by the divergence of all their tensors together.

    Args:
        task: The task, on whose training samples divergences are measured.
        tables: The sensitivity table of each measure, by the name of the measure.
        allocations: The bits.
        samples: Number of training samples.
    """
    labelled(task.dataset.train_y)  # only networks for classes have the divergence of classes
    divergence = JointDivergence(task.network, task.dataset.train_x[:samples])
    started = time.perf_counter()
    terms = pair_terms(task.network, divergence)
    taken = time.perf_counter() - started
    strongest = dict(list(terms.items())[:FEW])
    named = {f"{FEW} pairs": strongest, f"{len(terms)} pairs": terms}
    sums: list[Mapping[str, float]] = []
    started = time.perf_counter()
    joint = [divergence.of(_bits_of(allocation)) for allocation in allocations]
    seconds = {"joint": time.perf_counter() - started}
    for allocation, together in zip(allocations, joint, strict=True):
        found: dict[str, float] = {}
        for name in SUMMED_WITH:
            alone = tables[name].objective(allocation)
            found |= {f"{name} + {text}": alone + summed(some, allocation) for text, some in named.items()}
        sums.append({**found, "joint": together})
    seconds |= {f"{name} + {text}": taken for name in SUMMED_WITH for text in named}
    return PairPredictions(tuple(sums), seconds)


def summed(terms: Terms, allocation: Allocation) -> float:
    """Return the sum of the terms of an allocation's bits."""
    bits = _bits_of(allocation)
    return sum(of_pair.get((bits[one], bits[other]), 0.0) for (one, other), of_pair in terms.items())


def _bits_of(allocation: Allocation) -> dict[TensorKey, Bits]:
    return {
        **{("weights", name): bits for name, bits in allocation.weight_bits.items()},
        **{("activations", name): bits for name, bits in allocation.activation_bits.items()},
    }
