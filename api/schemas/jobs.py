"""JSON schemas of the requests that create jobs, and of the copies of these requests in answers about jobs."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictInt, StrictStr, Tag

from api.schemas.answer import SHA256_PATTERN
from api.schemas.fit import FitRequest
from api.schemas.pareto import ParetoRequest
from api.schemas.shrink import ShrinkRequest, ShrinkTrainingOptions
from api.schemas.sizes import Size
from qat.data.label_offset import MAX_LABEL_OFFSET
from qat.options.sensitivity import SensitivityOptions
from qat.options.training import TrainingOptions

DIGITS: Final = "digits"
"""Name of the built-in dataset."""

NetworkOfJob = Annotated[
    StrictStr,
    Field(description="identifier of an uploaded network", json_schema_extra={"pattern": SHA256_PATTERN}),
]
DatasetOfJob = Annotated[
    StrictStr,
    Field(
        description="identifier of an uploaded dataset, name of an operator's dataset, or 'digits'; or 'none', "
        "'none:bytes' or 'none:LOW:HIGH', with which inputs are made from the network (docs/post-training.md)",
        examples=[DIGITS],
    ),
]


LabelOffset = Annotated[
    StrictInt,
    Field(
        default=0,
        ge=-MAX_LABEL_OFFSET,
        le=MAX_LABEL_OFFSET,
        description="number that is added to each label of the dataset",
    ),
]


class JobResources(BaseModel):
    """What a job gets of the machine, or of the cluster, on which it runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)

    processors: StrictInt | None = Field(
        default=None, ge=1, le=1024, description="number of processors, and of threads that compute; null: a setting"
    )
    gpus: StrictInt | None = Field(
        default=None, ge=0, le=64, description="number of GPUs of a cluster that the job has alone; null: a setting"
    )
    memory: Size | None = Field(
        default=None, description="memory that each process of the job may allocate; null: a setting"
    )
    training_processes: StrictInt = Field(
        default=1,
        ge=1,
        le=64,
        description="number of processes of a cluster that train the network together, each on its part of every batch "
        "and with the processors, the memory and the GPU (`gpus` 0 or 1) that are given here; only for jobs of kind "
        "training that train at least one epoch",
    )


Resources = Annotated[
    JobResources | None,
    Field(
        default=None,
        description="what the job gets of the machine or the cluster; null: what the operator of the service has set",
    ),
]


def _require_kind(schema: dict[str, Any]) -> None:
    """Mark the property `kind` as required in a JSON schema; a request without it is still accepted."""
    required = schema.setdefault("required", [])
    if "kind" not in required:
        required.insert(0, "kind")
    schema["properties"]["kind"].pop("default", None)


class JobRequest(FitRequest):
    """Request for a job that fits a network into a budget, retrains it and converts it to integers."""

    model_config = ConfigDict(json_schema_extra=_require_kind)

    kind: Literal["training"] = Field(default="training", description="purpose of the job")
    network_id: NetworkOfJob
    dataset: DatasetOfJob
    label_offset: LabelOffset
    resources: Resources
    training: TrainingOptions = Field(default_factory=TrainingOptions, description="how the network is retrained")


class SensitivityRequest(SensitivityOptions):
    """Request to measure a network's sensitivities on a dataset."""

    dataset: DatasetOfJob
    label_offset: LabelOffset
    resources: Resources

    def options(self) -> SensitivityOptions:
        """Return the options of a sensitivity measurement, without the dataset and the resources."""
        return SensitivityOptions(**{name: getattr(self, name) for name in SensitivityOptions.model_fields})


class SensitivityJobRequest(SensitivityRequest):
    """Request for a job that measures the sensitivities of a network."""

    kind: Literal["sensitivity"] = Field(default="sensitivity", description="purpose of the job")
    network_id: NetworkOfJob


class ShrinkJobRequest(ShrinkRequest):
    """Request for a job that finds the least bytes at which a network keeps a limit of quality."""

    kind: Literal["shrink"] = Field(description="purpose of the job")
    network_id: NetworkOfJob
    dataset: DatasetOfJob
    label_offset: LabelOffset
    resources: Resources
    training: ShrinkTrainingOptions = Field(
        default_factory=ShrinkTrainingOptions, description="how each judged point is quantized or trained"
    )


class FitJobRequest(FitRequest):
    """Request for a job that answers what `POST /v1/networks/{id}/fit` answers, with a time limit of up to a day."""

    kind: Literal["fit"] = Field(description="purpose of the job")
    network_id: NetworkOfJob
    resources: Resources


class ParetoJobRequest(ParetoRequest):
    """Request for a job that answers what `POST /v1/networks/{id}/pareto` answers, with a time limit of up to a day."""

    kind: Literal["pareto"] = Field(description="purpose of the job")
    network_id: NetworkOfJob
    resources: Resources


class JobRequestEcho(JobRequest):
    """Request that created a training job, with all defaults; sizes are in bytes."""


class ShrinkJobRequestEcho(ShrinkJobRequest):
    """Request that created a job of kind shrink, with all defaults; sizes are in bytes."""


class SensitivityJobRequestEcho(SensitivityJobRequest):
    """Request that created a sensitivity job, with all defaults."""


class FitJobRequestEcho(FitJobRequest):
    """Request that created a job of kind fit, with all defaults; sizes are in bytes."""


class ParetoJobRequestEcho(ParetoJobRequest):
    """Request that created a job of kind pareto, with all defaults; sizes are in bytes."""


DatasetJobRequest = JobRequest | SensitivityJobRequest | ShrinkJobRequest
"""Request for a job that reads a dataset."""

QuestionJobRequest = FitJobRequest | ParetoJobRequest
"""Request for a job that answers a question about the network alone."""

AnyJobRequest = DatasetJobRequest | QuestionJobRequest
"""Request for a job."""

_CREATED: Final[dict[str, type[JobRequest | ShrinkJobRequest | QuestionJobRequest]]] = {
    "training": JobRequest,
    "shrink": ShrinkJobRequest,
    "fit": FitJobRequest,
    "pareto": ParetoJobRequest,
}
"""Kind of a job that `POST /v1/jobs` creates -> class of its request."""

KIND_TAG: Final = "kind="
"""Beginning of the tags by which pydantic tells the requests of `POST /v1/jobs` apart; errors leave these tags out."""


def _tag_of(given: Any) -> str | None:
    """Return the tag of the class of a request for a job; a request without `kind` is a training."""
    kind = given.get("kind", "training") if isinstance(given, dict) else getattr(given, "kind", "training")
    return f"{KIND_TAG}{kind}" if kind in list(_CREATED) else None  # it may be any JSON value


CreatedJobRequest = Annotated[
    Annotated[JobRequest, Tag(f"{KIND_TAG}training")]
    | Annotated[ShrinkJobRequest, Tag(f"{KIND_TAG}shrink")]
    | Annotated[FitJobRequest, Tag(f"{KIND_TAG}fit")]
    | Annotated[ParetoJobRequest, Tag(f"{KIND_TAG}pareto")],
    Discriminator(
        _tag_of,
        custom_error_type="unknown_kind",
        custom_error_message=f"kind: expected one of: {', '.join(map(repr, _CREATED))}; sensitivities are measured by "
        "POST /v1/networks/ID/sensitivity",
    ),
    Field(
        json_schema_extra={
            "discriminator": {
                "propertyName": "kind",
                "mapping": {kind: f"#/components/schemas/{each.__name__}" for kind, each in _CREATED.items()},
            }
        }
    ),
]
"""Body of `POST /v1/jobs`; `kind` tells them apart."""

AnyEcho = JobRequestEcho | SensitivityJobRequestEcho | ShrinkJobRequestEcho | FitJobRequestEcho | ParetoJobRequestEcho
AnyJobRequestEcho = Annotated[AnyEcho, Discriminator("kind")]
"""Request that created a job, as an answer repeats it; `kind` tells them apart."""

_REQUESTS: Final[dict[str, type[AnyJobRequest]]] = {**_CREATED, "sensitivity": SensitivityJobRequest}
_ECHOES: Final[dict[str, type[AnyEcho]]] = {
    "training": JobRequestEcho,
    "sensitivity": SensitivityJobRequestEcho,
    "shrink": ShrinkJobRequestEcho,
    "fit": FitJobRequestEcho,
    "pareto": ParetoJobRequestEcho,
}


def request_of(document: dict[str, Any]) -> AnyJobRequest:
    """Parse a job's request from its stored JSON object; without `kind`, as in earlier versions, it is a training."""
    return _REQUESTS[document.get("kind", "training")].model_validate(document)


def echo_of(document: dict[str, Any]) -> AnyJobRequestEcho:
    """Parse a job's stored JSON object into the copy of the request that an answer contains."""
    return _ECHOES[document.get("kind", "training")].model_validate(document)
