"""Options of the optimizer and its learning rate. This module does not import torch."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from network.options import Options
from qat.options.names import OptimizerKind, Regime


class LearningRateStep(Options):
    """A learning rate and the epoch from which it applies; a pair `[epoch, learning_rate]` is also accepted."""

    epoch: StrictInt = Field(ge=1, le=10_000, description="first epoch with this learning rate, counted from 1")
    learning_rate: StrictFloat = Field(
        ge=0.0, le=10.0, description="learning rate from this epoch until the epoch of the next entry"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, given: Any) -> Any:  # Any: whatever a caller's JSON has here
        if not isinstance(given, list | tuple):
            return given
        if len(given) != len(cls.model_fields):
            raise ValueError(
                f"a list of length {len(given)} was given; expected a pair [epoch, "
                "learning_rate], or an object with epoch and learning_rate"
            )
        return dict(zip(cls.model_fields, given, strict=True))


class OptimizationOptions(Options):
    """Options of the optimizer: number of epochs, batch size, the optimizer itself and its learning rate."""

    epochs: StrictInt | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="number of passes over the training set; 0 only calibrates the activation ranges; none: chosen by "
        "the recipe from the number of samples",
    )
    batch_size: StrictInt | None = Field(
        default=None,
        ge=2,
        le=65_536,
        description="number of samples in each optimizer step, summed over all training processes; none: chosen by the "
        "recipe from the number of samples and the memory",
    )
    optimizer: OptimizerKind = Field(
        default=OptimizerKind.ADAM,
        description="torch's optimizer that updates the parameters: SGD, Adam (arXiv 1412.6980) or AdamW (arXiv "
        "1711.05101)",
    )
    momentum: StrictFloat = Field(
        default=0.9, ge=0.0, le=0.9999, description="momentum of the optimizer sgd; the other optimizers ignore it"
    )
    nesterov: StrictBool = Field(
        default=False, description="use Nesterov's momentum; requires the optimizer sgd with a momentum above 0"
    )
    weight_decay: StrictFloat = Field(
        default=0.0,
        ge=0.0,
        le=10.0,
        description="weight decay of weight tensors; biases, batch norm and quantization ranges do not decay",
    )
    learning_rate: StrictFloat | None = Field(
        default=None,
        ge=0.0,
        le=10.0,
        description="learning rate at the start of the run; with the regime one_cycle the highest learning rate; the "
        "regime paper ignores it; none: chosen by the recipe",
    )
    relative_rates: StrictBool | None = Field(
        default=None,
        description="multiply the learning rate of each weight tensor by the root mean square of its weights, divided "
        "by 0.1, at least 0.1 and at most 10; none: chosen by the recipe, false if learning_rate is given",
    )
    two_bit_learning_rate: StrictFloat = Field(
        default=3.0,
        ge=0.0,
        le=1000.0,
        description="learning rate of 2-bit weights, as a multiple of the learning rate; the regime paper ignores it",
    )
    regime: Regime = Field(
        default=Regime.ONE_CYCLE,
        description="how the learning rate changes over the run. constant: it does not change; step: "
        "learning_rate_steps lists the changes; cosine: it falls to a hundredth along half a cosine (arXiv "
        "1608.03983, equation 5, one period); one_cycle: it rises during warmup, then falls along half a cosine "
        "(arXiv 1708.07120, with the proportions of torch's OneCycleLR); paper: Adam with 1e-4, 5e-5 from epoch 5 and "
        "1e-5 from epoch 8, with batch norm's statistics frozen after epoch 1 (arXiv 1905.13082)",
    )
    learning_rate_steps: tuple[LearningRateStep, ...] = Field(
        default=(),
        description="learning rates of the regime step, each with the first epoch in which it applies, in ascending "
        "order of epochs; required by the regime step, and not allowed in other regimes",
    )
    warmup: StrictFloat = Field(
        default=0.3,
        ge=0.0,
        le=0.99,
        description="share of the run during which the learning rate of the regime one_cycle rises",
    )

    @model_validator(mode="after")
    def _check_learning_rate_steps(self) -> Self:
        if bool(self.learning_rate_steps) != (self.regime is Regime.STEP):
            raise ValueError(
                f"learning_rate_steps has {len(self.learning_rate_steps)} entries with the regime {self.regime}; "
                "the regime step requires at least one entry, and the other regimes allow none"
            )
        epochs = [step.epoch for step in self.learning_rate_steps]
        if epochs != sorted(set(epochs)):
            raise ValueError(
                f"learning_rate_steps has the epochs {epochs}; expected each epoch once, in ascending order"
            )
        return self

    @model_validator(mode="after")
    def _check_optimizer(self) -> Self:
        if self.nesterov and (self.optimizer is not OptimizerKind.SGD or self.momentum == 0):
            raise ValueError(
                f"nesterov is true with the optimizer {self.optimizer} and momentum {self.momentum}; expected "
                "the optimizer sgd with a momentum above 0: change them, or set nesterov to false"
            )
        if self.regime is Regime.PAPER and self.optimizer is not OptimizerKind.ADAM:
            raise ValueError(
                f"the regime paper is chosen with the optimizer {self.optimizer}; expected the optimizer adam: "
                "choose adam or another regime"
            )
        return self
