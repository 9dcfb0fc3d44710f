"""Comparison of the integer-only network with the fake-quantized network of training, layer by layer.

For each layer, the input codes of the integer interpreter are dequantized, and the layer is computed as in training: in
float32, with fake-quantized weights, with batch norm on the running statistics (folded if the scheme folds it), and
with fake quantization of the output. The resulting codes are compared with the codes of the interpreter. Differences
therefore do not accumulate over layers. They have three causes: biases and factors are rounded (`qat.narrow_encoding`),
channels that hardly change become constants, and training computes in float32.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deploy.arithmetic import INT32_MAX, CodeArray
from deploy.integer_network import IntegerAdd, IntegerConvolution, IntegerLayer, IntegerNetwork
from deploy.interpreter import quantize_inputs, trace
from deploy.narrow_constants import ConstantsForm, narrow_constants_of
from deploy.proof import prove_accumulators
from deploy.requantization_form import RequantizationForm, form_of
from network.layers import Float32Array, Layer
from qat.float_network import combined
from qat.narrow_encoding import ASKED_FOR
from qat.quantized_network import QuantizedNetwork
from qat.training.evaluation import evaluation_batches
from qat.weight_step import WeightStep


@dataclass(frozen=True, slots=True)
class LayerConversion:
    """Comparison of one layer of the integer-only network with the same layer in training, and the layer's accumulator
    bound.

    Attributes:
        layer: Name of the layer.
        kind: Kind of the layer in the integer-only network.
        accumulator_bound: Largest magnitude that the layer's int32 accumulator can reach; None for a layer without an
            int32 accumulator.
        int32_share: The accumulator bound as a share of the largest int32 value, 0 to 1; None without an accumulator.
        largest_difference: Largest absolute difference between the codes of training and of the integer-only network.
        mean_difference: Mean absolute difference of these codes over all elements.
        equal_share: Share of elements for which both codes are equal, 0 to 1.
        constants: Form of the constants of a layer with weights and multipliers, narrow or wide; None for other layers.
        wide_because: Reason why the constants are wide; None if they are not.
    """

    layer: str
    kind: str
    accumulator_bound: int | None
    int32_share: float | None
    largest_difference: int
    mean_difference: float
    equal_share: float
    constants: ConstantsForm | None = None
    wide_because: str | None = None


@dataclass(frozen=True, slots=True)
class ConversionReport:
    """Comparison of an integer-only network with the fake-quantized network that it was converted from.

    Attributes:
        requantization: How layers with weights turn accumulators into output codes.
        samples: Number of samples on which the differences were measured.
        layers: The figures of each layer, in schedule order.
    """

    requantization: RequantizationForm
    samples: int
    layers: tuple[LayerConversion, ...]


def conversion_report(
    module: QuantizedNetwork, integer_network: IntegerNetwork, samples: Float32Array
) -> ConversionReport:
    """Compare an integer-only network with the fake-quantized network that it was converted from.

    Args:
        module: The fake-quantized network, in the state in which it was converted. It is not changed.
        integer_network: The result of the conversion.
        samples: Normalised input images, float32 [n, channels, height, width], with n at least 1.
    """
    network = module.network
    training = _TrainingForward(module)
    differences = {layer.name: _CodeDifferences() for layer in network.layers}
    for batch in evaluation_batches(network, len(samples)):
        codes = trace(integer_network, quantize_inputs(integer_network, samples[batch]))
        for layer in network.layers:
            inputs = [_dequantized(codes[tensor], integer_network, tensor) for tensor in layer.inputs]
            differences[layer.name].add(training.codes(layer, inputs), codes[layer.output])
    bounds, deployed = prove_accumulators(integer_network), module.deployed().weights
    layers = []
    for converted in integer_network.layers:
        bound = None if isinstance(converted, IntegerAdd) else bounds.get(converted.name)
        share = None if bound is None else bound / INT32_MAX
        figures = differences[converted.name].figures()
        form = _constants_form(converted, integer_network)
        reason = None
        if form is ConstantsForm.WIDE:
            reason = deployed[converted.name].wide_because or ASKED_FOR
        layers.append(LayerConversion(converted.name, converted.kind, bound, share, *figures, form, reason))
    return ConversionReport(form_of(integer_network), len(samples), tuple(layers))


def _constants_form(layer: IntegerLayer, network: IntegerNetwork) -> ConstantsForm | None:
    if not isinstance(layer, IntegerConvolution) or layer.thresholds is not None:
        return None
    narrow = narrow_constants_of(layer, network.tensors[layer.inputs[0]], network.tensors[layer.output])
    return ConstantsForm.WIDE if narrow is None else ConstantsForm.NARROW


class _CodeDifferences:
    """Statistics of the differences between two arrays of integer codes, accumulated over batches."""

    def __init__(self) -> None:
        self._largest = self._total = self._unequal = self._elements = 0

    def add(self, one: CodeArray, other: CodeArray) -> None:
        difference = np.abs(one.astype(np.int16) - other.astype(np.int16))
        self._largest = max(self._largest, int(difference.max()))
        self._total += int(difference.sum(dtype=np.int64))
        self._unequal += int(np.count_nonzero(difference))
        self._elements += difference.size

    def figures(self) -> tuple[int, float, float]:
        """Return the largest and the mean absolute difference of the two arrays of codes, and the share of equal codes
        (0 to 1).
        """
        return self._largest, self._total / self._elements, 1.0 - self._unequal / self._elements


class _TrainingForward:
    """Training's forward pass through single layers, with fixed batch norm statistics, on copies of the layers."""

    def __init__(self, module: QuantizedNetwork) -> None:
        self._module = module
        self._steps = {step.layer.name: _with_fixed_statistics(step) for step in module.weight_steps()}
        self._ranges = {
            tensor: copy.deepcopy(module.range_of(tensor)).cpu()
            for tensor, owner in module.range_owner.items()
            if tensor == owner
        }

    @torch.no_grad()
    def codes(self, layer: Layer, inputs: Sequence[Tensor]) -> CodeArray:
        """Compute the output codes of a layer of the network as training computes them, with fake quantization.

        Args:
            layer: The layer.
            inputs: The layer's input tensors, real values [n, channels, height, width].

        Returns:
            Codes, uint8 [n, height, width, channels].
        """
        step, own = self._steps.get(layer.name), self._ranges.get(layer.output)
        values = combined(layer, inputs) if step is None else step(inputs[0])
        if own is not None:
            values = own(values)
        grid = self._module.grid(layer.output)
        codes = torch.round(values.double() / grid.scale) + grid.zero_point
        return codes.to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _with_fixed_statistics(step: WeightStep) -> WeightStep:
    copied = copy.deepcopy(step, {id(step.layer): step.layer}).cpu().train()
    copied.fold()
    copied.freeze_batch_norm()
    return copied


def _dequantized(codes: CodeArray, integer_network: IntegerNetwork, tensor: str) -> Tensor:
    """Convert integer codes [n, height, width, channels] to real values, float32 [n, channels, height, width]."""
    quantization = integer_network.tensors[tensor]
    steps = codes.transpose(0, 3, 1, 2).astype(np.float32) - np.float32(quantization.zero_point)
    return torch.from_numpy(np.ascontiguousarray(steps)) * quantization.scale
