"""Sensitivity by Fisher information: squared gradients times squared error, from one backward pass.

A small error e of a tensor changes the network's answer p(y | x) by a divergence of e' F e / 2, where F is the Fisher
information, the expectation of g g' over the answer's own labels y, with g the gradient of -log p(y | x). F is taken as
block-diagonal, a block for each channel, since errors of one channel come together (they share a range, a batch norm
and a sign) while those of different channels do not:

    activation tensor   mean over samples n of   1/2 sum over channels c of (sum over h, w of  g_nchw * e_nchw)^2
    weight tensor       mean over samples of     1/2 sum over output channels c of (sum over the rest of  g_ci * e_ci)^2

The labels are drawn from the network's own answer, so no label of a dataset is needed. The gradients of different
samples then have mean zero and are independent: the square of a batch's summed gradient is, in expectation, the sum of
the samples' squares, and one backward pass for a batch serves the weights of all its samples. (The two facts are those
behind natural gradient: Martens, arXiv 1412.1193, sections 5 and 9. BRECQ, arXiv 2102.05426, equation 10, takes F as
diagonal.)
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor

from network.allocation import BITS
from qat.data.batches import tensor_of
from qat.data.dataset import Labels, Samples
from qat.sensitivity.errors import TensorErrors
from qat.sensitivity.sums import Sums


class FisherInformation:
    """The measure, added up batch by batch."""

    def __init__(self, errors: TensorErrors, randomness: np.random.Generator) -> None:
        self._errors = errors
        self._randomness = randomness
        self._sums = Sums()

    def add(self, batch: Samples, labels: Labels) -> None:
        """Add what a batch tells about every tensor; the labels are not looked at."""
        del labels
        errors = self._errors
        layers = errors.network.weight_layers
        weights = [errors.parameters(layer).weight for layer in layers]
        images = tensor_of(batch, errors.network).requires_grad_()
        tensors = errors.float_network.tensors(images)
        for name, values in tensors.items():
            note = partial(self._note_activation, name, values.detach())
            values.register_hook(note)  # type: ignore[no-untyped-call]  # torch's own
        answers = [tensors[name].flatten(1) for name in errors.network.outputs]
        loss = torch.stack([drawn_loss(answer, self._randomness) for answer in answers]).sum()
        _, *gradients = torch.autograd.grad(loss, [images, *weights])
        for layer, gradient in zip(layers, gradients, strict=True):
            of_layer = errors.weights[layer.name]
            figures = {bits: _half_square((gradient * of_layer[bits]).flatten(1).sum(dim=1)) for bits in BITS}
            self._sums.weights.add(layer.name, figures)

    def sums(self) -> Sums:
        """The measure, summed over the samples."""
        return self._sums

    @torch.no_grad()
    def _note_activation(self, name: str, values: Tensor, gradient: Tensor) -> None:
        along = {bits: self._errors.activation(name, values, bits).mul_(gradient).sum(dim=(2, 3)) for bits in BITS}
        self._sums.activations.add(name, {bits: _half_square(by_channel) for bits, by_channel in along.items()})


def drawn_loss(logits: Tensor, randomness: np.random.Generator) -> Tensor:
    """The summed cross-entropy [] of logits [n, classes] with one label a sample, drawn from their own softmax."""
    answer = F.softmax(logits.detach().double(), dim=1).cumsum(dim=1).numpy()
    drawn = (randomness.random((len(answer), 1)) * answer[:, -1:] >= answer).sum(axis=1)
    return F.cross_entropy(logits, torch.from_numpy(drawn), reduction="sum")


def _half_square(values: Tensor) -> float:
    return 0.5 * float(values.double().square().sum())
