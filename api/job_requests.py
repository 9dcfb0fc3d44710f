"""What a caller asks a job for: to retrain a network, or to measure sensitivities."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from api.requests import FitRequest
from network.allocation import WeightScheme
from network.errors import RequestError
from qat.options import ActivationRange, Regime, TrainingOptions
from qat.sensitivity_options import Measure, SensitivityOptions

DIGITS: Final = "digits"
"""The built-in dataset."""

_DEFAULTS: Final = TrainingOptions()
_MEASURING: Final = SensitivityOptions()

NetworkOfJob = Annotated[StrictStr, Field(description="an uploaded network")]
DatasetOfJob = Annotated[StrictStr, Field(description="an uploaded dataset's id, or 'digits'", examples=[DIGITS])]


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

    kind: Literal["training"] = Field(default="training", description="what the job does")
    network_id: NetworkOfJob
    dataset: DatasetOfJob
    training: Training = Field(default_factory=Training)


class SensitivityRequest(BaseModel):
    """How sensitivities are to be measured."""

    model_config = ConfigDict(extra="forbid")

    dataset: DatasetOfJob
    measure: str = Field(
        default=str(_MEASURING.measure),
        description="by Fisher information, the Hessian's trace, or the output's divergence",
        json_schema_extra={"enum": list(Measure)},
    )
    scheme: str = Field(
        default=str(_MEASURING.scheme),
        description="how weights are quantized",
        json_schema_extra={"enum": list(WeightScheme)},
    )
    samples: StrictInt = Field(
        default=_MEASURING.samples, description="samples of the training set that are measured on, at most"
    )
    seed: StrictInt = Field(default=_MEASURING.seed, description="of their choice, and of what is drawn at random")
    probes: StrictInt = Field(default=_MEASURING.probes, description="random vectors a batch, for hessian")

    def options(self) -> SensitivityOptions:
        """The same, judged.

        Raises:
            RequestError: an unknown measure or scheme, or a number outside its range.
        """
        for what, name, kind in (("measure", self.measure, Measure), ("scheme", self.scheme, WeightScheme)):
            if name not in list(kind):
                raise RequestError(f"unknown {what} {name[:60]!r}; expected one of: {', '.join(kind)}")
        return SensitivityOptions(
            measure=Measure(self.measure),
            scheme=WeightScheme(self.scheme),
            samples=self.samples,
            seed=self.seed,
            probes=self.probes,
        )


class SensitivityJobRequest(SensitivityRequest):
    """A network whose sensitivities are to be measured."""

    kind: Literal["sensitivity"] = Field(default="sensitivity", description="what the job does")
    network_id: NetworkOfJob


AnyJobRequest = Annotated[JobRequest | SensitivityJobRequest, Discriminator("kind")]
"""Client generators tell the two apart by their kind."""


def request_of(document: dict[str, Any]) -> JobRequest | SensitivityJobRequest:
    """A request as it was kept. Documents from before there were kinds ask for training."""
    if document.get("kind") == "sensitivity":
        return SensitivityJobRequest.model_validate(document)
    return JobRequest.model_validate(document)
