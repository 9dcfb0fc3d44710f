"""Check of the float network before the training against trivial predictors, for tasks other than `classes`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from network.layers import Float32Array
from qat.data.batches import Split
from qat.data.dataset import Dataset, Indices, SampleSource, labelled
from qat.float_network import FloatNetwork
from qat.options.task import Metric, TaskKind
from qat.tasks.choice import Task, targets_of
from qat.tasks.meters import TaskMeter
from qat.tasks.objectives import SquaredError
from qat.tasks.targets import Targets
from qat.tasks.task_objectives import objectives_of
from qat.training.evaluation import evaluation_batches, of_module, output_values, outputs_of
from qat.training.judging import FLOAT_COST
from qat.training.label_source import LabelSource
from qat.training.quality_texts import PREPROCESSING, quality_text
from qat.training.reporting import Reporter

MAX_SAMPLES: Final = 1000
"""Largest number of samples on which the float network is checked."""
MIN_SAMPLES: Final = 20
"""Smallest number of samples from which a warning is derived."""
MAX_VALUES: Final = 2**24
"""Largest number of output values and of target values of all checked samples together."""
_CHANCE_AUC: Final = 0.55
"""Largest area under the ROC curve that counts as near chance."""

Array = npt.NDArray[Any]


def trivial_quality_warning(
    float_network: FloatNetwork,
    task: Task,
    dataset: Dataset,
    split: Split,
    processor: torch.device,
    reporter: Reporter,
) -> str | None:
    """Check the float network on samples with targets, and return the warning about its quality.

    The samples are random samples of the training set, the held-out ones first. If only the test set has targets, they
    are taken from the test set, at equal distances.

    Args:
        float_network: The float network, on the torch device `processor`.
        task: The task, other than `classes`.
        dataset: The dataset, in shapes that fit the network.
        split: Split of the training set into samples for training and held-out samples.
        processor: The torch device of the float network.
        reporter: Receiver of the progress.

    Returns:
        The text of the warning; None if there is no reason for one, if the outputs of the float network are the
        targets, or with fewer than `MIN_SAMPLES` samples.

    Raises:
        DatasetError: If a sample or target cannot be read.
    """
    found = _samples_with_targets(float_network, task, dataset, split)
    if found is None:
        return None
    check = _Check(float_network, task, processor, reporter)
    text = check.text(*found)
    if text is None and task.kind is TaskKind.ANOMALY and dataset.has_test_set and dataset.test_y is not None:
        return check.anomaly_text(dataset)
    return text


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """Evaluation of the float network on some samples."""

    float_network: FloatNetwork
    task: Task
    processor: torch.device
    reporter: Reporter

    def text(self, samples: SampleSource, rows: Targets, order: Indices) -> str | None:
        measured = self._figures(samples, rows, order, None)
        return None if measured is None else quality_text(self.task.kind, *measured)

    def anomaly_text(self, dataset: Dataset) -> str | None:
        """Return the warning about anomaly scores that are near chance on the test set."""
        flags = labelled(dataset.test_y)
        rows = targets_of(self.task, self.float_network.network, dataset.test_x, dataset.test_y)
        order = np.linspace(0, len(flags) - 1, min(len(flags), MAX_SAMPLES)).astype(np.int64)
        measured = self._figures(dataset.test_x, rows, order, flags)
        if measured is None or len(np.unique(flags[order])) == 1 or measured[0][Metric.AUC] > _CHANCE_AUC:
            return None
        auc, count = measured[0][Metric.AUC], len(measured[2])
        return (
            f"the anomaly scores of the float network have an area under the ROC curve of {auc:.2f} on {count:,} test "
            f"samples, which is near chance (0.5). Likely causes: {PREPROCESSING}"
        )

    def _figures(
        self, samples: SampleSource, rows: Targets, order: Indices, flags: Array | None
    ) -> tuple[Mapping[Metric, float], Float32Array, Array] | None:
        """Return figures, outputs and targets of some samples; None if there are too few or an output is not finite."""
        network = self.float_network.network
        values = max(output_values(network), int(np.asarray(rows[order[:1]]).size))
        chosen = order[: max(1, min(MAX_SAMPLES, MAX_VALUES // values))]
        if len(chosen) < MIN_SAMPLES:
            return None
        self.reporter.expect(len(chosen) * FLOAT_COST)
        steps = len(evaluation_batches(network, len(chosen)))
        self.reporter.begin("checking the float network", epoch=0, steps=steps, cost=FLOAT_COST)
        predict = of_module(self.float_network, network, self.processor)
        outputs = outputs_of(predict, network, samples, chosen, self.reporter)
        if not np.isfinite(outputs).all():  # the training reports it
            return None
        targets = np.asarray(rows[chosen])
        objectives = objectives_of(network, self.task, targets, outputs)
        meter = TaskMeter(objectives)
        meter.add(outputs, targets, outputs, None if flags is None else flags[chosen])
        figures = {metric: each for (output, metric), each in meter.figures().items() if output == self.task.output}
        predicted = outputs[:, objectives.main.start : objectives.main.stop]
        if isinstance(objectives.main, SquaredError):
            predicted = objectives.main.linked(torch.from_numpy(predicted)).numpy()
        return figures, predicted, targets


def _samples_with_targets(
    float_network: FloatNetwork, task: Task, dataset: Dataset, split: Split
) -> tuple[SampleSource, Targets, Indices] | None:
    network = float_network.network
    if task.kind in {TaskKind.CLASSES, TaskKind.FLOAT_OUTPUTS}:
        return None
    if task.learned_from is LabelSource.LABELS:
        order = np.concatenate([split.validation, split.training])
        return dataset.train_x, targets_of(task, network, dataset.train_x, dataset.train_y), order
    if task.measured_against is LabelSource.LABELS and dataset.has_test_set:
        count = len(dataset.test_x)
        order = np.linspace(0, count - 1, min(count, MAX_SAMPLES)).astype(np.int64)
        return dataset.test_x, targets_of(task, network, dataset.test_x, dataset.test_y), order
    return None
