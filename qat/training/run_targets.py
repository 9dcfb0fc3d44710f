"""Task, objectives and targets of a training run."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from network.errors import RequestError
from network.network import Network
from qat.data.batches import Split
from qat.data.dataset import Dataset
from qat.float_network import FloatNetwork
from qat.options.task import TaskKind
from qat.options.training import TrainingOptions
from qat.tasks.choice import Task, choose_task, targets_of
from qat.tasks.targets import Targets
from qat.tasks.task_objectives import DEVIATION_SAMPLES, TaskObjectives, objectives_of
from qat.training.evaluation import of_module, output_values, outputs_of
from qat.training.label_source import LabelSource
from qat.training.reporting import Reporter
from qat.training.teacher import Teacher

_OF_POSITIONS = {TaskKind.IMAGES, TaskKind.PIXELS, TaskKind.ANOMALY}


class RunTargets:
    """What a training run trains towards and is judged by.

    Args:
        network: The network.
        dataset: The dataset, in shapes that fit the network.
        options: Training options of the run.

    Attributes:
        task: The task.

    Raises:
        DatasetError: If the targets do not suit the network or the task.
        RequestError: If the options augment samples in a way that does not suit the task.
    """

    def __init__(self, network: Network, dataset: Dataset, options: TrainingOptions) -> None:
        self._network, self._dataset = network, dataset
        self.task: Task = choose_task(network, dataset, options.task)
        if self.task.kind in _OF_POSITIONS and options.augmentation.changes_samples:
            raise RequestError(
                f"augmentation changes the samples but not the targets of the task '{self.task.kind}'; choose the "
                "augmentation 'none'"
            )
        self._train: Targets | npt.NDArray[Any] = targets_of(self.task, network, dataset.train_x, dataset.train_y)
        self.of_test_set: Targets = targets_of(self.task, network, dataset.test_x, dataset.test_y)

    @property
    def of_training_set(self) -> Targets | npt.NDArray[Any]:
        """Targets of the training set, in the form that the task compares with outputs."""
        return self._train

    @property
    def are_predicted_classes(self) -> bool:
        """Whether the targets of the training set are the classes that the float network predicts."""
        return self.task.kind is TaskKind.CLASSES and self.task.learned_from is LabelSource.FLOAT_NETWORK

    def objectives(
        self, float_network: FloatNetwork, split: Split, processor: torch.device, reporter: Reporter
    ) -> TaskObjectives:
        """Return the objectives of the task, with standard deviations measured on training samples.

        Args:
            float_network: The float network, on the torch device `processor`.
            split: Split of the training set.
            processor: The torch device of the float network.
            reporter: Receiver of the progress.
        """
        network, chosen = self._network, split.training[:DEVIATION_SAMPLES]
        if self.task.kind is TaskKind.CLASSES and len(network.outputs) == 1:
            nothing = np.zeros((0, output_values(network)), dtype=np.float32)
            return objectives_of(network, self.task, nothing, nothing)
        predict = of_module(float_network, network, processor)
        reporter.expect(len(chosen))
        reporter.begin("measuring the outputs of the float network", epoch=None, steps=0, cost=1.0)
        found = outputs_of(predict, network, self._dataset.train_x, chosen, reporter)
        return objectives_of(network, self.task, np.asarray(self._train[chosen]), found)

    def predict_classes(self, teacher: Teacher, objectives: TaskObjectives, reporter: Reporter) -> None:
        """Replace missing targets of the training set by the classes that the float network predicts."""
        self._train = teacher.classes(objectives.main.start, objectives.main.stop, reporter)
