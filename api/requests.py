"""What a caller asks for. The field descriptions are the OpenAPI document's, and the help of the command's options.

Unknown fields are refused: a misspelt option would otherwise be silently left at its default. Names and ranges are
judged by the rooms below (`method_named`, `TrainingOptions`, ...), so that the command and the service say the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, WithJsonSchema

from network.budget import Budget, parse_size_bytes
from network.memory import ACCOUNTINGS
from qat.options import ActivationRange, Regime, TrainingOptions
from solver.solution import Method

DIGITS: Final = "digits"
"""The built-in dataset."""

DEFAULT_METHOD: Final = Method.MIXPC
DEFAULT_ACCOUNTING: Final = "paper"

Size = Annotated[
    Any,  # judged by `parse_size_bytes`, which says what it expects better than a union of two types does
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]}),
    Field(description="bytes, or a number with kB, KiB, MB or MiB", examples=[60000, "60kB", "512 KiB"]),
]

_DEFAULTS: Final = TrainingOptions()


class FitRequest(BaseModel):
    """A budget, and how to spend it."""

    model_config = ConfigDict(extra="forbid")

    flash: Size
    ram: Size
    method: str = Field(
        default=DEFAULT_METHOD,
        description="the rules that choose bits: weights per layer (mixpl) or per channel (mixpc)",
        json_schema_extra={"enum": list(Method)},
    )
    accounting: str = Field(
        default=DEFAULT_ACCOUNTING,
        description="the rule book that counts bytes",
        json_schema_extra={"enum": list(ACCOUNTINGS)},
    )

    def budget(self) -> Budget:
        """The budget in bytes.

        Raises:
            RequestError: a size that makes no sense.
        """
        return Budget(parse_size_bytes(self.flash, "flash"), parse_size_bytes(self.ram, "ram"))


class Training(BaseModel):
    """How the network is retrained."""

    model_config = ConfigDict(extra="forbid")

    epochs: StrictInt = Field(
        default=_DEFAULTS.epochs, description="passes over the training set; 0 only calibrates activation ranges"
    )
    batch_size: StrictInt = Field(default=_DEFAULTS.batch_size, description="samples of one step")
    learning_rate: StrictFloat = Field(default=_DEFAULTS.learning_rate, description="Adam's learning rate at the start")
    regime: str = Field(
        default=str(_DEFAULTS.regime),
        description="how the learning rate goes on",
        json_schema_extra={"enum": list(Regime)},
    )
    learning_rate_steps: list[tuple[StrictInt, StrictFloat]] = Field(
        default=[], description="pairs of an epoch (from 1) and the learning rate from then on, for the step regime"
    )
    seed: StrictInt = Field(
        default=_DEFAULTS.seed, description="of the held-out split, the order of samples, augmentation"
    )
    validation_fraction: StrictFloat = Field(
        default=_DEFAULTS.validation_fraction, description="share of the training set held out to choose the best epoch"
    )
    batch_fold_delay: StrictInt = Field(
        default=_DEFAULTS.batch_fold_delay,
        description="epochs before batch norm is folded into the weights, where the scheme folds",
    )
    batch_norm_momentum: StrictFloat = Field(
        default=_DEFAULTS.batch_norm_momentum, description="how fast running statistics follow each batch"
    )
    activation_range: str = Field(
        default=str(_DEFAULTS.activation_range),
        description="how activations are bounded, by gradient (PACT) or at 6",
        json_schema_extra={"enum": list(ActivationRange)},
    )
    range_learning_rate: StrictFloat = Field(
        default=_DEFAULTS.range_learning_rate, description="of activation bounds, as a multiple of the learning rate"
    )
    calibration_samples: StrictInt = Field(
        default=_DEFAULTS.calibration_samples, description="training samples that the starting ranges are measured on"
    )
    distillation: StrictFloat = Field(
        default=_DEFAULTS.distillation,
        description="share of the loss that asks for the float network's outputs, 0 to 1",
    )
    distillation_temperature: StrictFloat = Field(
        default=_DEFAULTS.distillation_temperature, description="softens both distributions before they are compared"
    )
    augment: StrictBool = Field(
        default=_DEFAULTS.augment, description="shift and mirror images at random; for photographs"
    )
    threads: StrictInt | None = Field(
        default=_DEFAULTS.threads, description="worker threads of one job; null: torch decides"
    )

    def options(self) -> TrainingOptions:
        """The same, judged.

        Raises:
            RequestError: an option outside its range.
        """
        chosen = self.model_dump() | {"learning_rate_steps": tuple(tuple(pair) for pair in self.learning_rate_steps)}
        return TrainingOptions(**chosen)


class JobRequest(FitRequest):
    """A network to fit into a budget and to retrain."""

    network_id: StrictStr = Field(description="an uploaded network")
    dataset: StrictStr = Field(description="an uploaded dataset's id, or 'digits'", examples=[DIGITS])
    training: Training = Field(default_factory=Training)
