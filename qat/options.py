"""What can be chosen about a training run. Imports no torch, so that a request is judged cheaply."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from network.errors import RequestError

MAX_EPOCHS = 10_000
MAX_BATCH_SIZE = 65_536

_Name = TypeVar("_Name", bound=StrEnum)


class ActivationRange(StrEnum):
    """Where the range of an activation tensor comes from."""

    LEARNED = "learned"
    """Its clipping bounds are parameters (PACT, arXiv 1805.06085), started by calibration."""

    CLIPPED = "clipped"
    """[0, 6] after a ReLU; a tensor without an activation function keeps its calibrated range."""


class Regime(StrEnum):
    """How the learning rate goes on."""

    CONSTANT = "constant"
    STEP = "step"
    COSINE = "cosine"


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How a network is retrained.

    Attributes:
        epochs: passes over the training set; 0 only calibrates the activations' ranges.
        batch_size: samples of one step of the optimizer.
        learning_rate: Adam's, at the start.
        regime: constant; step: `learning_rate_steps`; cosine: falls to nearly zero at the end of the last epoch.
        learning_rate_steps: (epoch, learning rate) pairs for the step regime: from that epoch on (the first is 1).
        seed: of the held-out split, the order of samples and the augmentation. Equal inputs on one machine give
            equal results.
        validation_fraction: of the training set, held out of training to choose the best epoch.
        batch_fold_delay: epochs before batch norm is folded into the weights and its statistics freeze, where the
            scheme folds; 0 folds from the start.
        batch_norm_momentum: how fast the running statistics follow each batch.
        activation_range: learned or clipped.
        range_learning_rate: of the ranges' bounds, as a multiple of `learning_rate`. A bound moves by its own size
            times that at most, so that one figure suits every tensor.
        calibration_samples: training samples that the starting ranges are measured on.
        distillation: share of the loss that asks for the float network's outputs instead of the labels, 0 to 1.
        distillation_temperature: softens both distributions before they are compared.
        augment: shift images by up to an eighth of their side and mirror them, at random; for photographs.
        threads: torch's worker threads; None leaves torch's own choice.
    """

    epochs: int = 3
    batch_size: int = 128
    learning_rate: float = 1e-3
    regime: Regime = Regime.COSINE
    learning_rate_steps: tuple[tuple[int, float], ...] = ()
    seed: int = 0
    validation_fraction: float = 0.1
    batch_fold_delay: int = 1
    batch_norm_momentum: float = 0.1
    activation_range: ActivationRange = ActivationRange.LEARNED
    range_learning_rate: float = 1.0
    calibration_samples: int = 512
    distillation: float = 0.5
    distillation_temperature: float = 2.0
    augment: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        # Names arrive as plain text from JSON and the command line.
        object.__setattr__(self, "regime", _member(Regime, "regime", self.regime))
        object.__setattr__(
            self, "activation_range", _member(ActivationRange, "activation_range", self.activation_range)
        )
        _whole("epochs", self.epochs, 0, MAX_EPOCHS)
        _whole("batch_size", self.batch_size, 2, MAX_BATCH_SIZE)
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("batch_fold_delay", self.batch_fold_delay, 0, MAX_EPOCHS)
        _whole("calibration_samples", self.calibration_samples, 1, 1_000_000)
        if self.threads is not None:
            _whole("threads", self.threads, 1, 1024)
        _number("learning_rate", self.learning_rate, 0.0, 10.0)
        _number("range_learning_rate", self.range_learning_rate, 0.0, 1000.0)
        _number("validation_fraction", self.validation_fraction, 0.001, 0.9)
        _number("batch_norm_momentum", self.batch_norm_momentum, 0.0, 1.0)
        _number("distillation", self.distillation, 0.0, 1.0)
        _number("distillation_temperature", self.distillation_temperature, 0.1, 100.0)
        if not isinstance(self.augment, bool):
            raise RequestError(f"augment is {self.augment!r}; expected true or false")
        self._check_learning_rate_steps()

    def _check_learning_rate_steps(self) -> None:
        if bool(self.learning_rate_steps) != (self.regime is Regime.STEP):
            raise RequestError(
                f"learning_rate_steps has {len(self.learning_rate_steps)} entries with the {self.regime} regime; "
                "the step regime needs (epoch, learning rate) pairs, the others take none"
            )
        for pair in self.learning_rate_steps:
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise RequestError(f"learning_rate_steps has {pair!r}; expected (epoch, learning rate) pairs")
            _whole("an epoch of learning_rate_steps", pair[0], 1, MAX_EPOCHS)
            _number("a learning rate of learning_rate_steps", pair[1], 0.0, 10.0)
        epochs = [epoch for epoch, _ in self.learning_rate_steps]
        if epochs != sorted(set(epochs)):
            raise RequestError(f"learning_rate_steps names the epochs {epochs}; expected each once, ascending")

    def learning_rate_at(self, epoch: int, through_epoch: float) -> float:
        """The learning rate of one step.

        Args:
            epoch: from 1.
            through_epoch: the share of the epoch that is done, 0 to 1.
        """
        if self.regime is Regime.STEP:
            passed = [rate for start, rate in self.learning_rate_steps if start <= epoch]
            return passed[-1] if passed else self.learning_rate
        if self.regime is Regime.COSINE:
            done = (epoch - 1 + through_epoch) / self.epochs
            return self.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)
        return self.learning_rate


def _member(kind: type[_Name], what: str, value: object) -> _Name:
    try:
        return kind(str(value))
    except ValueError:
        expected = ", ".join(kind)
        raise RequestError(f"{what} is {str(value)[:60]!r}; expected one of: {expected}") from None


def _whole(what: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RequestError(f"{what} is {str(value)[:60]}; expected a whole number from {least} to {most}")


def _number(what: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise RequestError(f"{what} is {str(value)[:60]}; expected a number from {least} to {most}")
