"""How far the integers are from the training that they come from, layer by layer.

Each layer is given the codes that the interpreter gives it, and computes as in training: real values in float32, its
fake-quantized weights, batch norm on its running statistics (folded, where the scheme folds), its own rounding. Its
codes are compared with the interpreter's. So a layer's figures are its own: what differs is a bias that has to lie on
the accumulator's grid, a factor with 31 significant bits, and float32.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deploy.arithmetic import INT32_MAX, CodeArray
from deploy.integer_network import IntegerAdd, IntegerNetwork
from deploy.interpreter import quantize_input, trace
from deploy.proof import prove_accumulators
from deploy.requantization_form import RequantizationForm, form_of
from network.layers import Float32Array, Layer
from qat.float_network import combined
from qat.quantized_network import QuantizedNetwork
from qat.training.evaluation import evaluation_batches
from qat.weight_step import WeightStep


@dataclass(frozen=True, slots=True)
class LayerConversion:
    """What conversion did to one layer.

    Attributes:
        layer: its name.
        kind: of layer, as in the integer-only network.
        accumulator_bound: the largest magnitude that its int32 accumulator can reach; None without one.
        int32_share: of what an int32 holds, 0 to 1.
        largest_difference: between its codes in training and as integers, in codes.
        mean_difference: of the magnitudes, over all elements, in codes.
        equal_share: of elements with the same code, 0 to 1.
    """

    layer: str
    kind: str
    accumulator_bound: int | None
    int32_share: float | None
    largest_difference: int
    mean_difference: float
    equal_share: float


@dataclass(frozen=True, slots=True)
class ConversionReport:
    """What conversion did.

    Attributes:
        requantization: the form that weight layers have.
        samples: that the differences were measured on.
        layers: in schedule order.
    """

    requantization: RequantizationForm
    samples: int
    layers: tuple[LayerConversion, ...]


def conversion_report(
    module: QuantizedNetwork, integer_network: IntegerNetwork, samples: Float32Array
) -> ConversionReport:
    """Compare a network with the module that it was converted from.

    Args:
        module: as it was when it was converted; it is left as it is.
        integer_network: the conversion.
        samples: a few input tensors, real values [n, channels, height, width], n at least 1.
    """
    network = module.network
    training = _Training(module)
    tallies = {layer.name: _Tally() for layer in network.layers}
    for batch in evaluation_batches(network, len(samples)):
        codes = trace(integer_network, quantize_input(integer_network, samples[batch]))
        for layer in network.layers:
            inputs = [_real(codes[tensor], integer_network, tensor) for tensor in layer.inputs]
            tallies[layer.name].add(training.codes(layer, inputs), codes[layer.output])
    bounds = prove_accumulators(integer_network)
    layers = []
    for converted in integer_network.layers:
        bound = None if isinstance(converted, IntegerAdd) else bounds.get(converted.name)
        share = None if bound is None else bound / INT32_MAX
        figures = tallies[converted.name].figures()
        layers.append(LayerConversion(converted.name, converted.kind, bound, share, *figures))
    return ConversionReport(form_of(integer_network), len(samples), tuple(layers))


class _Tally:
    """Differences of codes, added up."""

    def __init__(self) -> None:
        self._largest = self._total = self._unequal = self._elements = 0

    def add(self, one: CodeArray, other: CodeArray) -> None:
        difference = np.abs(one.astype(np.int16) - other.astype(np.int16))
        self._largest = max(self._largest, int(difference.max()))
        self._total += int(difference.sum(dtype=np.int64))
        self._unequal += int(np.count_nonzero(difference))
        self._elements += difference.size

    def figures(self) -> tuple[int, float, float]:
        """The largest, the mean, and the share of equal codes."""
        return self._largest, self._total / self._elements, 1.0 - self._unequal / self._elements


class _Training:
    """Copies of a module's parts that compute as a next step of training would, with statistics at rest."""

    def __init__(self, module: QuantizedNetwork) -> None:
        self._module = module
        self._steps = {step.layer.name: _at_rest(step) for step in module.weight_steps()}
        self._ranges = {
            tensor: copy.deepcopy(module.range_of(tensor)).cpu()
            for tensor, owner in module.range_owner.items()
            if tensor == owner
        }

    @torch.no_grad()
    def codes(self, layer: Layer, inputs: Sequence[Tensor]) -> CodeArray:
        """Real inputs [n, channels, height, width] -> a layer's output codes, [n, height, width, channels]."""
        step, own = self._steps.get(layer.name), self._ranges.get(layer.output)
        values = combined(layer, inputs) if step is None else step(inputs[0])
        if own is not None:
            values = own(values)
        grid = self._module.grid(layer.output)
        codes = torch.round(values.double() / grid.scale) + grid.zero_point
        return codes.to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _at_rest(step: WeightStep) -> WeightStep:
    copied = copy.deepcopy(step, {id(step.layer): step.layer}).cpu().train()
    copied.fold()
    copied.freeze_batch_norm()
    return copied


def _real(codes: CodeArray, integer_network: IntegerNetwork, tensor: str) -> Tensor:
    """Codes [n, height, width, channels] -> real values [n, channels, height, width], float32 as in training."""
    meaning = integer_network.tensors[tensor]
    steps = codes.transpose(0, 3, 1, 2).astype(np.float32) - np.float32(meaning.zero_point)
    return torch.from_numpy(np.ascontiguousarray(steps)) * meaning.scale
