"""Sensitivity by the Hessian: its average eigenvalue times the squared quantization error (HAWQ-V2, arXiv 1911.03852,
section 3).

    tensor    1/2 * trace(H) / elements * |e|^2

with H the Hessian of a sample's loss with respect to the tensor, on the sample's target in the dataset, and e
the quantization error of the tensor. The trace and, for activation tensors, the squared error are averaged over the
samples. Traces are estimated by Hutchinson's method, E[v' H v] for random signs v; H v is computed by a backward pass
through the first backward pass. Each tensor needs a separate pass: in one pass for all tensors, the noise of the large
tensors would dominate the traces of the small ones.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from network.allocation import BITS, Bits
from qat.data.batches import tensor_of
from qat.data.dataset import Samples
from qat.graph import joined_outputs
from qat.sensitivity.errors import TensorErrors
from qat.sensitivity.sums import Sums
from qat.tasks.task_objectives import TaskObjectives

WEIGHT: Final = "weights of layer"
TENSOR: Final = "activation tensor"


class HessianTraces:
    """Sensitivity of each tensor as the average trace of the Hessian times the squared quantization error, accumulated
    over batches.

    Args:
        errors: Quantization errors of the network's tensors.
        objectives: Objectives of the task.
        randomness: Random generator that draws the signs.
        probes: Number of random sign vectors per tensor and batch, at least 1.
    """

    def __init__(
        self, errors: TensorErrors, objectives: TaskObjectives, randomness: np.random.Generator, probes: int
    ) -> None:
        self._errors, self._objectives = errors, objectives
        self._randomness = randomness
        self._probes = probes
        self._means: dict[tuple[str, str], float] = {}  # by kind and name: trace / elements, summed over the samples
        self._squares: dict[tuple[str, Bits], float] = {}
        self._samples = 0

    def add(self, batch: Samples, targets: npt.NDArray[Any]) -> None:
        """Compute the Hessian trace and the squared quantization error of each tensor on a batch, and add them to the
        sums over all batches.

        Args:
            batch: Samples [n, ...], in the form in which the dataset stores them.
            targets: Targets of the samples, in the form that the task compares with outputs.
        """
        errors = self._errors
        network = errors.network
        images = tensor_of(batch, network).requires_grad_()
        tensors = errors.float_network.tensors(images)
        loss = self._objectives.hessian_loss(joined_outputs(network, tensors), torch.from_numpy(targets))
        variables: dict[tuple[str, str], Tensor] = {
            (WEIGHT, layer.name): errors.parameters(layer).weight
            for layer in network.weight_layers
            if network.weight_owners.stores(layer.name)
        }
        variables |= {(TENSOR, name): values for name, values in tensors.items()}
        gradients = torch.autograd.grad(loss, list(variables.values()), create_graph=True, materialize_grads=True)
        for (key, variable), gradient in zip(variables.items(), gradients, strict=True):
            trace = sum(self._traced(variable, gradient) for _ in range(self._probes)) / self._probes
            elements = variable.numel() if key[0] == WEIGHT else variable[0].numel()
            self._means[key] = self._means.get(key, 0.0) + trace / elements
        with torch.no_grad():
            for name, values in tensors.items():
                for bits in BITS:
                    square = float(errors.activation(name, values, bits).double().square().sum())
                    self._squares[name, bits] = self._squares.get((name, bits), 0.0) + square
        self._samples += len(batch)

    def sums(self) -> Sums:
        """Return the sensitivity of each tensor, summed over all samples."""
        total = Sums(self._errors.weights)
        for scheme, of_scheme in self._errors.weights.items():
            for name, of_layer in of_scheme.items():
                half_mean = 0.5 * self._means[WEIGHT, name]
                figures = {bits: half_mean * float(of_layer[bits].double().square().sum()) for bits in BITS}
                total.weights[scheme].add(name, figures)
        for name in self._errors.network.tensors:
            half_mean = 0.5 * self._means[TENSOR, name] / self._samples
            total.activations.add(name, {bits: half_mean * self._squares[name, bits] for bits in BITS})
        return total

    def _traced(self, variable: Tensor, gradient: Tensor) -> float:
        """Compute v' H v for the Hessian H of a tensor and a random sign vector v; 0 if the gradient does not depend on
        the tensor.
        """
        if not gradient.requires_grad:
            return 0.0
        drawn = self._randomness.integers(0, 2, variable.shape, dtype=np.int8)
        signs = torch.from_numpy(drawn).to(variable.dtype).mul_(2).sub_(1)
        (product,) = torch.autograd.grad(gradient, variable, signs, retain_graph=True, materialize_grads=True)
        return float((product.double() * signs).sum())
