"""Quantization-aware training: from a network, a bit allocation and a dataset to the integer-only network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from deploy.integer_network import IntegerNetwork
from network.allocation import Allocation
from network.network import Network
from qat.conversion_report import ConversionReport
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset
from qat.data.images import fitted
from qat.options.overrides import overridden
from qat.options.training import TrainingOptions
from qat.post_training.largest_outputs import equalized_on
from qat.progress import Report, silent
from qat.tasks.choice import Task
from qat.tasks.quality import Quality
from qat.training.accuracy import Accuracy
from qat.training.epoch_result import EpochResult
from qat.training.label_source import LabelSource
from qat.training.parallel import joined
from qat.training.processor import processor_of
from qat.training.recipe.choice import Choice
from qat.training.recipe.recipe import recipe_for
from qat.training.reporting import Reporter
from qat.training.run import TrainingRun

__all__ = ["Accuracy", "EpochResult", "LabelSource", "TrainingResult", "train"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """Result of a training run: the integer-only network, its accuracy, and the results of all epochs.

    Attributes:
        integer_network: The integer-only network of the best epoch.
        conversion: Accumulator bounds and code differences from training for each layer of the integer-only network.
        task: The task that the network was trained and judged for.
        qualities: Quality on the test set by the task's metric, then further metrics and other outputs; empty if there
            is no test set.
        accuracy: Accuracy on the test set; None if there is no test set, or for a task without classes of samples.
        epochs: Results of epoch 0 (the calibrated network before training) and of each epoch of training.
        best_epoch: Number of the epoch whose network was kept.
        went_back: Whether a loss or gradient was not finite once, so that the run was restored from a checkpoint and
            continued with half the learning rate.
        frozen_weights_percent: Percentage of all weights that were frozen because they oscillated, 0 to 100.
        compile_seconds: Seconds that compiling the training step took in this call; 0 if it was not compiled.
        warnings: Warnings about the network, the dataset and the options that were found before the training, one
            text each.
        recipe: Options that the recipe has chosen, with their reasons.
    """

    integer_network: IntegerNetwork
    conversion: ConversionReport
    task: Task
    qualities: tuple[Quality, ...]
    accuracy: Accuracy | None
    epochs: tuple[EpochResult, ...]
    best_epoch: int
    went_back: bool = False
    frozen_weights_percent: float = 0.0
    compile_seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    recipe: tuple[Choice, ...] = ()


def train(
    network: Network,
    allocation: Allocation,
    dataset: Dataset,
    options: TrainingOptions,
    *,
    report: Report = silent,
    checkpoint_directory: Path | None = None,
) -> TrainingResult:
    """Retrain a network with the bits of a bit allocation, and convert it to the integer-only network.

    After each epoch, the integer-only network is evaluated in the interpreter on the held-out split of the training
    set. The best epoch is kept; the calibrated network before the first epoch is a candidate too. The test set is
    evaluated once, at the end, and does not influence any choice. Without a test set, no quality is measured.

    If `torchrun`, or another program that has joined them to a process group, started several processes, each of them
    calls this function. They train together, and all return the same result.

    Args:
        network: The network, with weights.
        allocation: Bits of each tensor and scheme of each weight tensor.
        dataset: Training and test samples, in shapes that fit the network (`qat.data.checks.check_dataset`). For
            samples without targets, the outputs of the float network, or the classes that it predicts, are the targets.
        options: Training options; the recipe (docs/training.md) chooses those that are None.
        report: Callback that receives the progress, about twice a second.
        checkpoint_directory: Directory of the checkpoints, which are written after each epoch and every few minutes. A
            later call with equal inputs continues from the last checkpoint and gives the result of an uninterrupted
            run: on a CPU, the same bit for bit. None writes no checkpoints.

    Raises:
        DatasetError: If the dataset does not fit the network, or has too few samples.
        RequestError: If the allocation lacks an entry, or if an override names a layer that does not exist.
        InvalidNetwork: If the network has no weights.
        TrainingError: If the loss or a gradient is not finite for the second time, if a checkpoint is damaged or
            belongs to another run, if the requested GPU does not exist, or if a batch is too small for the number of
            processes.
        ConversionError: If the network has no integer-only form.
    """
    dataset = fitted(dataset, network)
    check_dataset(dataset, network, options.task)
    allocation = overridden(network, allocation, options.overrides)
    processor = processor_of(options)
    with _threads(options.threads), joined(processor) as processes:
        recipe = recipe_for(network, allocation, dataset, options, processor, processes, Reporter(report, 0))
        if recipe.options.post_training.equalization:
            network = equalized_on(network, dataset.train_x, recipe.options.seed)
        run = TrainingRun(network, allocation, dataset, recipe, processor, processes, report)
        checkpoint = run.train(checkpoint_directory)
        integer_network, conversion, judgement = run.convert_best(checkpoint)
        return TrainingResult(
            integer_network,
            conversion,
            run.task,
            () if judgement is None else judgement.qualities,
            None if judgement is None else judgement.accuracy,
            checkpoint.epochs,
            checkpoint.best_epoch.epoch,
            checkpoint.now.position.has_gone_back,
            100 * run.state.oscillations.frozen_share(),
            run.compile_seconds,
            run.warnings,
            recipe.choices,
        )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
