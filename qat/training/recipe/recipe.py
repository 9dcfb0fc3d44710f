"""The recipe: options of a training run that the user did not give, chosen from the training set and the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import torch

from network.allocation import Allocation
from network.network import Network
from qat.data.batches import Split, split_of
from qat.data.dataset import Dataset
from qat.options.chosen import ChosenOptions
from qat.options.names import BatchNormMode, OptimizerKind, Regime
from qat.options.post_training import NO_POST_TRAINING
from qat.options.training import NEVER, TrainingOptions
from qat.prepare import float_module
from qat.training.compiling import multiply_accumulates
from qat.training.parallel import Processes
from qat.training.recipe.batch_norm import (
    batch_norm_after,
    batch_norm_for,
    distance_on_batch_statistics,
    has_batch_norm,
)
from qat.training.recipe.choice import Choice
from qat.training.recipe.memory import fitting_batch
from qat.training.recipe.rates import LEARNING_RATE, relative_rates_for
from qat.training.recipe.start import best_by_for, start_for, start_text
from qat.training.recipe.steps import batch_size_for, epochs_for
from qat.training.reporting import Reporter
from qat.training.run_targets import RunTargets

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Options of a training run, complete, and which of them the recipe has chosen.

    Attributes:
        options: The options, of which none is missing.
        choices: The chosen options with their reasons; empty if all were given.
    """

    options: ChosenOptions
    choices: tuple[Choice, ...]


def recipe_for(
    network: Network,
    allocation: Allocation,
    dataset: Dataset,
    given: TrainingOptions,
    processor: torch.device,
    processes: Processes,
    reporter: Reporter,
) -> Recipe:
    """Choose the options of a training run that were not given.

    Args:
        network: The network, with weights.
        allocation: Bits of each tensor.
        dataset: The dataset, in shapes that fit the network.
        given: Options as they were given, None where the recipe chooses.
        processor: The torch device that trains.
        processes: The processes that train together; the first one measures.
        reporter: Receiver of the progress.

    Raises:
        DatasetError: If too few samples remain for training, or the targets do not suit the network.
        RequestError: If the options augment samples in a way that does not suit the task.
    """
    split = split_of(dataset, given.validation_fraction, given.seed)
    samples, notes = len(split.training), _Notes()
    batch_size = given.batch_size
    if batch_size is None:
        fitting = fitting_batch(network, processes.count, processor)
        batch_size, reason = batch_size_for(samples, fitting, processes.count)
        if given.epochs != 0:
            notes.chosen("batch_size", batch_size, reason)
    epochs = given.epochs
    if epochs is None:
        epochs = notes.chosen("epochs", *epochs_for(samples, batch_size, multiply_accumulates(network)))
    post_training = given.post_training
    if post_training is None:
        post_training, reason = NO_POST_TRAINING, ""
        if epochs:
            post_training, reason = start_for(samples, allocation)
            notes.choices.append(Choice("post_training", start_text(post_training), reason))
    best_by = given.best_by
    if best_by is None:
        best_by, reason = best_by_for(len(split.validation))
        if epochs:
            notes.chosen("best_by", best_by, reason)
    batch_norm = given.batch_norm
    if batch_norm is None:
        batch_norm = BatchNormMode.TRAIN
        if epochs and has_batch_norm(network) and not _freezes_later(given):
            mode = batch_norm_after(post_training)
            if mode is None:
                together = max(min(batch_size, samples) // processes.count, 1)
                measuring = _Measuring(network, dataset, given, split, processor, reporter)
                distance = float(processes.from_first(lambda: repr(measuring.batch_norm_distance(together))))
                mode = batch_norm_for(distance, together)
            batch_norm = notes.chosen("batch_norm", *mode)
    learning_rate, relative = given.learning_rate, given.relative_rates
    if learning_rate is None:
        learning_rate = LEARNING_RATE
        if relative is None and epochs and _follows_the_rate(given):
            relative = notes.chosen("relative_rates", *relative_rates_for(network, batch_norm))
    options = ChosenOptions.of(
        given,
        batch_size=batch_size,
        epochs=epochs,
        post_training=post_training,
        best_by=best_by,
        batch_norm=batch_norm,
        learning_rate=learning_rate,
        relative_rates=bool(relative),
    )
    return Recipe(options, tuple(notes.choices))


def _freezes_later(given: TrainingOptions) -> bool:
    """Return whether given options freeze the statistics of batch norm later in the run."""
    return given.freeze_batch_norm_at < NEVER or given.regime is Regime.PAPER


def _follows_the_rate(given: TrainingOptions) -> bool:
    """Return whether a step changes each weight by about the learning rate, and the regime uses the given one."""
    return given.optimizer is not OptimizerKind.SGD and given.regime is not Regime.PAPER


@dataclass(frozen=True, slots=True)
class _Notes:
    """What the recipe has chosen so far."""

    choices: list[Choice] = field(default_factory=list)

    def chosen(self, option: str, value: _T, reason: str) -> _T:
        text = f"{value}".lower() if isinstance(value, bool) else f"{value}"  # as in JSON
        self.choices.append(Choice(option, text, reason))
        return value


@dataclass(frozen=True, slots=True, eq=False)
class _Measuring:
    """What the recipe measures the float network with."""

    network: Network
    dataset: Dataset
    given: TrainingOptions
    split: Split
    processor: torch.device
    reporter: Reporter

    def batch_norm_distance(self, batch_size: int) -> float:
        float_network = float_module(self.network).to(self.processor)
        targets = RunTargets(self.network, self.dataset, self.given)
        objectives = targets.objectives(float_network, self.split, self.processor, self.reporter)
        self.reporter.begin("measuring batch norm", epoch=None, steps=0, cost=1.0)
        return distance_on_batch_statistics(
            float_network, objectives, self.dataset.train_x, self.split, batch_size, self.processor
        )
