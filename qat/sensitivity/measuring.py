"""Measurement of the sensitivity of each tensor of a network on samples; only the method `hessian` needs labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np

from network.errors import DatasetError
from network.network import Network
from network.sensitivity.table import SensitivityTable
from qat.data.dataset import Labels, Samples, SampleSource
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.prepare import float_module
from qat.progress import Report, silent
from qat.sensitivity.divergence import Divergence
from qat.sensitivity.errors import RANGE_SAMPLES, TensorErrors, tensor_errors
from qat.sensitivity.fisher import FisherInformation
from qat.sensitivity.hessian import HessianTraces
from qat.sensitivity.sums import Sums
from qat.training.reporting import Reporter

ELEMENTS_AT_ONCE: Final = 2**25
"""Largest number of elements of all activation tensors of a batch, which are in memory together for the gradients."""

SAMPLES_AT_ONCE: Final = 16
"""Largest number of samples per batch. Gradients are summed over a batch before they are squared, so that large batches
give noisier estimates, and they are not faster."""


class _Measure(Protocol):
    def add(self, batch: Samples, labels: Labels) -> None: ...
    def sums(self) -> Sums: ...


def measure_sensitivity(
    network: Network,
    samples: SampleSource,
    labels: Labels,
    options: SensitivityOptions,
    *,
    report: Report = silent,
) -> SensitivityTable:
    """Estimate, for each tensor and number of bits, how much the loss (in nats) rises when only this tensor is
    quantized.

    Args:
        network: The network, with weights.
        samples: Training samples, of which a random selection of `options.samples` is used.
        labels: Labels of the samples, int64 [n]; only the measure `hessian` uses them.
        options: How sensitivities are measured.
        report: Callback that receives the progress, about twice a second.

    Raises:
        DatasetError: If there are no samples.
        InvalidNetwork: If the network has no weights.
        TrainingError: If an activation is not finite on the samples.
    """
    if not len(samples):
        raise DatasetError(
            "the training set has no samples on which sensitivities can be measured; expected at least one sample"
        )
    chosen = np.random.default_rng([options.seed, 3]).permutation(len(samples))[: options.samples]
    taken, taken_labels = samples[chosen], labels[chosen]
    batches = list(_batches(network, len(taken)))
    cost = _cost(network, options)
    reporter = Reporter(report, 0, len(taken) * cost + min(len(taken), RANGE_SAMPLES) * 2.0)
    reporter.begin("measuring activation ranges", epoch=None, steps=1, cost=2.0)
    errors = tensor_errors(float_module(network), taken, options.scheme)
    reporter.advance(min(len(taken), RANGE_SAMPLES))
    reporter.begin(f"measuring sensitivity ({options.measure})", epoch=None, steps=len(batches), cost=cost)
    measure = _measure(errors, options)
    for batch in batches:
        measure.add(taken[batch], taken_labels[batch])
        reporter.advance(len(taken[batch]))
    return measure.sums().table(str(options.measure), network, len(taken))


def _measure(errors: TensorErrors, options: SensitivityOptions) -> _Measure:
    randomness = np.random.default_rng([options.seed, 4])
    match options.measure:
        case Measure.FISHER:
            return FisherInformation(errors, randomness)
        case Measure.HESSIAN:
            return HessianTraces(errors, randomness, options.probes)
        case Measure.MEASURED:
            return Divergence(errors)


def _batches(network: Network, count: int) -> Iterator[slice]:
    elements = sum(shape.elements for shape in network.shapes.values())
    size = max(1, min(SAMPLES_AT_ONCE, ELEMENTS_AT_ONCE // elements))
    return (slice(start, start + size) for start in range(0, count, size))


def _cost(network: Network, options: SensitivityOptions) -> float:
    """Return the cost of measuring sensitivity on one sample, in forward passes of the float network, to estimate the
    remaining time.
    """
    tensors = len(network.tensors) + len(network.weight_layers)
    match options.measure:
        case Measure.FISHER:
            return 4.0
        case Measure.HESSIAN:
            return 5.0 + 2.0 * tensors * options.probes
        case Measure.MEASURED:
            return 1.0 + 1.5 * tensors
