"""JSON schemas of the call that does everything for a build pipeline: network in, budget in, files out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, StrictStr

from api.schemas.answer import Answer
from api.schemas.fit import FitAnswer, FitRequest
from api.schemas.job_answers import JobAnswer
from api.schemas.jobs import LabelOffset
from api.schemas.networks import NetworkSummary
from api.schemas.shrink import ShrinkRequest, ShrinkTrainingOptions
from qat.options.training import TrainingOptions

DatasetOfPipeline = Annotated[
    StrictStr | None,
    Field(
        default=None,
        description="identifier of an uploaded dataset, name of an operator's dataset, 'digits' or 'none'; null: the "
        "part dataset of the form is the dataset",
    ),
]


class PipelineFit(FitRequest):
    """Request of a pipeline that only chooses bits."""

    kind: Literal["fit"] = Field(description="purpose of the call")


class PipelineTraining(FitRequest):
    """Request of a pipeline that chooses bits, retrains the network and converts it to integers."""

    kind: Literal["training"] = Field(description="purpose of the call")
    dataset: DatasetOfPipeline
    label_offset: LabelOffset
    training: TrainingOptions = Field(default_factory=TrainingOptions, description="how the network is retrained")


class PipelineShrink(ShrinkRequest):
    """Request of a pipeline that finds the least bytes at which a network keeps a limit of quality."""

    kind: Literal["shrink"] = Field(description="purpose of the call")
    dataset: DatasetOfPipeline
    label_offset: LabelOffset
    training: ShrinkTrainingOptions = Field(
        default_factory=ShrinkTrainingOptions, description="how each judged point is quantized or trained"
    )


PipelineRequest = Annotated[PipelineFit | PipelineTraining | PipelineShrink, Discriminator("kind")]
"""Request of a pipeline; `kind` tells them apart."""


class PipelineLinks(Answer):
    """Paths of what a pipeline has uploaded and created."""

    network: str = Field(description="path of the network")
    dataset: str | None = Field(description="path of the dataset; null without one")
    job: str | None = Field(description="path of the job; null if only bits were chosen")
    artifacts: dict[str, str] = Field(
        description="path of each file that the job has produced, by its name; empty unless the job has succeeded"
    )


class PipelineAnswer(Answer):
    """Answer to a pipeline: the chosen bits, or the job."""

    kind: Literal["fit", "training", "shrink"] = Field(description="purpose of the call")
    network: NetworkSummary = Field(description="the uploaded network")
    fit: FitAnswer | None = Field(
        description="chosen bits, or the certificate that nothing fits; null if there is a job"
    )
    job: JobAnswer | None = Field(description="the job, with its result if it has succeeded; null for kind fit")
    links: PipelineLinks = Field(description="paths of what was uploaded and created")
