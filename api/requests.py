"""What a caller asks for. The field descriptions are the OpenAPI document's, and the help of the command's options.

Unknown fields are refused: a misspelt option would otherwise be silently left at its default. Names and ranges are
judged by the rooms below (`method_named`, `TrainingOptions`, ...), so that the command and the service say the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, WithJsonSchema

from network.accounting import ACCOUNTINGS
from network.allocation import WeightScheme
from network.budget import Budget, parse_size_bytes
from network.errors import RequestError
from network.network import Network
from network.sensitivity import SensitivityTable, sensitivity_of
from qat.options import ActivationRange, Regime, TrainingOptions
from solver.exact_options import NATIVE_BACKEND, ExactOptions, backend_named
from solver.formulation import Choices
from solver.program import DEFAULT_TIME_LIMIT_SECONDS
from solver.solution import Method
from solver.weight_sensitivity import weight_sensitivity

DIGITS: Final = "digits"
"""The built-in dataset."""

DEFAULT_METHOD: Final = Method.MIXPC
DEFAULT_ACCOUNTING: Final = "paper"
WEIGHTS_MEASURE: Final = "weights"
MAX_TIME_LIMIT_SECONDS: Final = 600.0


class Schedules(StrEnum):
    """Which order of layers the exact program may take."""

    BEST = "best"
    GIVEN = "given"


BEST_SCHEDULE: Final = str(Schedules.BEST)
GIVEN_SCHEDULE: Final = str(Schedules.GIVEN)

_Name = TypeVar("_Name", bound=StrEnum)

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
        description="how bits are chosen: the best there are (exact), or by the paper's rules, weights per layer "
        "(mixpl) or per channel (mixpc)",
        json_schema_extra={"enum": list(Method)},
    )
    accounting: str = Field(
        default=DEFAULT_ACCOUNTING,
        description="the rule book that counts bytes",
        json_schema_extra={"enum": list(ACCOUNTINGS)},
    )
    sensitivity: str | dict[str, Any] | None = Field(
        default=None,
        description="what the exact program minimises, and what rules are compared by: 'weights' (from the weights "
        "alone), or a table {weights: {layer: {8: x, 4: y, 2: z}}, activations: {tensor: {...}}}; exact takes "
        "'weights' where none is given",
    )
    scheme: str = Field(
        default=WeightScheme.PER_CHANNELS_ASYM_MIN_MAX,
        description="how the exact program quantizes weights; the rules have schemes of their own",
        json_schema_extra={"enum": list(WeightScheme)},
    )
    schedule: str = Field(
        default=BEST_SCHEDULE,
        description="the order of layers under the exact program: chosen with the bits (best), or the file's (given)",
        json_schema_extra={"enum": [BEST_SCHEDULE, GIVEN_SCHEDULE]},
    )
    backend: str = Field(
        default=NATIVE_BACKEND,
        description="what solves the exact program: native, highs, or pulp and a solver that it finds, e.g. "
        "pulp:PULP_CBC_CMD",
    )
    time_limit_seconds: float = Field(
        default=DEFAULT_TIME_LIMIT_SECONDS,
        description="after it, the exact program gives its best answer so far, with its bound",
    )

    @property
    def reads_weights(self) -> bool:
        """Whether the answer depends on the network's weights, not only on their count."""
        return self.sensitivity == WEIGHTS_MEASURE or (self.sensitivity is None and self.method == Method.EXACT)

    def exact_options(self) -> ExactOptions:
        """How the exact program is solved.

        Raises:
            RequestError: an unknown scheme, schedule or backend, or a time limit that makes no sense.
        """
        return ExactOptions(
            choices=Choices(weights=_one_of("scheme", self.scheme, WeightScheme)),
            backend=backend_named(self.backend),
            time_limit_seconds=_time_limit(self.time_limit_seconds),
            chooses_schedule=_one_of("schedule", self.schedule, Schedules) is Schedules.BEST,
        )

    def table(self, network: Network) -> SensitivityTable | None:
        """The sensitivities that the answer is judged by.

        Raises:
            RequestError: an unknown measure, or a table that does not fit the network.
        """
        measure = self.sensitivity
        if measure is None:
            measure = WEIGHTS_MEASURE if self.method == Method.EXACT else None
        if measure is None:
            return None
        if isinstance(measure, dict):
            return sensitivity_of(measure)
        if measure != WEIGHTS_MEASURE:
            raise RequestError(
                f"unknown sensitivity {measure[:60]!r}; expected '{WEIGHTS_MEASURE}' or a table of sensitivities"
            )
        return weight_sensitivity(network, _one_of("scheme", self.scheme, WeightScheme))

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


def _one_of(what: str, name: str, kind: type[_Name]) -> _Name:
    try:
        return kind(name)
    except ValueError:
        raise RequestError(f"unknown {what} {name[:60]!r}; expected one of: {', '.join(kind)}") from None


def _time_limit(seconds: float) -> float:
    if not 0 < seconds <= MAX_TIME_LIMIT_SECONDS:
        raise RequestError(
            f"time_limit_seconds is {seconds}; expected more than 0 and up to {MAX_TIME_LIMIT_SECONDS:g}"
        )
    return seconds
