"""Test of a training run: quality of the float, the fake-quantized and the integer-only network."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch

from deploy.integer_network import IntegerNetwork
from network.layers import Float32Array
from network.network import Network
from qat.data.dataset import Dataset, classes_in
from qat.float_network import FloatNetwork
from qat.options.task import Metric, TaskKind
from qat.quantized_network import QuantizedNetwork
from qat.tasks.meters import ClassesMeter, TaskMeter
from qat.tasks.metrics import percent
from qat.tasks.quality import Quality
from qat.tasks.targets import Targets
from qat.tasks.task_objectives import TaskObjectives
from qat.training.accuracy import Accuracy
from qat.training.evaluation import Predictor, evaluation_batches, of_integers, of_module, samples_by_batch
from qat.training.label_source import LabelSource
from qat.training.reporting import Reporter

FLOAT_COST: Final = 1.0
DEPLOYED_COST: Final = 2.0
INTERPRETER_COST: Final = 2.0
"""Cost per image of each form of the network, in forward passes of the float network; used only to estimate the
remaining time."""


METRICS: Final = MappingProxyType(
    {
        TaskKind.CLASSES: Metric.ACCURACY,
        TaskKind.TWO_CLASSES: Metric.ACCURACY,
        TaskKind.LABELS: Metric.AVERAGE_PRECISION,
        TaskKind.REGRESSION: Metric.R2,
        TaskKind.IMAGES: Metric.SNR,
        TaskKind.PIXELS: Metric.MEAN_IOU,
        TaskKind.ANOMALY: Metric.SNR,
        TaskKind.FLOAT_OUTPUTS: Metric.SNR,
    }
)
"""Metric by which the epochs of a run are compared on the held-out samples, for each task."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Quality of the three forms of a network on the test set.

    Attributes:
        qualities: Figures of each metric; the first is the task's metric, the others describe it further.
        agreement_percent: Percentage of samples for which the fake-quantized and the integer-only network predict the
            same class; None for tasks without one class for each sample.
    """

    qualities: tuple[Quality, ...]
    agreement_percent: float | None

    @property
    def accuracy(self) -> Accuracy | None:
        """The accuracies, for tasks with one class for each sample; else None."""
        first = self.qualities[0]
        if self.agreement_percent is None or first.metric is not Metric.ACCURACY or first.float_network is None:
            return None
        return Accuracy(
            first.float_network, first.fake_quantized, first.integer_only, self.agreement_percent, first.against
        )


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Evaluator of networks for one task.

    Attributes:
        network: The float network, which gives input format and outputs.
        float_network: The float network as a torch module, on the torch device `processor`.
        objectives: The objectives of the task.
        processor: The torch device of the torch modules.
    """

    network: Network
    float_network: FloatNetwork
    objectives: TaskObjectives
    processor: torch.device

    @property
    def metric(self) -> Metric:
        """Metric by which epochs are compared."""
        return METRICS[self.objectives.task.kind]

    def test(
        self,
        module: QuantizedNetwork,
        integer_network: IntegerNetwork,
        dataset: Dataset,
        targets: Targets,
        reporter: Reporter,
    ) -> Judgement:
        """Evaluate the float, the fake-quantized and the integer-only network on the test set, which is used only here.

        Args:
            module: The fake-quantized network.
            integer_network: The integer-only network that was converted from it.
            dataset: The dataset.
            targets: Targets of the test set, in the form that the task compares with outputs; without values if the
                outputs of the float network are the targets.
            reporter: Receiver of the progress.
        """
        every = np.arange(len(dataset.test_x))
        steps = len(evaluation_batches(self.network, len(every)))
        cost = FLOAT_COST + DEPLOYED_COST + INTERPRETER_COST
        reporter.begin("testing", epoch=None, steps=steps, cost=cost)
        fake = of_module(module.deployed(), self.network, self.processor)
        integer_only = of_integers(integer_network)
        flags = classes_in(dataset.test_y) if self.objectives.task.kind is TaskKind.ANOMALY else None
        meters = [TaskMeter(self.objectives) for _ in range(3)]
        for indices, batch in samples_by_batch(self.network, dataset.test_x, every, reporter):
            taught = self._of_float(batch)
            expected = targets[indices]
            of_batch = None if flags is None else flags[indices]
            for meter, outputs in zip(meters, (taught, fake(batch), integer_only(batch)), strict=True):
                meter.add(outputs, expected, taught, of_batch)
        return self._result(meters)

    def _of_float(self, batch: Any) -> Float32Array:
        predict: Predictor = of_module(self.float_network, self.network, self.processor)
        return predict(batch)

    def _result(self, meters: list[TaskMeter]) -> Judgement:
        task = self.objectives.task
        of_float, of_fake, of_integer = (meter.figures() for meter in meters)
        qualities = []
        for (output, metric), figure in of_float.items():
            follows = output != task.output
            against = LabelSource.FLOAT_NETWORK if follows else task.measured_against
            is_reference = follows or task.kind is TaskKind.FLOAT_OUTPUTS or _is_distance(metric, against)
            float_figure = None if is_reference else figure
            fake, integer = of_fake[output, metric], of_integer[output, metric]
            qualities.append(Quality(metric, output, float_figure, fake, integer, against))
        mains = [meter.main for meter in meters[1:]]
        agreeing = None
        of_classes = [np.concatenate(each.classes) for each in mains if isinstance(each, ClassesMeter)]
        if of_classes:
            agreeing = percent(of_classes[0] == of_classes[1])
        return Judgement(tuple(qualities), agreeing)


def _is_distance(metric: Metric, against: LabelSource) -> bool:
    """Return whether a figure of the float network would compare its outputs with themselves, as real numbers."""
    return against is LabelSource.FLOAT_NETWORK and metric in {Metric.SNR, Metric.R2, Metric.RMSE}


def judgement_to_json(judgement: Judgement) -> str:
    """Return a judgement as JSON text, which the first of several processes sends to the others."""
    return json.dumps(asdict(judgement))


def judgement_from_json(text: str) -> Judgement:
    """Return the judgement in a JSON text of `judgement_to_json`."""
    found = json.loads(text)
    qualities = tuple(
        Quality(**{**each, "metric": Metric(each["metric"]), "against": LabelSource(each["against"])})
        for each in found["qualities"]
    )
    return Judgement(qualities, found["agreement_percent"])
