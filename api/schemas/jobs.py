"""Requests for jobs: to retrain a network, or to measure sensitivities."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, StrictStr

from api.schemas.fit import FitRequest
from qat.options.sensitivity import SensitivityOptions
from qat.options.training import TrainingOptions

DIGITS: Final = "digits"
"""The built-in dataset."""

NetworkOfJob = Annotated[StrictStr, Field(description="an uploaded network")]
DatasetOfJob = Annotated[
    StrictStr,
    Field(description="an uploaded dataset's id, an operator's dataset by its name, or 'digits'", examples=[DIGITS]),
]


class JobRequest(FitRequest):
    """A network that is fitted into a budget and retrained."""

    kind: Literal["training"] = Field(default="training", description="what the job does")
    network_id: NetworkOfJob
    dataset: DatasetOfJob
    training: TrainingOptions = Field(default_factory=TrainingOptions, description="how the network is retrained")


class SensitivityRequest(SensitivityOptions):
    """How sensitivities are measured, and on which dataset."""

    dataset: DatasetOfJob

    def options(self) -> SensitivityOptions:
        """Return the options of the measurement alone, without the dataset."""
        return SensitivityOptions(**{name: getattr(self, name) for name in SensitivityOptions.model_fields})


class SensitivityJobRequest(SensitivityRequest):
    """A network whose sensitivities are measured."""

    kind: Literal["sensitivity"] = Field(default="sensitivity", description="what the job does")
    network_id: NetworkOfJob


AnyJobRequest = Annotated[JobRequest | SensitivityJobRequest, Discriminator("kind")]
"""A request for a job; `kind` says which of the two it is."""


def request_of(document: dict[str, Any]) -> JobRequest | SensitivityJobRequest:
    """Return the request of a stored document; a document without a kind, as earlier versions wrote, is a training."""
    if document.get("kind") == "sensitivity":
        return SensitivityJobRequest.model_validate(document)
    return JobRequest.model_validate(document)
