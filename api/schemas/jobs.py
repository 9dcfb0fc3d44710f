"""What a caller asks a job for: to retrain a network, or to measure sensitivities."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictInt, StrictStr

from api.schemas.fit import FitRequest
from api.schemas.training import Training
from network.allocation import WeightScheme
from network.errors import RequestError
from qat.options.sensitivity import Measure, SensitivityOptions

DIGITS: Final = "digits"
"""The built-in dataset."""

_MEASURING: Final = SensitivityOptions()

NetworkOfJob = Annotated[StrictStr, Field(description="an uploaded network")]
DatasetOfJob = Annotated[
    StrictStr,
    Field(description="an uploaded dataset's id, an operator's dataset by its name, or 'digits'", examples=[DIGITS]),
]


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
