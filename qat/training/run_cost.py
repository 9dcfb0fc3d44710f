"""Remaining work of a training run, in forward passes of the float network, for the estimate of the remaining time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qat.data.batches import Split
from qat.data.dataset import Dataset
from qat.options.chosen import ChosenOptions
from qat.post_training.improve import improvement_cost
from qat.quantized_network import QuantizedNetwork
from qat.training.judging import DEPLOYED_COST, FLOAT_COST, INTERPRETER_COST

CALIBRATION_COST: Final = 4.0
"""Cost of calibration per image, in forward passes of the float network."""

TRAINING_COST: Final = 5.0
"""Cost of training per image, in forward passes of the float network."""


@dataclass(frozen=True, slots=True, eq=False)
class RunCost:
    """Cost model of a training run, in forward passes of the float network for one image.

    Attributes:
        module: The fake-quantized network.
        dataset: The dataset.
        split: Split of the training set into samples for training and held-out samples.
        options: Training options of the run.
    """

    module: QuantizedNetwork
    dataset: Dataset
    split: Split
    options: ChosenOptions

    def left(self, epochs_done: int, *, resumed: bool, teacher_runs_once: bool, predicts_classes: bool) -> float:
        """Return the cost of the remaining work of a training run, in forward passes of the float network for one
        image.

        Args:
            epochs_done: Number of finished epochs of training.
            resumed: Whether the network is already calibrated and evaluated.
            teacher_runs_once: Whether the float network is computed once for all training samples before the first
                epoch.
            predicts_classes: Whether the targets are the classes that the float network predicts.
        """
        training, validation = len(self.split.training), len(self.split.validation)
        epochs_left = self.options.epochs - epochs_done
        cost = epochs_left * (training * TRAINING_COST + validation * INTERPRETER_COST)
        cost += len(self.dataset.test_x) * (FLOAT_COST + DEPLOYED_COST + INTERPRETER_COST)
        if not resumed:
            cost += min(self.options.calibration_samples, training) * CALIBRATION_COST + validation * INTERPRETER_COST
            cost += self._post_training(training)
        needs_labels = predicts_classes and (epochs_left > 0 or not resumed)
        if teacher_runs_once and (needs_labels or (epochs_left and self.options.distillation)):
            cost += len(self.dataset.train_x) * FLOAT_COST
        return cost

    def _post_training(self, samples: int) -> float:
        chosen = self.options.post_training
        return improvement_cost(self.module.network, self.module.allocation, min(samples, chosen.samples), chosen)
