"""Measurement of the sensitivity of each tensor of a network on samples; only the method `hessian` needs targets."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch

from network.errors import DatasetError
from network.network import Network
from network.sensitivity.table import SensitivityTable
from qat.data.dataset import Dataset, NoSamples, Samples, SampleSource, TargetSource
from qat.fan_out import IN_ORDER, FanOut, of_first_part
from qat.float_network import FloatNetwork
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.options.task import TaskKind
from qat.prepare import float_module
from qat.progress import Report, silent
from qat.sensitivity.divergence import Divergence, MeasuredTensor
from qat.sensitivity.errors import RANGE_SAMPLES, TensorErrors, tensor_errors
from qat.sensitivity.fisher import FisherInformation
from qat.sensitivity.hessian import HessianTraces
from qat.sensitivity.parts import Measurement, divided, joined
from qat.sensitivity.sums import Sums
from qat.tasks.choice import Task, choose_task, targets_of
from qat.tasks.task_objectives import DEVIATION_SAMPLES, TaskObjectives, objectives_of
from qat.training.evaluation import of_module, output_values, outputs_of
from qat.training.label_source import LabelSource
from qat.training.reporting import Reporter

_CPU: Final = torch.device("cpu")

ELEMENTS_AT_ONCE: Final = 2**25
"""Largest number of elements of all activation tensors of a batch, which are in memory together for the gradients."""

SAMPLES_AT_ONCE: Final = 16
"""Largest number of samples per batch. Gradients are summed over a batch before they are squared, so that large batches
give noisier estimates, and they are not faster."""


class _Measure(Protocol):
    def add(self, batch: Samples, targets: npt.NDArray[Any]) -> None: ...
    def sums(self) -> Sums: ...


def measure_sensitivity(
    network: Network,
    samples: SampleSource,
    targets: TargetSource | None,
    options: SensitivityOptions,
    *,
    task: Task | None = None,
    report: Report = silent,
    fan_out: FanOut = IN_ORDER,
) -> SensitivityTable:
    """Estimate, for each tensor and number of bits, how much the task's loss rises when only this tensor is quantized.

    Args:
        network: The network, with weights.
        samples: Training samples, of which a random selection of `options.samples` is used.
        targets: Targets of the samples, from which the task follows; None if there are none.
        options: How sensitivities are measured.
        task: The task; None chooses it by the targets and the outputs.
        report: Callback that receives the progress, about twice a second.
        fan_out: Places that measure groups of tensors at the same time, for the measure 'measured'. The table is that
            of one process.

    Raises:
        DatasetError: If there are no samples, if the measure needs targets and there are none, or if the targets do not
            suit the network.
        InvalidNetwork: If the network has no weights.
        TrainingError: If an activation is not finite on the samples.
    """
    if not len(samples):
        raise DatasetError(
            "the training set has no samples on which sensitivities can be measured; expected at least one sample"
        )
    chosen = np.random.default_rng([options.seed, 3]).permutation(len(samples))[: options.samples]
    if task is None:
        nothing = NoSamples(samples.dtype, tuple(samples.shape[1:]))
        task = choose_task(network, Dataset("", samples, targets, nothing, None), options.task)
    if options.measure is Measure.HESSIAN and task.learned_from is LabelSource.FLOAT_NETWORK:
        raise DatasetError(f"the dataset has no labels, and '{options.measure}' needs them; choose '{Measure.FISHER}'")
    taken, taken_targets = samples[chosen], targets_of(task, network, samples, targets)[chosen]
    measurement = Measurement(network, taken, taken_targets, options, task)
    return _sums(measurement, report, fan_out).table(str(options.measure), network, len(taken))


def _sums(measurement: Measurement, report: Report, fan_out: FanOut) -> Sums:
    if measurement.options.measure is not Measure.MEASURED or fan_out.width == 1:
        return measured_part(measurement, None, report)
    parts = divided(measurement.network, fan_out.width)
    # All parts take about the same time.
    measured = dict(fan_out.map(measured_part, measurement, parts, of_first_part(report)))
    return joined([measured[number] for number in range(len(parts))])


def measured_part(measurement: Measurement, part: Container[MeasuredTensor] | None, report: Report) -> Sums:
    """Return the sums of the sensitivities of some tensors of a network.

    Args:
        measurement: What is measured.
        part: The tensors, for the measure 'measured'; None for all.
        report: Callback that receives the progress.

    Raises:
        TrainingError: If an activation is not finite on the samples.
    """
    network, samples, options = measurement.network, measurement.samples, measurement.options
    batches = list(_batches(network, len(samples)))
    cost = _cost(network, options)
    reporter = Reporter(report, 0, len(samples) * cost + min(len(samples), RANGE_SAMPLES) * 2.0)
    reporter.begin("measuring activation ranges", epoch=None, steps=1, cost=2.0)
    float_network = float_module(network)
    errors = tensor_errors(float_network, samples, options.schemes)
    reporter.advance(min(len(samples), RANGE_SAMPLES))
    objectives = _objectives(network, measurement.task, float_network, samples, measurement.targets)
    reporter.begin(f"measuring sensitivity ({options.measure})", epoch=None, steps=len(batches), cost=cost)
    measure = _measure(errors, objectives, options, part)
    for batch in batches:
        measure.add(samples[batch], measurement.targets[batch])
        reporter.advance(len(samples[batch]))
    return measure.sums()


def _objectives(
    network: Network, task: Task, float_network: FloatNetwork, samples: Samples, targets: npt.NDArray[Any]
) -> TaskObjectives:
    if task.kind is TaskKind.CLASSES and len(network.outputs) == 1:  # needs no standard deviations
        return objectives_of(network, task, targets, np.zeros((0, output_values(network)), dtype=np.float32))
    few = samples[:DEVIATION_SAMPLES]
    predict = of_module(float_network, network, _CPU)
    outputs = outputs_of(predict, network, few, np.arange(len(few)), Reporter(silent, 0))
    return objectives_of(network, task, targets[: len(few)], outputs)


def _measure(
    errors: TensorErrors,
    objectives: TaskObjectives,
    options: SensitivityOptions,
    part: Container[MeasuredTensor] | None,
) -> _Measure:
    randomness = np.random.default_rng([options.seed, 4])
    match options.measure:
        case Measure.FISHER:
            return FisherInformation(errors, objectives, randomness)
        case Measure.HESSIAN:
            return HessianTraces(errors, objectives, randomness, options.probes)
        case Measure.MEASURED:
            return Divergence(errors, objectives, part)


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
            return 1.0 + 1.5 * (len(network.tensors) + len(options.schemes) * len(network.weight_layers))
