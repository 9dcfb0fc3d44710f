"""The recipe: options of a training run that the user did not give, chosen from the training set and the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from network.network import Network
from qat.data.batches import split_of
from qat.data.dataset import Dataset
from qat.options.chosen import ChosenOptions
from qat.options.training import TrainingOptions
from qat.training.parallel import Processes
from qat.training.recipe.choice import Choice
from qat.training.recipe.memory import fitting_batch
from qat.training.recipe.steps import batch_size_for, epochs_for


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
    network: Network, dataset: Dataset, given: TrainingOptions, processor: torch.device, processes: Processes
) -> Recipe:
    """Choose the options of a training run that were not given.

    Args:
        network: The network, with weights.
        dataset: The dataset, in shapes that fit the network.
        given: Options as they were given, None where the recipe chooses.
        processor: The torch device that trains.
        processes: The processes that train together.

    Raises:
        DatasetError: If too few samples remain for training.
    """
    samples = len(split_of(dataset, given.validation_fraction, given.seed).training)
    choices: list[Choice] = []

    def chosen(option: str, value: int, reason: str) -> int:
        choices.append(Choice(option, f"{value:,}", reason))
        return value

    batch_size = given.batch_size
    if batch_size is None:
        fitting = fitting_batch(network, processes.count, processor)
        batch_size = chosen("batch_size", *batch_size_for(samples, fitting, processes.count))
    epochs = given.epochs
    if epochs is None:
        epochs = chosen("epochs", *epochs_for(samples, batch_size))
    completed: dict[str, Any] = {"batch_size": batch_size, "epochs": epochs}
    return Recipe(ChosenOptions.of(given, **completed), tuple(choices))
