"""Sensitivity by direct measurement: the change of the network's output when only one tensor is quantized.

    tensor at b bits    mean over samples of   sum over classes y of  p(y) * log(p(y) / p_b(y))

with p the class probabilities of the float network and p_b those of the network with this tensor at b bits and
everything else in float: the Kullback-Leibler divergence. Other tasks have the divergence of their own distribution
(`qat.tasks.objectives`), such as the squared change of real outputs as a share of their variance. (Sony's Model
Compression Toolkit measures in the same way, with other distances.)

The float network is computed once per batch. For each tensor, only the layers that depend on it are computed again, for
8, 4 and 2 bits at once, as one batch of three times the size.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, Literal

import numpy.typing as npt
import torch
from torch import Tensor

from network.allocation import BITS, Bits, WeightScheme
from network.layers import WeightLayer
from qat.data.batches import tensor_of
from qat.data.dataset import Samples
from qat.graph import joined_outputs
from qat.sensitivity.errors import TensorErrors
from qat.sensitivity.sums import Sums
from qat.tasks.task_objectives import TaskObjectives

MeasuredTensor = tuple[Literal["weights", "activations"], str]
"""Tensor whose sensitivity is measured: the weights of a layer by its name, or an activation tensor by its name."""


class Divergence:
    """Sensitivity of each tensor by measured Kullback-Leibler divergence of the network's output, accumulated over
    batches.

    Args:
        errors: Quantization errors of the network's tensors.
        objectives: Objectives of the task.
        tensors: The tensors that are measured; None for all.
    """

    def __init__(
        self, errors: TensorErrors, objectives: TaskObjectives, tensors: Container[MeasuredTensor] | None = None
    ) -> None:
        self._errors, self._objectives, self._tensors = errors, objectives, tensors
        self._sums = Sums(errors.weights)

    @torch.inference_mode()
    def add(self, batch: Samples, targets: npt.NDArray[Any]) -> None:
        """Measure the sensitivity of each tensor on a batch of samples, and add it to the sums over all batches.

        Args:
            batch: Samples [n, ...], in the form in which the dataset stores them.
            targets: Targets of the samples, which are not used.
        """
        del targets
        errors, sums = self._errors, self._sums
        network = errors.network
        batch_tensors = _BatchTensors(errors, self._objectives, batch)
        for name in network.input_names:
            if self._measures("activations", name):
                sums.activations.add(name, batch_tensors.divergences(0, name, batch_tensors.quantized(name)))
        for index, layer in enumerate(network.layers):
            if isinstance(layer, WeightLayer) and network.weight_owners.stores(layer.name):
                for scheme in errors.weights if self._measures("weights", layer.name) else ():
                    sums.weights[scheme].add(layer.name, self._of_weights(batch_tensors, index, layer, scheme))
            if self._measures("activations", layer.output):
                changed = batch_tensors.quantized(layer.output)
                sums.activations.add(layer.output, batch_tensors.divergences(index + 1, layer.output, changed))

    def _measures(self, kind: Literal["weights", "activations"], name: str) -> bool:
        return self._tensors is None or (kind, name) in self._tensors

    def _of_weights(
        self, batch_tensors: _BatchTensors, index: int, layer: WeightLayer, scheme: WeightScheme
    ) -> dict[Bits, float]:
        """Compute the divergence of the network's output when the weights of one layer are quantized by a scheme."""
        errors = self._errors
        weight = errors.parameters(layer).weight
        weights = [weight + errors.weights[scheme][layer.name][bits] for bits in BITS]
        inputs = [batch_tensors.tensors[name] for name in layer.inputs]
        outputs = torch.cat([errors.float_network.step(index, inputs, each) for each in weights])
        readers = dict.fromkeys(errors.network.weight_owners.sharing.get(layer.name, ()), weights)
        return batch_tensors.divergences(index + 1, layer.output, outputs, readers)

    def sums(self) -> Sums:
        """Return the sensitivity of each tensor, summed over all samples."""
        return self._sums


class _BatchTensors:
    """The float activation tensors of one batch, and the divergence of the network's output if one of them is
    quantized.
    """

    def __init__(self, errors: TensorErrors, objectives: TaskObjectives, batch: Samples) -> None:
        self._errors, self._objectives = errors, objectives
        self._network = errors.network
        self.tensors = errors.float_network.tensors(tensor_of(batch, errors.network))
        self._reference = joined_outputs(self._network, self.tensors).double()

    def quantized(self, tensor: str) -> Tensor:
        """Quantize an activation tensor at 8, 4 and 2 bits, concatenated to [3 n, channels, height, width]."""
        values = self.tensors[tensor]
        return torch.cat([values + self._errors.activation(tensor, values, bits) for bits in BITS])

    def divergences(
        self, first: int, tensor: str, variants: Tensor, weights: Mapping[str, Sequence[Tensor]] | None = None
    ) -> dict[Bits, float]:
        """Compute the divergence of the network's output when one tensor is replaced by its quantized values, summed
        over the samples.

        Args:
            first: Index of the first layer that can read the tensor, in schedule order.
            tensor: Name of the activation tensor.
            variants: The tensor at 8, 4 and 2 bits, concatenated to [3 n, channels, height, width].
            weights: Name of each further layer that reads the quantized weight tensor -> its weights at 8, 4 and 2
                bits; None if there is no such layer.

        Returns:
            The divergence in nats for 8, 4 and 2 bits.
        """
        changed, weights = {tensor: variants}, weights or {}
        for index in range(first, len(self._network.layers)):
            layer = self._network.layers[index]
            if layer.name in weights or any(name in changed for name in layer.inputs):
                inputs = [
                    changed[name] if name in changed else self.tensors[name].repeat(len(BITS), 1, 1, 1)
                    for name in layer.inputs
                ]
                changed[layer.output] = self._step(index, inputs, weights.get(layer.name))
        outputs = {
            name: changed[name] if name in changed else self.tensors[name].repeat(len(BITS), 1, 1, 1)
            for name in self._network.outputs
        }
        joined = joined_outputs(self._network, outputs).double()
        increases = self._objectives.divergences(self._reference.repeat(len(BITS), 1), joined)
        return dict(zip(BITS, increases.reshape(len(BITS), -1).sum(dim=1).tolist(), strict=True))

    def _step(self, index: int, inputs: Sequence[Tensor], weights: Sequence[Tensor] | None) -> Tensor:
        """Compute the output of a layer for [3 n] samples, with other weights for each n of them if they are given."""
        step = self._errors.float_network.step
        if weights is None:
            return step(index, inputs)
        parts = zip(*(each.chunk(len(BITS)) for each in inputs), strict=True)
        return torch.cat([step(index, part, weight) for part, weight in zip(parts, weights, strict=True)])
