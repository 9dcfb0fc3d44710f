"""Sensitivity by Fisher information: squared products of gradient and quantization error, from one backward pass.

A small error e of a tensor changes the predicted distribution p(y | x) by a divergence of e' F e / 2. F is the Fisher
information: the expectation of g g' over labels y drawn from p(y | x), with g the gradient of -log p(y | x). F is
approximated as block-diagonal with one block per channel, because the errors of one channel are correlated (they share
a range, a batch norm and a sign) and those of different channels are not:

    activation tensor   mean over samples n of   1/2 sum over channels c of (sum over h, w of  g_nchw * e_nchw)^2
    weight tensor       mean over samples of     1/2 sum over output channels c of (sum over the rest of  g_ci * e_ci)^2

The labels are drawn from the predicted distribution, which depends on the task (`qat.tasks.objectives`), so that no
labels of the dataset are needed. The gradients of
different samples then have mean zero and are independent: the square of the gradient summed over a batch is, in
expectation, the sum of the squares over its samples. One backward pass per batch is therefore enough for the weights.
(Natural gradient methods use the same two facts: Martens, arXiv 1412.1193, sections 5 and 9. BRECQ, arXiv 2102.05426,
equation 10, approximates F as diagonal.)
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from network.allocation import BITS
from qat.data.batches import tensor_of
from qat.data.dataset import Samples
from qat.graph import joined_outputs
from qat.sensitivity.errors import TensorErrors
from qat.sensitivity.sums import Sums
from qat.tasks.task_objectives import TaskObjectives


class FisherInformation:
    """Sensitivity of each tensor by Fisher information, accumulated over batches.

    Args:
        errors: Quantization errors of the network's tensors.
        objectives: Objectives of the task.
        randomness: Random generator that draws the targets.
    """

    def __init__(self, errors: TensorErrors, objectives: TaskObjectives, randomness: np.random.Generator) -> None:
        self._errors = errors
        self._objectives = objectives
        self._randomness = randomness
        self._sums = Sums(errors.weights)

    def add(self, batch: Samples, targets: npt.NDArray[Any]) -> None:
        """Measure the sensitivity of each tensor on a batch of samples, and add it to the sums over all batches.

        Args:
            batch: Samples [n, ...], in the form in which the dataset stores them.
            targets: Targets of the samples, which are not used.
        """
        del targets
        errors = self._errors
        owners = errors.network.weight_owners
        layers = [layer for layer in errors.network.weight_layers if owners.stores(layer.name)]
        weights = [errors.parameters(layer).weight for layer in layers]
        images = tensor_of(batch, errors.network).requires_grad_()
        tensors = errors.float_network.tensors(images)
        for name, values in tensors.items():
            hook = partial(self._add_activation, name, values.detach())
            values.register_hook(hook)  # type: ignore[no-untyped-call]  # torch's own
        loss = self._objectives.drawn_loss(joined_outputs(errors.network, tensors), self._randomness)
        _, *gradients = torch.autograd.grad(loss, [images, *weights])
        for layer, gradient in zip(layers, gradients, strict=True):
            for scheme, of_scheme in errors.weights.items():
                of_layer = of_scheme[layer.name]
                figures = {bits: _half_square((gradient * of_layer[bits]).flatten(1).sum(dim=1)) for bits in BITS}
                self._sums.weights[scheme].add(layer.name, figures)

    def sums(self) -> Sums:
        """Return the sensitivity of each tensor, summed over all samples."""
        return self._sums

    @torch.no_grad()
    def _add_activation(self, name: str, values: Tensor, gradient: Tensor) -> None:
        products = {bits: self._errors.activation(name, values, bits).mul_(gradient).sum(dim=(2, 3)) for bits in BITS}
        self._sums.activations.add(name, {bits: _half_square(by_channel) for bits, by_channel in products.items()})


def _half_square(values: Tensor) -> float:
    return 0.5 * float(values.double().square().sum())
