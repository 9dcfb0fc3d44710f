"""Quantization-aware training: from a network, an allocation and a dataset to the integer-only network."""

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
from qat.post_training.equalization import equalized
from qat.progress import Report, silent
from qat.training.epoch_result import EpochResult
from qat.training.judging import Accuracy
from qat.training.label_source import Truth
from qat.training.parallel import joined
from qat.training.processor import processor_of
from qat.training.run import TrainingRun

__all__ = ["Accuracy", "EpochResult", "TrainingResult", "Truth", "train"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """What a training run leaves.

    Attributes:
        integer_network: the integer-only network of the best epoch.
        conversion: bounds of its accumulators, and how far each layer is from training.
        accuracy: on the test set.
        epochs: epoch 0, calibrated only, and then each epoch of training.
        best_epoch: the one that was kept.
        truth: what was learned from, and what the epochs were judged by.
        went_back: a loss or gradient was not finite once; from then on the learning rate was halved.
        frozen_weights_percent: of all weights, those that were frozen because they oscillated.
        compile_seconds: of this call, what compiling the training step took; 0 where it was not compiled.
    """

    integer_network: IntegerNetwork
    conversion: ConversionReport
    accuracy: Accuracy
    epochs: tuple[EpochResult, ...]
    best_epoch: int
    truth: Truth = Truth.LABELS
    went_back: bool = False
    frozen_weights_percent: float = 0.0
    compile_seconds: float = 0.0


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

    Each epoch is judged by its integer-only network, in the interpreter, on samples held out of the training set; the
    best is kept, and the calibrated network before the first epoch is a candidate. The test set is measured once, at
    the end, and decides nothing.

    In each of the processes that `torchrun` started, it trains together with the others, and they all return the same.

    Args:
        network: with weights.
        allocation: of every tensor.
        dataset: fits the network (`qat.data.checks.check_dataset`). Without labels, the float network's classes are
            learned and measured instead.
        options: how to train.
        report: is told about progress, about twice a second.
        checkpoint_directory: where checkpoints are kept, after every epoch and every few minutes. A later call with
            equal inputs goes on from the last one, to the result that an unbroken run would have had: on a CPU, the
            same to the last bit.

    Raises:
        DatasetError: the dataset does not fit.
        RequestError: the allocation leaves a tensor undecided, or overrides name no layer.
        InvalidNetwork: the network has no weights.
        TrainingError: the loss or a gradient is not finite, twice; the checkpoint is not this run's; there is no such
            GPU; or a batch is too small for so many processes.
        ConversionError: the network has no safe integer form.
    """
    dataset = fitted(dataset, network)
    check_dataset(dataset, network)
    allocation = overridden(network, allocation, options.overrides)
    if options.post_training is not None and options.post_training.equalization:
        network = equalized(network)
    processor = processor_of(options)
    with _threads(options.threads), joined(processor) as processes:
        run = TrainingRun(network, allocation, dataset, options, processor, processes, report)
        checkpoint = run.trained(checkpoint_directory)
        integer_network, conversion, accuracy = run.converted(checkpoint)
        return TrainingResult(
            integer_network,
            conversion,
            accuracy,
            checkpoint.epochs,
            checkpoint.best_epoch.epoch,
            Truth.FLOAT_NETWORK if dataset.train_y is None else Truth.LABELS,
            checkpoint.now.position.has_gone_back,
            100 * run.state.oscillations.frozen_share(),
            run.compile_seconds,
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
