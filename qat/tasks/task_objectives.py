"""Objectives of a task: one for the judged output, and one for each other output, which follows the float network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from network.network import Network
from qat.options.task import TaskKind
from qat.tasks.choice import Task, host_operators
from qat.tasks.objectives import Bernoulli, Categorical, Link, Objective, SquaredError
from qat.training.label_source import LabelSource

DEVIATION_SAMPLES: Final = 1024
"""Number of samples on which the standard deviations of targets and of the float network's outputs are measured."""

_LINKS: Final[dict[str, Link]] = {"sigmoid": "sigmoid", "logistic": "sigmoid", "tanh": "tanh"}


@dataclass(frozen=True, slots=True, eq=False)
class TaskObjectives:
    """Objectives of all outputs of a network for a task.

    Attributes:
        task: The task.
        main: Objective of the judged output.
        others: Objectives of all other outputs.
    """

    task: Task
    main: Objective
    others: tuple[SquaredError, ...]

    @property
    def main_follows(self) -> bool:
        """Whether the judged output is trained towards the float network's output instead of targets."""
        return self.task.learned_from is LabelSource.FLOAT_NETWORK and self.task.kind is not TaskKind.CLASSES

    @property
    def needs_teacher(self) -> bool:
        """Whether the loss needs the float network's outputs even without distillation."""
        return self.main_follows or bool(self.others)

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        taught: Tensor | None,
        *,
        distillation: float = 0.0,
        temperature: float = 1.0,
        smoothing: float = 0.0,
    ) -> Tensor:
        """Compute the loss of a batch, averaged over the samples.

        Distillation follows Hinton, Vinyals and Dean, arXiv 1503.02531, section 2: multiplication by the square of the
        temperature makes the size of its gradient independent of the temperature.

        Args:
            outputs: All outputs of the network, concatenated, [n, values].
            targets: Targets of the judged output.
            taught: All outputs of the float network; needed if `needs_teacher`, or for distillation.
            distillation: Share of the distance from the float network in the judged output's loss, 0 to 1.
            temperature: Divisor of the logits in distillation.
            smoothing: Share of label smoothing; only classes use it.
        """
        values = self.main.of(outputs)
        if self.main_follows:
            assert taught is not None  # noqa: S101  # needs_teacher says so
            total = self.main.distance(values, self.main.of(taught))
        else:
            total = self.main.loss(values, targets, smoothing=smoothing)
            if taught is not None and distillation:
                distance = self.main.distance(values, self.main.of(taught), temperature=temperature)
                total = (1 - distillation) * total + distillation * distance
        for other in self.others:
            assert taught is not None  # noqa: S101  # needs_teacher says so
            total = total + other.distance(other.of(outputs), other.of(taught))
        return total

    def drawn_loss(self, outputs: Tensor, randomness: np.random.Generator) -> Tensor:
        """Compute the loss with targets drawn from the predicted distributions, summed over samples and outputs."""
        each = [one.drawn_loss(one.of(outputs), randomness) for one in (self.main, *self.others)]
        return torch.stack(each).sum()

    def divergences(self, reference: Tensor, outputs: Tensor) -> Tensor:
        """Compute the increase of each sample's loss when the reference outputs are replaced, float64 [n]."""
        return torch.stack(
            [one.divergences(one.of(reference), one.of(outputs)) for one in (self.main, *self.others)]
        ).sum(dim=0)

    def hessian_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss of a batch summed over the samples, for second derivatives; other outputs count by their
        squared distance from their present values.
        """
        total = self.main.loss(self.main.of(outputs), targets)
        for other in self.others:
            values = other.of(outputs)
            total = total + other.distance(values, values.detach())
        return total * len(outputs)


def objectives_of(
    network: Network, task: Task, targets: npt.NDArray[Any], float_outputs: npt.NDArray[np.float32]
) -> TaskObjectives:
    """Return the objectives of a task, with standard deviations measured on samples.

    Args:
        network: The network.
        task: The task.
        targets: Targets of some samples, in the form of `qat.tasks.targets.targets_of`, [n, ...].
        float_outputs: All outputs of the float network for these samples, concatenated, float32 [n, values].
    """
    places = output_places(network)
    others = []
    for output, (start, stop) in places.items():
        if output != task.output:
            values = torch.from_numpy(float_outputs[:, start:stop])
            others.append(SquaredError(output, start, stop, _deviation(values, of_each_value=False)))
    return TaskObjectives(task, _main(network, task, targets, float_outputs, places[task.output]), tuple(others))


def output_places(network: Network) -> dict[str, tuple[int, int]]:
    """Return where each output of a network is in a row of all outputs: the first index, and the index behind it."""
    places, start = {}, 0
    for output in network.outputs:
        stop = start + network.shapes[output].elements
        places[output] = (start, stop)
        start = stop
    return places


def _main(
    network: Network,
    task: Task,
    targets: npt.NDArray[Any],
    float_outputs: npt.NDArray[np.float32],
    place: tuple[int, int],
) -> Objective:
    output, shape = task.output, network.shapes[task.output]
    positions = shape.height * shape.width
    match task.kind:
        case TaskKind.CLASSES:
            return Categorical(output, *place)
        case TaskKind.PIXELS if shape.channels > 1:
            return Categorical(output, *place, positions)
        case TaskKind.PIXELS:
            return Bernoulli(output, *place, positions)
        case TaskKind.TWO_CLASSES | TaskKind.LABELS:
            return Bernoulli(output, *place)
    link = None if task.kind is TaskKind.FLOAT_OUTPUTS else link_of(network, output)
    values = torch.from_numpy(targets)
    if not values.numel():
        values = torch.from_numpy(float_outputs[:, place[0] : place[1]])
        values = SquaredError(output, *place, torch.ones(1), link).linked(values)
    return SquaredError(output, *place, _deviation(values, of_each_value=task.kind is TaskKind.REGRESSION), link)


def link_of(network: Network, output: str) -> Link:
    """Return the function that the host applies to an output at last, sigmoid or tanh; None for any other step."""
    found: list[Link] = [_LINKS[name] for name in host_operators(network, output) if name in _LINKS]
    return found[0] if len(found) == 1 else None


def _deviation(values: Tensor, *, of_each_value: bool) -> Tensor:
    """Return the standard deviation of values, [values] or [1]; that of all values for a value that is constant."""
    rows = values.double()
    overall = float((rows - rows.mean(dim=0)).square().mean().sqrt())
    if not overall > 0:
        overall = float(rows.square().mean().sqrt()) or 1.0
    if not of_each_value:
        return torch.tensor([overall], dtype=torch.float32)
    deviations = rows.std(dim=0, correction=0)
    return torch.where(deviations > 1e-6 * overall, deviations, overall).float()
