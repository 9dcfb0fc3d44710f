"""What a training run still costs, in forward passes of the float network; only the estimate of time depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qat.data.batches import Split
from qat.data.dataset import Dataset
from qat.options.training import TrainingOptions
from qat.post_training.improve import improvement_cost
from qat.quantized_network import QuantizedNetwork
from qat.training.judging import DEPLOYED_COST, FLOAT_COST, INTERPRETER_COST

CALIBRATION_COST: Final = 4.0
TRAINING_COST: Final = 5.0
"""Of an image."""


@dataclass(frozen=True, slots=True, eq=False)
class RunCost:
    """What the parts of a run cost.

    Attributes:
        module: that is trained.
        dataset: it learns from.
        split: of the training set.
        options: of the run.
    """

    module: QuantizedNetwork
    dataset: Dataset
    split: Split
    options: TrainingOptions

    def left(self, epochs_done: int, *, resumed: bool, asks_once: bool) -> float:
        """Of all that is still to do.

        Args:
            epochs_done: that need not be trained again.
            resumed: it has been calibrated and judged.
            asks_once: the float network is asked for every training sample before an epoch begins.
        """
        training, validation = len(self.split.training), len(self.split.validation)
        epochs_left = self.options.epochs - epochs_done
        cost = epochs_left * (training * TRAINING_COST + validation * INTERPRETER_COST)
        cost += len(self.dataset.test_x) * (FLOAT_COST + DEPLOYED_COST + INTERPRETER_COST)
        if not resumed:
            cost += min(self.options.calibration_samples, training) * CALIBRATION_COST + validation * INTERPRETER_COST
            cost += self._post_training(training)
        needs_labels = self.dataset.train_y is None and (epochs_left > 0 or not resumed)
        if asks_once and (needs_labels or (epochs_left and self.options.distillation)):
            cost += len(self.dataset.train_x) * FLOAT_COST
        return cost

    def _post_training(self, samples: int) -> float:
        chosen = self.options.post_training
        if chosen is None:
            return 0.0
        return improvement_cost(self.module.network, self.module.allocation, min(samples, chosen.samples), chosen)
