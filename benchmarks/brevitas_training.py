"""Training of a network that is fake-quantized by Brevitas, in the same way as `qat.train` trains.

The split, batches, augmentation, optimizer, learning rates and distillation are the same, and the best epoch is chosen
on the same held-out samples.

Three things differ, which are compared: the fake quantization, its initial ranges, and the reported accuracy. It is the
accuracy of the fake-quantized network, because Brevitas has no integer-only network.
"""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.brevitas_network import BrevitasNetwork
from benchmarks.outcome import Outcome
from network.allocation import Allocation
from network.network import Network
from qat.data.batches import batches_of, split_of
from qat.data.dataset import Dataset, Indices, Labels, SampleSource, labelled
from qat.data.loader import training_batches
from qat.options.chosen import ChosenOptions
from qat.options.task import TaskKind
from qat.options.training import OptimizerKind
from qat.prepare import float_module
from qat.progress import Report
from qat.tasks.choice import Task
from qat.tasks.metrics import percent
from qat.tasks.objectives import Categorical
from qat.tasks.task_objectives import TaskObjectives
from qat.training.evaluation import evaluation_batches, of_module, outputs_of
from qat.training.label_source import LabelSource
from qat.training.learning_rate import learning_rate_at
from qat.training.optimizer import set_learning_rate, two_bit_share
from qat.training.processor import processor_of
from qat.training.reporting import Reporter
from qat.training.teacher import Teacher


class BrevitasTraining:
    """One training of one network that is fake-quantized by the library Brevitas.

    Args:
        network: The network with its float weights.
        allocation: The allocation whose bits are used.
        dataset: The dataset with labels that fits the network.
        options: The options of `qat.train.train`; those of ranges, bits and batch norm have no effect here.
        report: Callback that receives the progress.
    """

    def __init__(
        self, network: Network, allocation: Allocation, dataset: Dataset, options: ChosenOptions, report: Report
    ) -> None:
        if options.optimizer is not OptimizerKind.ADAM or options.weight_decay:
            raise ValueError(f"Brevitas is trained with plain Adam here, not with {options.optimizer}")
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self._network, self._dataset, self._options = network, dataset, options
        of_classes = Task(TaskKind.CLASSES, network.outputs[0], LabelSource.LABELS, LabelSource.LABELS)
        classes = network.shapes[network.outputs[0]].elements
        self._objectives = TaskObjectives(of_classes, Categorical(network.outputs[0], 0, classes), ())
        self._processor = processor_of(options)
        self._split = split_of(dataset, options.validation_fraction, options.seed)
        self._reporter = Reporter(report, options.epochs)
        self._float_network = float_module(network)
        self._module = BrevitasNetwork(network, allocation)
        taken = min(options.calibration_samples, len(self._split.training))
        self._reporter.begin("calibrating", epoch=0, steps=1, cost=1.0)
        self._module.calibrate(dataset.train_x[self._split.training[:taken]])
        self._float_network.to(self._processor)
        self._module.to(self._processor)
        self._teacher = Teacher(
            self._float_network, dataset.train_x, self._processor, samples_change=options.augmentation.changes_samples
        )

    def outcome(self) -> Outcome:
        """Train all epochs, keep the best epoch by held-out accuracy, and evaluate it on the test set once."""
        started = time.monotonic()
        dataset = self._dataset
        train_y, test_y = labelled(dataset.train_y), labelled(dataset.test_y)
        optimizer = self._optimizer()
        best, best_epoch, state = -1.0, 0, self._module.state_dict()
        for epoch in range(self._options.epochs + 1):
            if epoch:
                self._train(epoch, optimizer, train_y)
            validated = self._percent(self._module, dataset.train_x, train_y, self._split.validation)
            if validated > best:
                best, best_epoch, state = validated, epoch, copy.deepcopy(self._module.state_dict())
        self._module.load_state_dict(state)
        everything = np.arange(len(dataset.test_x))
        of_brevitas, of_float = (
            self._percent(module, dataset.test_x, test_y, everything) for module in (self._module, self._float_network)
        )
        return Outcome(
            percent=of_brevitas,
            is_integer_only=False,
            fake_quantized_percent=of_brevitas,
            float_percent=of_float,
            validation_percent=best,
            best_epoch=best_epoch,
            seconds=time.monotonic() - started,
        )

    def _optimizer(self) -> torch.optim.Optimizer:
        """Return the optimizer, with a separate learning rate for 2-bit weights as in `qat.training.optimizer`."""
        of_two_bits = self._module.two_bit_weights()
        known = {id(weight) for weight in of_two_bits}
        others = [parameter for parameter in self._module.parameters() if id(parameter) not in known]
        groups: list[dict[str, Any]] = [
            {"params": others, "share": 1.0},
            {"params": of_two_bits, "share": two_bit_share(self._options)},
        ]
        return torch.optim.Adam(groups, lr=self._options.learning_rate)

    def _train(self, epoch: int, optimizer: torch.optim.Optimizer, labels: Labels) -> None:
        options = self._options
        self._module.train()
        batches = batches_of(self._split.training, options.batch_size, options.seed, epoch)
        self._reporter.begin("training Brevitas", epoch=epoch, steps=len(batches), cost=1.0)
        loader = training_batches(
            self._dataset.train_x,
            labels,
            self._network,
            batches,
            options.augmentation,
            seed=options.seed,
            epoch=epoch,
            workers=options.workers,
        )
        for step, batch in enumerate(loader):
            images, targets = batch.images.to(self._processor), batch.targets.to(self._processor)
            set_learning_rate(optimizer, learning_rate_at(options, epoch, step / len(batches)))
            taught = self._teacher(images, batch.indices) if options.distillation else None
            optimizer.zero_grad(set_to_none=True)
            loss = self._objectives.loss(
                self._module(images),
                targets,
                taught,
                distillation=options.distillation,
                temperature=options.distillation_temperature,
                smoothing=options.label_smoothing,
            )
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation
            optimizer.step()
            self._reporter.advance(len(images), loss.item())

    def _percent(self, module: nn.Module, samples: SampleSource, labels: Labels, taken: Indices) -> float:
        module.eval()
        self._reporter.begin("judging", epoch=None, steps=len(evaluation_batches(self._network, len(taken))), cost=1.0)
        answer = of_module(module, self._network, self._processor)
        outputs = outputs_of(answer, self._network, samples, taken, self._reporter)
        return percent(outputs.argmax(axis=1) == labels[taken])


def trained_by_brevitas(
    network: Network, allocation: Allocation, dataset: Dataset, options: ChosenOptions, report: Report
) -> Outcome:
    """Train or, with 0 epochs, only calibrate a network with Brevitas, and return its accuracies."""
    return BrevitasTraining(network, allocation, dataset, options, report).outcome()
