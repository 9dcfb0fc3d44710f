"""Sensitivity by direct measurement: the change of the network's output when only one tensor is quantized.

    tensor at b bits    mean over samples of   sum over classes y of  p(y) * log(p(y) / p_b(y))

with p the class probabilities of the float network and p_b those of the network with this tensor at b bits and
everything else in float: the Kullback-Leibler divergence. (Sony's Model Compression Toolkit measures in the same way,
with other distances.)

The float network is computed once per batch. For each tensor, only the layers that depend on it are computed again, for
8, 4 and 2 bits at once, as one batch of three times the size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor

from network.allocation import BITS, Bits
from network.layers import WeightLayer
from qat.data.batches import tensor_of
from qat.data.dataset import Labels, Samples
from qat.sensitivity.errors import TensorErrors
from qat.sensitivity.sums import Sums


class Divergence:
    """Sensitivity of each tensor by measured Kullback-Leibler divergence of the network's output, accumulated over
    batches.

    Args:
        errors: Quantization errors of the network's tensors.
    """

    def __init__(self, errors: TensorErrors) -> None:
        self._errors = errors
        self._sums = Sums()

    @torch.inference_mode()
    def add(self, batch: Samples, labels: Labels) -> None:
        """Measure the sensitivity of each tensor on a batch of samples, and add it to the sums over all batches.

        Args:
            batch: Samples [n, ...], in the form in which the dataset stores them.
            labels: Labels of the samples, int64 [n], which are not used.
        """
        del labels
        errors, sums = self._errors, self._sums
        network = errors.network
        batch_tensors = _BatchTensors(errors, batch)
        for name in network.input_names:
            sums.activations.add(name, batch_tensors.divergences(0, name, batch_tensors.quantized(name)))
        for index, layer in enumerate(network.layers):
            if isinstance(layer, WeightLayer):
                weight = errors.parameters(layer).weight
                inputs = [batch_tensors.tensors[name] for name in layer.inputs]
                outputs = [
                    errors.float_network.step(index, inputs, weight + errors.weights[layer.name][bits]) for bits in BITS
                ]
                sums.weights.add(layer.name, batch_tensors.divergences(index + 1, layer.output, torch.cat(outputs)))
            changed = batch_tensors.quantized(layer.output)
            sums.activations.add(layer.output, batch_tensors.divergences(index + 1, layer.output, changed))

    def sums(self) -> Sums:
        """Return the sensitivity of each tensor, summed over all samples."""
        return self._sums


class _BatchTensors:
    """The float activation tensors of one batch, and the divergence of the network's output if one of them is
    quantized.
    """

    def __init__(self, errors: TensorErrors, batch: Samples) -> None:
        self._errors = errors
        self._network = errors.network
        self.tensors = errors.float_network.tensors(tensor_of(batch, errors.network))
        self._log_probabilities = {name: _log_softmax(self.tensors[name]) for name in errors.network.outputs}

    def quantized(self, tensor: str) -> Tensor:
        """Quantize an activation tensor at 8, 4 and 2 bits, concatenated to [3 n, channels, height, width]."""
        values = self.tensors[tensor]
        return torch.cat([values + self._errors.activation(tensor, values, bits) for bits in BITS])

    def divergences(self, first: int, tensor: str, variants: Tensor) -> dict[Bits, float]:
        """Compute the divergence of the network's output when one tensor is replaced by its quantized values, summed
        over the samples.

        Args:
            first: Index of the first layer that can read the tensor, in schedule order.
            tensor: Name of the activation tensor.
            variants: The tensor at 8, 4 and 2 bits, concatenated to [3 n, channels, height, width].

        Returns:
            The divergence in nats for 8, 4 and 2 bits.
        """
        changed = {tensor: variants}
        for index in range(first, len(self._network.layers)):
            layer = self._network.layers[index]
            if any(name in changed for name in layer.inputs):
                inputs = [
                    changed[name] if name in changed else self.tensors[name].repeat(len(BITS), 1, 1, 1)
                    for name in layer.inputs
                ]
                changed[layer.output] = self._errors.float_network.step(index, inputs)
        totals = torch.zeros(len(BITS), dtype=torch.float64)
        for name, log_p in self._log_probabilities.items():
            if name in changed:
                log_p_b = _log_softmax(changed[name]).reshape(len(BITS), *log_p.shape)
                totals += (log_p.exp() * (log_p - log_p_b)).sum(dim=(1, 2))
        return dict(zip(BITS, totals.tolist(), strict=True))


def _log_softmax(logits: Tensor) -> Tensor:
    return F.log_softmax(logits.flatten(1).double(), dim=1)
