"""Quantization-aware training: from a network, an allocation and a dataset to the integer-only network."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deploy.integer_network import IntegerNetwork
from network.allocation import Allocation
from network.errors import TrainingError
from network.layers import FloatArray
from network.network import Network
from qat.batches import Split, augmented, batches_of, split_of, tensor_of
from qat.calibration import calibrate
from qat.checkpoint import Checkpoint, EpochResult, after_epoch, restore, save
from qat.conversion import convert
from qat.datasets import Dataset, check_dataset
from qat.evaluation import cross_entropy, evaluation_batches, integer_classes, logits_of, percent
from qat.fingerprint import fingerprint_of
from qat.float_network import FloatNetwork
from qat.loss import distilled_loss
from qat.module import float_module, prepare
from qat.optimizer import new_optimizer, set_learning_rate
from qat.options import TrainingOptions
from qat.progress import Report, silent
from qat.quantized_network import QuantizedNetwork
from qat.reporting import Reporter

# What an image costs in each phase, in forward passes of the float network; only the estimate of time depends on it.
_CALIBRATION_COST, _EVALUATION_COST, _TRAINING_COST, _INTERPRETER_COST = 4.0, 2.0, 5.0, 8.0


MOST_REMEMBERED_BYTES = 2**28
"""Of the float network's answers for the training set; more are computed anew in every epoch."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 accuracy in percent of the test set, and how often the two quantized forms choose the same class."""

    float_percent: float
    fake_quantized_percent: float
    integer_only_percent: float
    top1_agreement_percent: float


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """What a training run leaves.

    Attributes:
        integer_network: the integer-only network of the best epoch.
        accuracy: on the test set.
        epochs: epoch 0, calibrated only, and then each epoch of training.
        best_epoch: the one that was kept.
    """

    integer_network: IntegerNetwork
    accuracy: Accuracy
    epochs: tuple[EpochResult, ...]
    best_epoch: int


def train(
    network: Network,
    allocation: Allocation,
    dataset: Dataset,
    options: TrainingOptions,
    *,
    report: Report = silent,
    checkpoint_directory: Path | None = None,
) -> TrainingResult:
    """Retrain a network with its bits and convert it.

    Each epoch is judged, as deployed, on samples held out of the training set; the best is kept, and the calibrated
    network before the first epoch is a candidate. The test set is measured once, at the end, and decides nothing.

    Args:
        network: with weights.
        allocation: of every tensor.
        dataset: fits the network (`qat.datasets.check_dataset`).
        options: how to train.
        report: is told about progress, about twice a second.
        checkpoint_directory: where a checkpoint is kept after every epoch. A later call with equal inputs goes on from
            it, to the result that an unbroken run would have had.

    Raises:
        DatasetError: the dataset does not fit.
        RequestError: the allocation leaves a tensor undecided.
        InvalidNetwork: the network has no weights.
        TrainingError: the loss is no number any more, or the checkpoint is not this run's.
        ConversionError: the trained network has no safe integer form.
    """
    check_dataset(dataset, network)
    with _threads(options.threads):
        return _Run(network, allocation, dataset, options, report).result(checkpoint_directory)


class _Run:
    """One call of `train`."""

    def __init__(
        self, network: Network, allocation: Allocation, dataset: Dataset, options: TrainingOptions, report: Report
    ) -> None:
        self.network, self.dataset, self.options = network, dataset, options
        self.split: Split = split_of(dataset, options.validation_fraction, options.seed)
        self.float_network: FloatNetwork = float_module(network)
        self.module: QuantizedNetwork = prepare(network, allocation, options)
        self.optimizer = new_optimizer(self.module, options)
        self.fingerprint = fingerprint_of(network, allocation, dataset, _what_counts(options))
        self.report = report
        # Augmented images are new in every epoch; others keep the float network's answer.
        answer_bytes = len(dataset.train_x) * network.shapes[network.outputs[0]].elements * 4
        self.remembers_teacher = not options.augment and answer_bytes <= MOST_REMEMBERED_BYTES
        self.calibration_samples = min(options.calibration_samples, len(self.split.training))

    def result(self, directory: Path | None) -> TrainingResult:
        """Train to the end, from the directory's checkpoint if it holds one."""
        checkpoint = None if directory is None else restore(self.fingerprint, self.module, self.optimizer, directory)
        done = 0 if checkpoint is None else checkpoint.epochs[-1].epoch
        self.reporter = Reporter(self.report, self.options.epochs, self._cost(done, resumed=checkpoint is not None))
        if checkpoint is None:
            checkpoint = self._keep(Checkpoint(self.fingerprint, (), {}), self._calibrated(), directory)
        if done < self.options.epochs:
            teacher = self._teacher_logits()
            for epoch in range(done + 1, self.options.epochs + 1):
                checkpoint = self._keep(checkpoint, self._trained(epoch, teacher), directory)
        self.module.load_state_dict(checkpoint.best)
        self.reporter.begin("converting", epoch=checkpoint.best_epoch.epoch, steps=0, cost=0.0)
        integer_network = convert(self.module)
        accuracy = self._tested(integer_network)
        return TrainingResult(integer_network, accuracy, checkpoint.epochs, checkpoint.best_epoch.epoch)

    def _keep(self, checkpoint: Checkpoint, result: EpochResult, directory: Path | None) -> Checkpoint:
        self.reporter.judged(result.validation_percent)
        checkpoint = after_epoch(checkpoint, result, self.module)
        if directory is not None:
            save(checkpoint, self.module, self.optimizer, directory)
        return checkpoint

    def _calibrated(self) -> EpochResult:
        """Epoch 0: the ranges are measured, nothing is learned."""
        started = time.monotonic()
        self.reporter.begin("calibrating", epoch=0, steps=1, cost=_CALIBRATION_COST)
        samples = self.dataset.train_x[self.split.training[: self.calibration_samples]]
        calibrate(self.module, self.float_network, samples, self.options.activation_range)
        self.reporter.advance(len(samples))
        return self._judged(0, None, started)

    def _trained(self, epoch: int, teacher: FloatArray | None) -> EpochResult:
        """One pass over the training samples."""
        started = time.monotonic()
        if epoch > self.options.batch_fold_delay:
            self.module.fold()
        self.module.train()
        batches = batches_of(self.split.training, self.options.batch_size, self.options.seed, epoch)
        self.reporter.begin("training", epoch=epoch, steps=len(batches), cost=_TRAINING_COST)
        randomness = np.random.default_rng([self.options.seed, 2, epoch])
        total = 0.0
        for step, batch in enumerate(batches):
            set_learning_rate(self.optimizer, self.options.learning_rate_at(epoch, step / len(batches)))
            images = tensor_of(self.dataset.train_x[batch], self.network)
            if self.options.augment:
                images = augmented(images, randomness)
            loss = distilled_loss(
                self.module(images),
                torch.from_numpy(self.dataset.train_y[batch]),
                self._taught(images, batch, teacher),
                self.options.distillation,
                self.options.distillation_temperature,
            )
            value = loss.item()
            self._check_finite("loss", value, step, epoch)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            gradients = [each.grad for each in self.module.parameters() if each.grad is not None]
            self._check_finite("gradient", torch.nn.utils.get_total_norm(gradients).item(), step, epoch)
            self.optimizer.step()
            self.module.keep_valid()
            total += value * len(batch)
            self.reporter.advance(len(batch), value)
        return self._judged(epoch, total / len(self.split.training), started)

    def _check_finite(self, what: str, value: float, step: int, epoch: int) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"the {what} is {value} at step {step + 1} of epoch {epoch}; "
                f"lower the learning rate, now {self.options.learning_rate}"
            )

    def _judged(self, epoch: int, training_loss: float | None, started: float) -> EpochResult:
        samples = self.dataset.train_x[self.split.validation]
        labels = self.dataset.train_y[self.split.validation]
        steps = len(evaluation_batches(self.network, len(samples)))
        self.reporter.begin("validating", epoch=epoch, steps=steps, cost=_EVALUATION_COST)
        logits = logits_of(self.module.deployed(), self.network, samples, self.reporter)
        return EpochResult(
            epoch,
            training_loss,
            percent(logits.argmax(axis=1) == labels),
            cross_entropy(logits, labels),
            time.monotonic() - started,
        )

    def _tested(self, integer_network: IntegerNetwork) -> Accuracy:
        samples, labels = self.dataset.test_x, self.dataset.test_y
        steps = len(evaluation_batches(self.network, len(samples)))

        def begin(phase: str, cost: float) -> None:
            self.reporter.begin(phase, epoch=None, steps=steps, cost=cost)

        begin("testing the float network", 1.0)
        of_float = logits_of(self.float_network, self.network, samples, self.reporter).argmax(axis=1)
        begin("testing the fake-quantized network", _EVALUATION_COST)
        of_fake = logits_of(self.module.deployed(), self.network, samples, self.reporter).argmax(axis=1)
        begin("testing the integer-only network", _INTERPRETER_COST)
        of_integer = integer_classes(integer_network, self.network, samples, self.reporter)
        return Accuracy(
            percent(of_float == labels), percent(of_fake == labels), percent(of_integer == labels),
            percent(of_integer == of_fake),
        )  # fmt: skip

    def _teacher_logits(self) -> FloatArray | None:
        """The float network's logits of every training sample, by its index; None where they are not remembered."""
        if self.options.distillation == 0 or not self.remembers_teacher:
            return None
        samples = self.dataset.train_x
        steps = len(evaluation_batches(self.network, len(samples)))
        self.reporter.begin("measuring the float network", epoch=None, steps=steps, cost=1.0)
        return logits_of(self.float_network, self.network, samples, self.reporter)

    def _taught(
        self, images: Tensor, batch: np.ndarray[tuple[int], np.dtype[np.int64]], teacher: FloatArray | None
    ) -> Tensor | None:
        if self.options.distillation == 0:
            return None
        if teacher is not None:
            return torch.from_numpy(teacher[batch])
        with torch.no_grad():
            taught: Tensor = self.float_network(images)
        return taught

    def _cost(self, epochs_done: int, *, resumed: bool) -> float:
        """Of all that is still to do."""
        training, validation = len(self.split.training), len(self.split.validation)
        left = self.options.epochs - epochs_done
        cost = left * (training * _TRAINING_COST + validation * _EVALUATION_COST)
        cost += len(self.dataset.test_x) * (1.0 + _EVALUATION_COST + _INTERPRETER_COST)
        if not resumed:
            cost += self.calibration_samples * _CALIBRATION_COST + validation * _EVALUATION_COST
        if left and self.options.distillation and self.remembers_teacher:
            cost += len(self.dataset.train_x)
        return cost


def _what_counts(options: TrainingOptions) -> TrainingOptions:
    """The options without those that only change how fast the result comes."""
    return replace(options, threads=None)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
