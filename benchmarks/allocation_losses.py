"""Loss of the integer-only network of given bits: after calibration, after post-training, and after training."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
import torch
from torch import nn

from benchmarks.tasks import Task
from network.allocation import Allocation
from network.layers import Float32Array
from network.network import Network
from qat.calibration import calibrate
from qat.conversion import convert
from qat.data.dataset import NoSamples, labelled
from qat.options.post_training import PostTrainingOptions
from qat.options.training import TrainingOptions
from qat.post_training.equalization import equalized
from qat.post_training.improve import improve
from qat.prepare import float_module, prepare
from qat.progress import Report, silent
from qat.train import train
from qat.training.evaluation import Predictor, of_integers, of_module, outputs_of
from qat.training.fingerprint import fingerprint_of
from qat.training.reporting import Reporter

CALIBRATION_SAMPLES: Final = 256


class Stage(StrEnum):
    """What is done to a network before its loss is measured."""

    CALIBRATED = "calibrated"
    """Ranges are calibrated, weights are rounded to nearest."""

    POST_TRAINED = "post-trained"
    """Equalized, calibrated, rounding learned, biases corrected."""

    TRAINED = "trained"
    """Trained with the default options."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Loss of an integer-only network on the test set.

    Attributes:
        loss: Mean cross-entropy in nats.
        percent: Accuracy in percent.
        seconds: Wall time in seconds, of the preparation and of the evaluation.
    """

    loss: float
    percent: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Measurement:
    """One measurement: a task's network with given bits, at one stage.

    Attributes:
        task: The task, with the samples that are used.
        allocation: The bits and schemes of all tensors.
        stage: What is done to the network before.
        rounding_steps: Number of steps that learn the rounding of each block of layers, for the post-trained network.
    """

    task: Task
    allocation: Allocation
    stage: Stage
    rounding_steps: int

    @property
    def key(self) -> str:
        """Fingerprint (hash) of all inputs on which the measured loss depends."""
        return fingerprint_of(
            self.task.fingerprint,
            self.allocation,
            str(self.stage),
            self._options.what_counts() if self.stage is Stage.TRAINED else self._post_training,
        )

    @property
    def _options(self) -> TrainingOptions:
        return TrainingOptions(threads=self.task.options.threads)

    @property
    def _post_training(self) -> PostTrainingOptions:
        return PostTrainingOptions(rounding_steps=self.rounding_steps, samples=CALIBRATION_SAMPLES)

    def measured(self, report: Report = silent) -> Measured:
        """Prepare the integer-only network, and compute its loss on the test set by the interpreter."""
        started = time.monotonic()
        network = self.task.network
        predict = self._trained(report) if self.stage is Stage.TRAINED else self._untrained(report)
        loss, percent = loss_and_percent(predict, network, self.task)
        return Measured(loss, percent, time.monotonic() - started)

    def _untrained(self, report: Report) -> Predictor:
        is_improved = self.stage is Stage.POST_TRAINED
        network = equalized(self.task.network) if is_improved else self.task.network
        samples = self.task.dataset.train_x[:CALIBRATION_SAMPLES]
        float_network, module = float_module(network), prepare(network, self.allocation)
        calibrate(module, samples, float_network)
        if is_improved:
            improve(module, float_network, samples, self._post_training, Reporter(report, 0))
        return of_integers(convert(module.eval()))

    def _trained(self, report: Report) -> Predictor:
        data = self.task.dataset
        nothing = NoSamples(data.train_x.dtype, tuple(data.train_x.shape[1:]))
        dataset = replace(data, test_x=nothing, test_y=None)
        return of_integers(
            train(self.task.network, self.allocation, dataset, self._options, report=report).integer_network
        )


def float_loss_and_percent(task: Task) -> tuple[float, float]:
    """Return the mean cross-entropy of the float network on the test set in nats, and its accuracy in percent."""
    return loss_and_percent(
        of_module(float_module(task.network), task.network, torch.device("cpu")), task.network, task
    )


def loss_and_percent(predict: Predictor, network: Network, task: Task) -> tuple[float, float]:
    """Return the mean cross-entropy of outputs on a task's test set in nats, and the accuracy in percent."""
    samples, labels = task.dataset.test_x, labelled(task.dataset.test_y)
    outputs: Float32Array = outputs_of(predict, network, samples, np.arange(len(samples)), Reporter(silent, 0))
    loss = nn.functional.cross_entropy(torch.from_numpy(outputs).double(), torch.from_numpy(labels))
    return float(loss), 100 * float((outputs.argmax(axis=1) == labels).mean())
