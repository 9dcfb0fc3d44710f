"""Sensitivity as it shows: how far the output moves when one tensor alone is quantized.

    tensor at b bits    mean over samples of   sum over classes y of  p(y) * log(p(y) / p_b(y))

with p the float network's answer and p_b that of the network with this tensor at b bits and all else in float: the
Kullback-Leibler divergence. (Sony's Model Compression Toolkit measures this way, with distances of its own.)

What lies before the tensor is computed once for a batch, and only layers that its change reaches are computed again,
for the three bits at once: as three batches in one.
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
    """The measure, added up batch by batch."""

    def __init__(self, errors: TensorErrors) -> None:
        self._errors = errors
        self._sums = Sums()

    @torch.inference_mode()
    def add(self, batch: Samples, labels: Labels) -> None:
        """Add what a batch tells about every tensor; the labels are not looked at."""
        del labels
        errors, sums = self._errors, self._sums
        network = errors.network
        front = _Front(errors, batch)
        sums.activations.add(network.input, front.diverged(0, network.input, front.quantized(network.input)))
        for index, layer in enumerate(network.layers):
            if isinstance(layer, WeightLayer):
                weight = errors.parameters(layer).weight
                inputs = [front.tensors[name] for name in layer.inputs]
                outputs = [
                    errors.float_network.step(index, inputs, weight + errors.weights[layer.name][bits]) for bits in BITS
                ]
                sums.weights.add(layer.name, front.diverged(index + 1, layer.output, torch.cat(outputs)))
            changed = front.quantized(layer.output)
            sums.activations.add(layer.output, front.diverged(index + 1, layer.output, changed))

    def sums(self) -> Sums:
        """The measure, summed over the samples."""
        return self._sums


class _Front:
    """A batch's float tensors, and what becomes of the output when one of them changes."""

    def __init__(self, errors: TensorErrors, batch: Samples) -> None:
        self._errors = errors
        self._network = errors.network
        self.tensors = errors.float_network.tensors(tensor_of(batch, errors.network))
        self._answers = {name: _log_softmax(self.tensors[name]) for name in errors.network.outputs}

    def quantized(self, tensor: str) -> Tensor:
        """A tensor at each of the bits, [3 n, c, h, w]."""
        values = self.tensors[tensor]
        return torch.cat([values + self._errors.activation(tensor, values, bits) for bits in BITS])

    def diverged(self, first: int, tensor: str, variants: Tensor) -> dict[Bits, float]:
        """The summed divergence for each of the variants of a tensor.

        Args:
            first: the first layer that could read it.
            tensor: its name.
            variants: at each of the bits, [3 n, c, h, w].
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
        for name, answer in self._answers.items():
            if name in changed:
                moved = _log_softmax(changed[name]).reshape(len(BITS), *answer.shape)
                totals += (answer.exp() * (answer - moved)).sum(dim=(1, 2))
        return dict(zip(BITS, totals.tolist(), strict=True))


def _log_softmax(logits: Tensor) -> Tensor:
    return F.log_softmax(logits.flatten(1).double(), dim=1)
