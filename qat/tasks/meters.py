"""Meters of the quality of a network: each collects the outputs of all samples of a set, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from network.layers import Float32Array
from qat.options.task import Metric, TaskKind
from qat.tasks.metrics import (
    area_under_roc,
    coefficient_of_determination,
    mean_average_precision,
    mean_intersection_over_union,
    percent,
    signal_to_noise_db,
)
from qat.tasks.objectives import Bernoulli, Categorical, Objective, SquaredError
from qat.tasks.targets import NO_CLASS
from qat.tasks.task_objectives import TaskObjectives

Array = npt.NDArray[Any]


class Meter(Protocol):
    """Collector of one output's quality."""

    def add(self, values: Float32Array, targets: Array, flags: Array | None) -> None:
        """Count a batch of samples.

        Args:
            values: Values of the output, float32 [n, values].
            targets: Targets in the form of `qat.tasks.targets.targets_of`.
            flags: Whether each sample is an anomaly, [n]; None for tasks without anomalies.
        """

    def figures(self) -> Mapping[Metric, float]:
        """Return the figures of all samples so far; the first is the task's metric, the others describe it further."""


class ClassesMeter:
    """Meter of the accuracy of one class for each sample.

    Attributes:
        classes: Predicted class of each sample, one int64 array for each batch.
    """

    def __init__(self, objective: Objective) -> None:
        self._is_logit = isinstance(objective, Bernoulli)
        self.classes: list[Array] = []
        self._scores: list[Array] = []
        self._targets: list[Array] = []

    def add(self, values: Float32Array, targets: Array, flags: Array | None) -> None:
        del flags
        if self._is_logit:
            self._scores.append(values[:, 0])
            self.classes.append((values[:, 0] > 0).astype(np.int64))
            self._targets.append(targets[:, 0].astype(np.int64))
        else:
            self.classes.append(values.argmax(axis=1))
            self._targets.append(targets)

    def figures(self) -> Mapping[Metric, float]:
        targets = np.concatenate(self._targets)
        figures = {Metric.ACCURACY: percent(np.concatenate(self.classes) == targets)}
        if self._is_logit:
            figures[Metric.AUC] = area_under_roc(np.concatenate(self._scores), targets == 1)
        return figures


class LabelsMeter:
    """Meter of the mean average precision of several labels."""

    def __init__(self) -> None:
        self._scores: list[Float32Array] = []
        self._targets: list[Array] = []

    def add(self, values: Float32Array, targets: Array, flags: Array | None) -> None:
        del flags
        self._scores.append(values)
        self._targets.append(targets)

    def figures(self) -> Mapping[Metric, float]:
        scores, targets = np.concatenate(self._scores), np.concatenate(self._targets)
        return {Metric.AVERAGE_PRECISION: mean_average_precision(scores, targets)}


class SignalMeter:
    """Meter of real numbers: signal-to-noise ratio, or R2 and root mean squared error, or anomaly scores.

    Args:
        objective: The objective, which gives the host's function behind the output.
        kind: The task, which decides the metric.
    """

    def __init__(self, objective: SquaredError, kind: TaskKind) -> None:
        self._objective, self._kind = objective, kind
        self._count = 0
        self._error: Array = np.zeros(())
        self._sum: Array = np.zeros(())
        self._square: Array = np.zeros(())
        self._shift: Array | None = None
        self._scores: list[Array] = []
        self._flags: list[Array] = []

    def add(self, values: Float32Array, targets: Array, flags: Array | None) -> None:
        outputs = self._objective.linked(torch.from_numpy(values).double()).numpy()
        expected = targets.astype(np.float64)
        errors = np.square(outputs - expected)
        if self._shift is None:  # sums around the first sample lose no digits where targets are far from zero
            self._shift = expected[0]
        self._count += len(values)
        self._error = self._error + errors.sum(axis=0)
        self._sum = self._sum + (expected - self._shift).sum(axis=0)
        self._square = self._square + np.square(expected - self._shift).sum(axis=0)
        if flags is not None:
            self._scores.append(errors.mean(axis=1))
            self._flags.append(flags != 0)

    def figures(self) -> Mapping[Metric, float]:
        assert self._shift is not None  # noqa: S101  # a set has at least one sample
        power = self._square + 2 * self._shift * self._sum + self._count * np.square(self._shift)
        snr = signal_to_noise_db(float(power.sum()), float(self._error.sum()))
        if self._flags:
            auc = area_under_roc(np.concatenate(self._scores), np.concatenate(self._flags))
            return {Metric.AUC: auc, Metric.SNR: snr}
        if self._kind not in {TaskKind.REGRESSION, TaskKind.FLOAT_OUTPUTS}:
            return {Metric.SNR: snr}
        spread = np.maximum(self._square - np.square(self._sum) / self._count, 0.0)
        rmse = float(np.sqrt(self._error.sum() / (self._count * self._error.size)))
        r2 = coefficient_of_determination(self._error, spread)
        if self._kind is TaskKind.REGRESSION:
            return {Metric.R2: r2, Metric.RMSE: rmse}
        # A ratio to the whole power flatters outputs that are far from zero; R2 is relative to their spread.
        return {Metric.SNR: snr, Metric.R2: r2, Metric.RMSE: rmse}


class PixelsMeter:
    """Meter of the mean intersection over union of the classes of pixels."""

    def __init__(self, objective: Categorical | Bernoulli) -> None:
        self._is_logit = isinstance(objective, Bernoulli)
        self._positions = objective.positions
        classes = 2 if self._is_logit else (objective.stop - objective.start) // objective.positions
        self._confusion = np.zeros((classes, classes), dtype=np.int64)

    def add(self, values: Float32Array, targets: Array, flags: Array | None) -> None:
        del flags
        maps = values.reshape(len(values), -1, self._positions)
        predicted = (maps[:, 0] > 0).astype(np.int64) if self._is_logit else maps.argmax(axis=1)
        expected = targets.astype(np.int64)
        counted = expected != NO_CLASS
        pairs = expected[counted] * len(self._confusion) + predicted[counted]
        self._confusion += np.bincount(pairs, minlength=self._confusion.size).reshape(self._confusion.shape)

    def figures(self) -> Mapping[Metric, float]:
        correct = np.trace(self._confusion) / max(1, self._confusion.sum())
        return {
            Metric.MEAN_IOU: mean_intersection_over_union(self._confusion),
            Metric.ACCURACY: 100.0 * float(correct),
        }


class TaskMeter:
    """Meter of all outputs of one network for a task, with its loss.

    Args:
        objectives: The objectives of the task.
        with_loss: Whether the loss is computed, too.
    """

    def __init__(self, objectives: TaskObjectives, *, with_loss: bool = False) -> None:
        self._objectives, self._with_loss = objectives, with_loss
        self.main = _main_meter(objectives)
        self._others = [SignalMeter(each, TaskKind.IMAGES) for each in objectives.others]
        self._loss_sum, self._count = 0.0, 0

    def add(self, outputs: Float32Array, targets: Array, taught: Float32Array | None, flags: Array | None) -> None:
        """Count a batch of samples.

        Args:
            outputs: All outputs of the network, concatenated, float32 [n, values].
            targets: Targets of the judged output; without values if the float network's outputs are the targets.
            taught: All outputs of the float network, [n, values]; needed for targets that it gives.
            flags: Whether each sample is an anomaly, [n], or None.
        """
        objectives, main = self._objectives, self._objectives.main
        given = torch.from_numpy(outputs)
        of_float = None if taught is None else torch.from_numpy(taught)
        wanted = torch.from_numpy(targets)
        if not wanted.numel():
            assert of_float is not None  # noqa: S101  # the caller knows that it is needed
            wanted = main.hard_targets(main.of(of_float))
        if self._with_loss:
            self._loss_sum += float(objectives.loss(given.double(), wanted, of_float)) * len(outputs)
            self._count += len(outputs)
        self.main.add(main.of(given).numpy(), wanted.numpy(), flags)
        for meter, other in zip(self._others, objectives.others, strict=True):
            assert of_float is not None  # noqa: S101  # the caller knows that it is needed
            meter.add(other.of(given).numpy(), other.of(of_float).numpy(), None)

    @property
    def loss(self) -> float:
        """Mean loss of all samples so far, for a meter with loss."""
        return self._loss_sum / self._count

    def figures(self) -> dict[tuple[str, Metric], float]:
        """Return the figures of all outputs by output and metric; the first is the task's metric."""
        found = {(self._objectives.main.output, metric): each for metric, each in self.main.figures().items()}
        for meter, other in zip(self._others, self._objectives.others, strict=True):
            found |= {(other.output, metric): each for metric, each in meter.figures().items()}
        return found


def _main_meter(objectives: TaskObjectives) -> Meter:
    main, kind = objectives.main, objectives.task.kind
    if isinstance(main, SquaredError):
        return SignalMeter(main, kind)
    if kind is TaskKind.PIXELS and isinstance(main, Categorical | Bernoulli):
        return PixelsMeter(main)
    return LabelsMeter() if kind is TaskKind.LABELS else ClassesMeter(main)
