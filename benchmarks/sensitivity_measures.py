"""Sensitivity tables of ResNet8 by each measure, and their deviation from the divergence on other images."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import Tensor

from network.allocation import BITS, WeightScheme
from network.network import Network
from network.sensitivity.from_weights import weight_sensitivity
from network.sensitivity.table import SensitivityTable, sensitivity_from_json, sensitivity_to_json
from qat.data.batches import tensor_of
from qat.data.dataset import Dataset, SampleSource, labelled
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.prepare import float_module
from qat.sensitivity.errors import tensor_errors
from qat.sensitivity.measuring import measure_sensitivity
from qat.sensitivity.sums import Sums
from qat.tasks.objectives import Categorical

SCHEME: Final = WeightScheme.PER_CHANNELS_ASYM_MIN_MAX
SAMPLES: Final = 256
JUDGES: Final = 2000
BATCH: Final = 16


def tables(resnet8: Network, dataset: Dataset) -> tuple[dict[str, SensitivityTable], dict[str, float]]:
    """Return the sensitivity table of each measure, and the time in seconds to measure it."""
    found: dict[str, SensitivityTable] = {}
    seconds: dict[str, float] = {}
    labels = labelled(dataset.train_y)

    def keep(name: str, started: float, table: SensitivityTable) -> None:
        seconds[name] = time.perf_counter() - started
        found[name] = table

    measure_sensitivity(resnet8, dataset.train_x[:32], labels[:32], SensitivityOptions())  # warm up torch
    started = time.perf_counter()
    keep("weights", started, weight_sensitivity(resnet8, SCHEME))
    for measure in Measure:
        started = time.perf_counter()
        options = SensitivityOptions(measure=measure, scheme=SCHEME, samples=SAMPLES)
        keep(str(measure), started, measure_sensitivity(resnet8, dataset.train_x, labels, options))
    started = time.perf_counter()
    keep("diagonal", started, sensitivity_from_json(sensitivity_to_json(diagonal_fisher(resnet8, dataset.train_x))))
    return found, seconds


def diagonal_fisher(resnet8: Network, images: SampleSource) -> SensitivityTable:
    """Return 1/2 sum of g^2 e^2 over each tensor's elements: gradients g (labels drawn from the output), errors e."""
    randomness = np.random.default_rng(0)
    chosen = randomness.permutation(len(images))[:SAMPLES]
    errors = tensor_errors(float_module(resnet8), images[chosen], (SCHEME,))
    sums = Sums((SCHEME,))
    for start in range(0, len(chosen), BATCH):
        given = tensor_of(images[chosen[start : start + BATCH]], resnet8).requires_grad_()
        tensors = errors.float_network.tensors(given)
        weights = [errors.parameters(layer).weight for layer in resnet8.weight_layers]
        logits = tensors[resnet8.outputs[0]].flatten(1)
        loss = Categorical(resnet8.outputs[0], 0, logits.shape[1]).drawn_loss(logits, randomness)
        gradients = torch.autograd.grad(loss, [*weights, *tensors.values()])
        for layer, gradient in zip(resnet8.weight_layers, gradients, strict=False):
            of_layer = errors.weights[SCHEME][layer.name]
            sums.weights[SCHEME].add(layer.name, {bits: _half_square(gradient * of_layer[bits]) for bits in BITS})
        for (name, values), gradient in zip(tensors.items(), gradients[len(weights) :], strict=True):
            of_tensor = partial(errors.activation, name, values.detach())
            sums.activations.add(name, {bits: _half_square(gradient * of_tensor(bits)) for bits in BITS})
    return sums.table("diagonal Fisher", resnet8, len(chosen))


def _half_square(values: Tensor) -> float:
    return 0.5 * float(values.double().square().sum())


def spreads(resnet8: Network, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Compare each sensitivity measure with the divergence of the output on 2,000 images that it did not use.

    Returns:
        For each measure, and for "weights" and "activations": the standard deviation of the natural logarithm of the
        ratio of estimate to divergence, over the estimates at 4 and 2 bits. A common factor has no effect on it.
    """
    seen, unseen, labels = dataset.train_x[:-JUDGES], dataset.train_x[-JUDGES:], labelled(dataset.train_y)
    by_measure, _ = tables(resnet8, replace(dataset, train_x=seen, train_y=labels[:-JUDGES]))
    options = SensitivityOptions(measure=Measure.MEASURED, scheme=SCHEME, samples=JUDGES)
    truth = measure_sensitivity(resnet8, unseen, labels[-JUDGES:], options)
    kept = {resnet8.only_input.name, *resnet8.outputs}  # their bits are never reduced
    found = {}
    for name, table in by_measure.items():
        logarithms = {
            "weights": [
                np.log(row[bits] / truth.weights[of][bits]) for of, row in table.weights.items() for bits in (4, 2)
            ],
            "activations": [
                np.log(row[bits] / truth.activations[of][bits])
                for of, row in table.activations.items()
                if of not in kept
                for bits in (4, 2)
            ],
        }
        found[name] = {part: float(np.std(values)) for part, values in logarithms.items()}
    return found
