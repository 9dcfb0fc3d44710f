"""Warnings before a training run: few optimizer steps, memory, the dataset, the float network's quality, the input.

Warnings never change the result of a run and never stop it.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np
import torch

from network.errors import DatasetError
from qat.data.batches import Split, steps_of_epoch
from qat.data.dataset import Dataset, Indices, Labels, SampleSource, classes_in
from qat.data.dataset_warnings import dataset_warnings
from qat.float_network import FloatNetwork
from qat.options.chosen import ChosenOptions
from qat.options.task import TaskKind
from qat.quantized_network import QuantizedNetwork
from qat.tasks.choice import Task
from qat.tasks.metrics import percent
from qat.training.evaluation import evaluation_batches, of_module, outputs_of
from qat.training.input_warnings import input_warnings
from qat.training.judging import FLOAT_COST
from qat.training.memory_warning import free_memory_bytes, memory_warning
from qat.training.parallel import Processes
from qat.training.quality_texts import near_chance
from qat.training.reporting import Reporter
from qat.training.trivial_quality import trivial_quality_warning

CHECKED_SAMPLES: Final = 1000
"""Largest number of labelled samples on which the float network is checked before training."""

MIN_CHECKED_SAMPLES: Final = 20
"""Smallest number of labelled samples from which a warning about the float network is derived."""

FEW_STEPS: Final = 50
"""Number of optimizer steps below which a whole run is reported as short."""

OFFSETS: Final = (1, -1)
"""Offsets that are tried on the labels, such as 1 for a network whose output 0 is a background class."""

_OFFSET_FACTOR: Final = 3.0
_OFFSET_POINTS: Final = 10.0


def warnings_before(
    float_network: FloatNetwork,
    module: QuantizedNetwork,
    task: Task,
    dataset: Dataset,
    split: Split,
    options: ChosenOptions,
    processes: Processes,
    processor: torch.device,
    reporter: Reporter,
) -> tuple[str, ...]:
    """Return the warnings before a training run, and report them; all processes return the same ones.

    Args:
        float_network: The float network, on the torch device `processor`.
        module: The fake-quantized network, whose options say how its input is calibrated.
        task: The task, whose metric the float network is checked with.
        dataset: The dataset, in shapes that fit the network.
        split: Split of the training set into samples for training and held-out samples.
        options: Training options of the run.
        processes: The processes that train together; the first one computes the float network.
        processor: The torch device of the float network.
        reporter: Receiver of the progress and the warnings.
    """
    network = float_network.network
    about_steps = few_steps_warning(options, len(split.training))
    reporter.warn(about_steps)

    def about_machine_and_dataset() -> str:
        free_bytes = free_memory_bytes(processor)
        about_memory = memory_warning(network, options, len(split.training), processes.count, processor, free_bytes)
        found = () if about_memory is None else (about_memory,)
        return json.dumps((*found, *dataset_warnings(dataset, network, task)))

    about_data: list[str] = json.loads(processes.from_first(about_machine_and_dataset))
    for each in about_data:
        reporter.warn(each)

    def about_float_network() -> str:
        try:
            if task.kind is not TaskKind.CLASSES:
                return trivial_quality_warning(float_network, task, dataset, split, processor, reporter) or ""
            if len(network.outputs) > 1:
                return ""
            return float_warning(float_network, dataset, split, processor, reporter) or ""
        except DatasetError:  # an unreadable sample; a training that needs the sample reports the error
            return ""

    def about_input() -> str:
        try:
            return json.dumps(list(input_warnings(module, dataset, split)))
        except DatasetError:  # as above
            return "[]"

    about_quality = processes.from_first(about_float_network) or None
    reporter.warn(about_quality)
    about_values: list[str] = json.loads(processes.from_first(about_input))
    for each in about_values:
        reporter.warn(each)
    return tuple(each for each in (about_steps, *about_data, about_quality, *about_values) if each is not None)


def float_warning(
    float_network: FloatNetwork, dataset: Dataset, split: Split, processor: torch.device, reporter: Reporter
) -> str | None:
    """Check the float network on labelled samples, and return the warning about its accuracy.

    The samples are at most `CHECKED_SAMPLES` random samples of the training set, the held-out ones first. If only the
    test set has labels, they are taken from the test set, at equal distances.

    Args:
        float_network: The float network, on the torch device `processor`.
        dataset: The dataset, in shapes that fit the network.
        split: Split of the training set into samples for training and held-out samples.
        processor: The torch device of the float network.
        reporter: Receiver of the progress.

    Returns:
        The text of the warning; None if there is no reason for one. Without labels, with labels of one class, or with
        fewer than `MIN_CHECKED_SAMPLES` samples, nothing is checked.

    Raises:
        DatasetError: If a sample cannot be read.
    """
    found = _labelled_samples(dataset, split)
    if found is None:
        return None
    samples, labels, chosen = found
    if len(chosen) < MIN_CHECKED_SAMPLES or len(np.unique(labels)) < 2:
        return None
    network = float_network.network
    reporter.expect(len(chosen) * FLOAT_COST)
    steps = len(evaluation_batches(network, len(chosen)))
    reporter.begin("checking the float network", epoch=0, steps=steps, cost=FLOAT_COST)
    outputs = outputs_of(of_module(float_network, network, processor), network, samples, chosen, reporter)
    predicted = outputs.argmax(axis=1)
    return label_warning(predicted, labels[chosen], labels, network.shapes[network.outputs[0]].elements)


def label_warning(predicted: Labels, labels: Labels, all_labels: Labels, outputs: int) -> str | None:
    """Return the warning about a float network whose accuracy is near chance or rises if the labels are shifted.

    An accuracy is near chance if it is at most 1.5 times the share of the largest class. For two or few classes, the
    limit is lower: a quarter of the way from that share to 100 %. One correct sample is always near chance.

    Args:
        predicted: Predicted class of each checked sample, int64 [n].
        labels: Label of each checked sample, int64 [n].
        all_labels: Labels of the whole set that contains the checked samples, int64 [m].
        outputs: Number of outputs of the network.

    Returns:
        The text of the warning; None if there is no reason for one.
    """
    counts = np.unique(all_labels, return_counts=True)[1]
    share = float(counts.max()) / len(all_labels)
    limit = near_chance(share)
    correct = predicted == labels
    accuracy = percent(correct)
    is_near_chance = accuracy <= 100 * limit or int(correct.sum()) <= 1
    if not is_near_chance and outputs <= len(counts):
        return None
    measured = f"the float network classifies {accuracy:.1f} % of {len(labels):,} labelled samples correctly"
    within = [each for each in OFFSETS if all_labels.min() + each >= 0 and all_labels.max() + each < outputs]
    found = [(percent(predicted == labels + each), each) for each in within]
    shifted, offset = max(found, default=(0.0, 0))
    rises = shifted >= _OFFSET_FACTOR * accuracy and shifted - accuracy >= _OFFSET_POINTS
    if rises and shifted > 100 * limit:
        change = "add 1 to" if offset > 0 else "subtract 1 from"
        return (
            f"{measured}, and {shifted:.1f} % if the labels are shifted by {offset:+d} (the network has {outputs:,} "
            f"outputs, the labels have {len(counts):,} classes): give the option label_offset {offset} "
            f"(--label-offset {offset}), or {change} every label of the dataset"
        )
    if not is_near_chance:
        return None
    return (
        f"{measured}, which is near chance: the largest class has {100 * share:.1f} % of the samples. Likely causes: "
        "the normalisation of the samples is missing or applied twice (compare the subtract and multiply values of "
        "the network's input format with the preprocessing of the dataset; --input-mean and --input-scale declare a "
        "normalisation that the file does not contain), the labels number the classes in another "
        "order than the network's outputs, or the network is not trained"
    )


def few_steps_warning(options: ChosenOptions, samples: int) -> str | None:
    """Return a warning if the whole training run has fewer than `FEW_STEPS` optimizer steps.

    Args:
        options: Training options of the run.
        samples: Number of samples that the network is trained on, without the held-out ones.

    Returns:
        The text of the warning; None if there is no reason for one, or if the run has 0 epochs.
    """
    steps = steps_of_epoch(samples, options.batch_size)
    if not 0 < options.epochs * steps < FEW_STEPS:
        return None
    return (
        f"the whole training has few optimizer steps: {options.epochs * steps} (epochs: {options.epochs}, steps "
        f"of each epoch: {steps}, training samples: {samples:,}, batch_size: {options.batch_size}), which may not be "
        f"enough to recover the accuracy; give a smaller batch_size or more epochs, for {FEW_STEPS} steps or more"
    )


def _labelled_samples(dataset: Dataset, split: Split) -> tuple[SampleSource, Labels, Indices] | None:
    """Return the samples of a set with labels, its labels, and the indices of the samples to check; or None."""
    train, test = classes_in(dataset.train_y), classes_in(dataset.test_y)
    if train is not None:
        order = np.concatenate([split.validation, split.training])
        return dataset.train_x, train, order[:CHECKED_SAMPLES]
    if test is not None and dataset.has_test_set:
        count = len(test)
        chosen = np.linspace(0, count - 1, min(count, CHECKED_SAMPLES)).astype(np.int64)
        return dataset.test_x, test, chosen
    return None
