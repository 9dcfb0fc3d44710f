"""Objectives of training and of sensitivities for each task: loss, distance from the float network, drawn loss.

For each task, all terms belong to one model of the targets' distribution, so that losses and sensitivities agree:

    classes, pixels       categorical distribution with the softmax of the outputs; of pixels, the mean over positions
    two_classes, labels   one Bernoulli distribution for each logit, summed over the logits
    all others            squared error divided by the variance of the targets, averaged over the output values
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor

from qat.tasks.targets import NO_CLASS

Link = Literal["sigmoid", "tanh"] | None
"""Function that the host applies to an output before it is compared with targets; None applies none."""


@dataclass(frozen=True, slots=True, eq=False)
class Objective(ABC):
    """How one output of a network is compared with targets and with the float network's output.

    Attributes:
        output: Name of the output.
        start: Index of the output's first value in a row of all outputs, concatenated.
        stop: Index behind its last value.
    """

    output: str
    start: int
    stop: int

    def of(self, outputs: Tensor) -> Tensor:
        """Return this output's values from rows of all outputs, [n, values], in float32 or float64."""
        values = outputs[:, self.start : self.stop]
        return values if values.dtype is torch.float64 else values.float()  # outputs may be bfloat16

    @abstractmethod
    def loss(self, values: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Compute the loss, averaged over the samples, in nats or as a share of the targets' variance.

        Args:
            values: Values of the output, [n, values].
            targets: Targets in the form of `qat.tasks.targets.rows_of`.
            smoothing: Share of label smoothing (arXiv 1512.00567, section 7); only classes use it.
        """

    @abstractmethod
    def distance(self, values: Tensor, taught: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Compute the distance from the float network's output, averaged over the samples, in the unit of the loss.

        Args:
            values: Values of the output, [n, values].
            taught: Values of the float network, [n, values].
            temperature: Divisor of the logits in distillation (arXiv 1503.02531, section 2).
        """

    @abstractmethod
    def drawn_loss(self, values: Tensor, randomness: np.random.Generator) -> Tensor:
        """Compute the loss with targets drawn from the predicted distribution, summed over the samples.

        Half the expected square of its derivative in a direction is the increase of the loss in that direction.
        """

    @abstractmethod
    def divergences(self, reference: Tensor, values: Tensor) -> Tensor:
        """Compute the increase of the loss of each sample when its reference output is replaced, float64 [n].

        Args:
            reference: Values of the float network, [n, values].
            values: Values that replace them, [n, values].
        """

    def hard_targets(self, taught: Tensor) -> Tensor:
        """Return the targets that the float network's output stands for: classes, labels, or its values."""
        return taught


@dataclass(frozen=True, slots=True, eq=False)
class Categorical(Objective):
    """One class for each sample, or for each position of an output image.

    Attributes:
        positions: Number of positions, 1 for one class for each sample. The output is [n, classes * positions].
    """

    positions: int = 1

    def loss(self, values: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        return F.cross_entropy(self._logits(values), targets, label_smoothing=smoothing, ignore_index=NO_CLASS)

    def distance(self, values: Tensor, taught: Tensor, *, temperature: float = 1.0) -> Tensor:
        divergence = F.kl_div(
            F.log_softmax(self._logits(values) / temperature, dim=1),
            F.log_softmax(self._logits(taught) / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return temperature**2 * divergence / self.positions

    def drawn_loss(self, values: Tensor, randomness: np.random.Generator) -> Tensor:
        logits = self._logits(values)
        rows = logits if self.positions == 1 else logits.transpose(1, 2).reshape(-1, logits.shape[1])
        cumulative = F.softmax(rows.detach().double(), dim=1).cumsum(dim=1).numpy()
        drawn = (randomness.random((len(cumulative), 1)) * cumulative[:, -1:] >= cumulative).sum(axis=1)
        return F.cross_entropy(rows, torch.from_numpy(drawn), reduction="sum") / math.sqrt(self.positions)

    def divergences(self, reference: Tensor, values: Tensor) -> Tensor:
        log_p, log_q = (F.log_softmax(self._logits(each).double(), dim=1) for each in (reference, values))
        return (log_p.exp() * (log_p - log_q)).flatten(1).sum(dim=1) / self.positions

    def hard_targets(self, taught: Tensor) -> Tensor:
        return self._logits(taught).argmax(dim=1)

    def _logits(self, values: Tensor) -> Tensor:
        return values if self.positions == 1 else values.reshape(len(values), -1, self.positions)


@dataclass(frozen=True, slots=True, eq=False)
class Bernoulli(Objective):
    """True or false for each value of the output, by its logit.

    Attributes:
        positions: Number of positions over which the loss is averaged, 1 for labels of a sample.
    """

    positions: int = 1

    def loss(self, values: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        del smoothing
        total = F.binary_cross_entropy_with_logits(values, targets.to(values.dtype), reduction="sum")
        return total / (len(values) * self.positions)

    def distance(self, values: Tensor, taught: Tensor, *, temperature: float = 1.0) -> Tensor:
        softened = _bernoulli_divergence(taught / temperature, values / temperature)
        return temperature**2 * softened.sum() / (len(values) * self.positions)

    def drawn_loss(self, values: Tensor, randomness: np.random.Generator) -> Tensor:
        probabilities = torch.sigmoid(values.detach().double()).numpy()
        drawn = torch.from_numpy((randomness.random(probabilities.shape) < probabilities).astype(np.float32))
        total = F.binary_cross_entropy_with_logits(values, drawn, reduction="sum")
        return total / math.sqrt(self.positions)

    def divergences(self, reference: Tensor, values: Tensor) -> Tensor:
        return _bernoulli_divergence(reference.double(), values.double()).sum(dim=1) / self.positions

    def hard_targets(self, taught: Tensor) -> Tensor:
        return (taught > 0).float()


@dataclass(frozen=True, slots=True, eq=False)
class SquaredError(Objective):
    """Real numbers, compared by their squared error.

    Attributes:
        deviation: Standard deviation by which errors are divided: of each output value [values], or of all [1].
        link: Function that the host applies to the output before it is compared with targets.
    """

    deviation: Tensor
    link: Link = None

    def loss(self, values: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        del smoothing
        return ((self.linked(values) - targets) / self._deviation(values)).square().mean()

    def distance(self, values: Tensor, taught: Tensor, *, temperature: float = 1.0) -> Tensor:
        del temperature
        return self.loss(values, self.linked(taught))

    def drawn_loss(self, values: Tensor, randomness: np.random.Generator) -> Tensor:
        signs = torch.from_numpy(randomness.integers(0, 2, tuple(values.shape)).astype(np.float32)).mul_(2).sub_(1)
        of_error = math.sqrt(2 / values.shape[1]) / self._deviation(values)
        return (signs * of_error * self.linked(values)).sum()

    def divergences(self, reference: Tensor, values: Tensor) -> Tensor:
        change = (self.linked(values.double()) - self.linked(reference.double())) / self._deviation(values).double()
        return change.square().mean(dim=1)

    def hard_targets(self, taught: Tensor) -> Tensor:
        return self.linked(taught)

    def linked(self, values: Tensor) -> Tensor:
        """Apply the host's function to values of the output."""
        if self.link is None:
            return values
        return torch.sigmoid(values) if self.link == "sigmoid" else torch.tanh(values)

    def _deviation(self, values: Tensor) -> Tensor:
        return self.deviation.to(values.device)


def _bernoulli_divergence(reference: Tensor, values: Tensor) -> Tensor:
    """Compute the Kullback-Leibler divergence of Bernoulli distributions with the given logits, for each value."""
    p = torch.sigmoid(reference)
    log_true = F.logsigmoid(reference) - F.logsigmoid(values)
    log_false = F.logsigmoid(-reference) - F.logsigmoid(-values)
    return p * log_true + (1 - p) * log_false
