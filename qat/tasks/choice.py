"""Choice of a network's task from the targets of a dataset, the network's outputs and the user. Imports no torch.

| targets of a sample | output | task |
|---|---|---|
| one whole number | several values | `classes` |
| 0 or 1 for all samples | one value | `two_classes` |
| one 1 and else 0 for each output value | a vector | `classes` (one-hot) |
| 0 or 1 for each output value | a vector | `labels` |
| a number for each output value | a vector | `regression` |
| a number for each output value | several positions | `images` |
| a whole number for each position | several positions | `pixels` |
| 0 in training, 0 or 1 in the test set | as large as the input | `anomaly` |
| none | a softmax or argmax follows | `classes`, as the float network predicts them |
| none | any other | `float_outputs` |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from network.errors import DatasetError
from network.layers import Shape
from network.network import Network
from qat.data.dataset import Dataset, SampleSource, TargetSource
from qat.options.task import TaskKind
from qat.tasks.targets import (
    NoTargets,
    Targets,
    in_channel_order,
    input_rows,
    is_binary,
    is_one_hot,
    is_whole,
    rows_of,
    without_ones,
)
from qat.training.label_source import LabelSource

_CLASS_STEPS: Final = {"softmax", "logsoftmax", "argmax", "hardmax"}
"""Operators behind an output, in lower case, after which it has a value for each class."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a network is trained and judged for on a dataset.

    Attributes:
        kind: The task.
        output: Name of the output that is judged. All other outputs follow the float network.
        learned_from: Source of the targets of the training set.
        measured_against: Source of the targets of the test set.
    """

    kind: TaskKind
    output: str
    learned_from: LabelSource
    measured_against: LabelSource


def choose_task(network: Network, dataset: Dataset, wanted: TaskKind | None = None) -> Task:
    """Choose the task of a network on a dataset.

    Args:
        network: The network.
        dataset: The samples and their targets, if there are any.
        wanted: The task that the user wants; None chooses it by the targets and the outputs.

    Raises:
        DatasetError: If the targets fit no output of the network, or do not suit the task.
    """
    targets = dataset.train_y if dataset.train_y is not None else dataset.test_y
    learned, measured = (
        LabelSource.FLOAT_NETWORK if each is None else LabelSource.LABELS for each in (dataset.train_y, dataset.test_y)
    )
    if wanted is TaskKind.FLOAT_OUTPUTS:
        return Task(wanted, network.outputs[0], LabelSource.FLOAT_NETWORK, LabelSource.FLOAT_NETWORK)
    if targets is None:
        return _without_targets(network, wanted)
    _check_forms(dataset)
    reasons = []
    for output in network.outputs:
        kind = _kind_of(network, output, dataset, targets)
        if wanted is not None:
            kind = wanted if _suits(wanted, kind, network, output, targets) else None
        if kind is TaskKind.ANOMALY:
            learned = LabelSource.LABELS
        if kind is not None:
            return Task(kind, output, learned, measured)
        reasons.append(f"'{output[:80]}' ({_described(network.shapes[output])})")
    dims = list(targets.shape[1:])
    fault = "suits no task" if wanted is None else f"does not suit the task '{wanted}'"
    raise DatasetError(
        f"the targets are {targets.dtype} with the shape [n{''.join(f', {each}' for each in dims)}], which "
        f"{fault} of the network's {'output' if len(reasons) == 1 else 'outputs'} {', '.join(reasons)[:300]}; expected "
        "one class for each sample [n], a number or a 0/1 label for each output value, or a class for each position "
        "(docs/training.md, 'Tasks')"
    )


def targets_of(task: Task, network: Network, samples: SampleSource, targets: TargetSource | None) -> Targets:
    """Return the targets of a set in the form that a task compares with outputs.

    Args:
        task: The task.
        network: The network.
        samples: The samples of the set.
        targets: Their targets as the dataset stores them; None if there are none.
    """
    if task.kind is TaskKind.ANOMALY:
        return input_rows(network, samples)
    if targets is None or task.kind is TaskKind.FLOAT_OUTPUTS:
        return NoTargets(len(samples))
    return rows_of(task.kind, network, task.output, samples, targets)


def host_operators(network: Network, output: str) -> tuple[str, ...]:
    """Return the operators that the host computes behind an output of a network, in lower case."""
    return tuple(
        operator.lower() for steps in network.host_steps if steps.tensors == (output,) for operator in steps.operators
    )


def _without_targets(network: Network, wanted: TaskKind | None) -> Task:
    output = network.outputs[0]
    is_for_classes = network.ends_in_softmax or _CLASS_STEPS.intersection(host_operators(network, output))
    chosen = TaskKind.CLASSES if is_for_classes and len(network.outputs) == 1 else TaskKind.FLOAT_OUTPUTS
    kind = chosen if wanted is None else wanted
    if kind is TaskKind.ANOMALY:
        _require_reconstruction(network, output)
        return Task(kind, output, LabelSource.LABELS, LabelSource.LABELS)
    if kind is TaskKind.CLASSES and network.shapes[output].elements == 1:
        raise DatasetError(
            f"the task 'classes' needs an output with a value for each class; the output '{output[:80]}' has 1 value: "
            f"choose the task '{TaskKind.TWO_CLASSES}' or '{TaskKind.FLOAT_OUTPUTS}'"
        )
    return Task(kind, output, LabelSource.FLOAT_NETWORK, LabelSource.FLOAT_NETWORK)


def _kind_of(network: Network, output: str, dataset: Dataset, targets: TargetSource) -> TaskKind | None:
    """Return the task that suits the targets and an output; None if no task does."""
    shape = network.shapes[output]
    if math.prod(targets.shape[1:]) == 1:
        is_like_input = len(network.inputs) == 1 and shape == network.only_input.shape
        is_anomaly = is_like_input and shape.elements > 2 and _are_flags(dataset)
        return TaskKind.ANOMALY if is_anomaly else _of_one_target(shape, targets)
    return _of_vector(shape, targets) if shape.height * shape.width == 1 else _of_positions(shape, targets)


def _of_one_target(shape: Shape, targets: TargetSource) -> TaskKind | None:
    if shape.elements > 1:
        return TaskKind.CLASSES if is_whole(targets) else None
    return TaskKind.TWO_CLASSES if is_binary(targets) else TaskKind.REGRESSION


def _of_vector(shape: Shape, targets: TargetSource) -> TaskKind | None:
    if math.prod(targets.shape[1:]) != shape.elements:
        return None
    if is_one_hot(targets):
        return TaskKind.CLASSES
    return TaskKind.LABELS if is_binary(targets) else TaskKind.REGRESSION


def _of_positions(shape: Shape, targets: TargetSource) -> TaskKind | None:
    if math.prod(targets.shape[1:]) == shape.height * shape.width and _is_mask(targets, shape):
        return TaskKind.PIXELS
    if math.prod(targets.shape[1:]) != shape.elements or not _fits(targets, shape):
        return None
    return TaskKind.PIXELS if shape.channels > 1 and _is_one_hot_mask(targets, shape) else TaskKind.IMAGES


def _suits(wanted: TaskKind, found: TaskKind | None, network: Network, output: str, targets: TargetSource) -> bool:
    """Return whether a wanted task can have these targets at this output."""
    shape = network.shapes[output]
    values = math.prod(targets.shape[1:])
    if wanted is TaskKind.CLASSES:
        one_hot = values == shape.elements and is_one_hot(targets)
        return shape.elements > 1 and ((values == 1 and is_whole(targets)) or one_hot)
    if wanted is TaskKind.ANOMALY:
        _require_reconstruction(network, output)
        return values == 1 and is_binary(targets)
    if wanted is TaskKind.PIXELS:
        return found is TaskKind.PIXELS
    fits = values == shape.elements
    if wanted in {TaskKind.TWO_CLASSES, TaskKind.LABELS}:
        return fits and is_binary(targets) and (wanted is TaskKind.LABELS or shape.elements == 1)
    return fits and _fits(targets, shape)


def _is_mask(targets: TargetSource, shape: Shape) -> bool:
    if targets.dtype.kind not in "iub" or without_ones(targets.shape[1:]) != without_ones((shape.height, shape.width)):
        return False
    some = targets[: min(len(targets), 64)]
    return shape.channels > 1 or bool(np.isin(some, (0, 1, 255)).all())


def _is_one_hot_mask(targets: TargetSource, shape: Shape) -> bool:
    some = targets[: min(len(targets), 8)]
    arranged = in_channel_order(some, shape, channels_last=True)
    if arranged is None or not np.isin(some, (0, 1)).all():
        return False
    return bool((arranged.reshape(len(some), shape.channels, -1).sum(axis=1) == 1).all())


def _fits(targets: TargetSource, shape: Shape) -> bool:
    one = np.zeros((1, *targets.shape[1:]), dtype=np.uint8)
    return in_channel_order(one, shape, channels_last=False) is not None


def _are_flags(dataset: Dataset) -> bool:
    """Return whether the labels mark anomalies: all 0 in the training set, 0 and 1 in the test set."""
    train, test = dataset.train_y, dataset.test_y
    if train is not None and any(np.any(train[start : start + 4096]) for start in range(0, len(train), 4096)):
        return False
    return test is not None and is_binary(test) and bool(np.any(test[:])) and not bool(np.all(test[:]))


def _require_reconstruction(network: Network, output: str) -> None:
    if len(network.inputs) > 1:
        raise DatasetError(
            f"the task 'anomaly' compares the output with the input; the network has {len(network.inputs)} inputs "
            f"({', '.join(network.input_names)[:200]}): choose another task"
        )
    elements = network.only_input.shape.elements
    if network.shapes[output].elements != elements:
        raise DatasetError(
            f"the task 'anomaly' compares the output with the input; the output '{output[:80]}' has "
            f"{network.shapes[output].elements} values and the input {elements}: choose another "
            "task"
        )


def _check_forms(dataset: Dataset) -> None:
    train, test = dataset.train_y, dataset.test_y
    if train is not None and test is not None and math.prod(train.shape[1:]) != math.prod(test.shape[1:]):
        raise DatasetError(
            f"train_y has targets of the shape {list(train.shape[1:])} and test_y of {list(test.shape[1:])}; expected "
            "equal shapes"
        )


def _described(shape: Shape) -> str:
    if shape.height * shape.width == 1:
        return f"{shape.channels} value{'s' if shape.channels > 1 else ''}"
    return f"{shape.channels} channels of {shape.height} x {shape.width}"
