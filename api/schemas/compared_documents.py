"""JSON schemas of the results that are compared: answers of a fit, reports of jobs, and reports of a build.

The documents may come from a stranger's fork. These schemas know only the compared fields, and bound every number
and every text. Unknown fields are ignored, so that documents of other versions are read.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.schemas.fit import CertificateAnswer
from network.allocation import Bits
from network.kernel_sizes.tables import Optimization
from qat.options.task import Direction, Metric

MAX_ENTRIES: Final = 100_000
"""Largest number of layers, tensors or functions of a result."""

_Name = Annotated[str, Field(max_length=10_000)]
_Bytes = Annotated[float, Field(ge=0, le=2**53, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Figure = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]


class Document(BaseModel):
    """Document of which only the compared fields are read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class LayerDocument(Document):
    """Flash of one layer."""

    layer: _Name
    weight_bits: Bits | None = None
    flash_bytes: _Bytes


class StepDocument(Document):
    """RAM while one layer runs."""

    layer: _Name
    output: _Name
    ram_bytes: _Bytes


class SharedDocument(Document):
    """Memory that all layers share."""

    region: Literal["flash", "ram"]
    part: _Name
    size_bytes: _Count


class MemoryDocument(Document):
    """Memory report."""

    flash_bytes: _Bytes
    ram_bytes: _Bytes
    peak_layer: _Name
    layers: list[LayerDocument] = Field(max_length=MAX_ENTRIES)
    steps: list[StepDocument] = Field(max_length=MAX_ENTRIES)
    shared: list[SharedDocument] = Field(default=[], max_length=MAX_ENTRIES)


class NetworkDocument(Document):
    """Name of the network."""

    name: _Name


class BudgetDocument(Document):
    """Flash and RAM that the network may use."""

    flash_bytes: _Count
    ram_bytes: _Count


class LatencyDocument(Document):
    """Estimated latency of one inference."""

    cycles: _Count


class QualityDocument(Document):
    """Quality on the test set."""

    metric: Metric
    direction: Direction
    against: _Name = "labels"
    integer_only: _Figure


class AccuracyDocument(Document):
    """Accuracy on the test set, as reports of earlier versions have it."""

    integer_only: _Figure


class CertificateDocument(CertificateAnswer):
    """Certificate that nothing fits, with bounded numbers and texts."""

    layer: _Name
    least_bytes: _Bytes | None
    available_bytes: _Count | None
    missing_bytes: _Bytes | None
    conflicting: list[Literal["flash", "ram", "latency"]] = Field(max_length=3)
    least_flash_bytes: _Bytes | None
    least_ram_bytes: _Bytes | None
    least_cycles: _Count | None
    available_cycles: _Count | None

    @model_validator(mode="after")
    def _has_cycles(self) -> Self:
        if self.budget == "latency" and None in (self.least_cycles, self.available_cycles):
            raise ValueError("a certificate of the budget latency needs least_cycles and available_cycles")
        return self


class FitDocument(Document):
    """Answer of a fit, or the report of a training, which has all of its fields."""

    kind: Literal["training", "fit"] | None = None
    fits: bool
    network: NetworkDocument
    device: _Name | None = None
    optimization: Optimization | None = None
    budget: BudgetDocument
    memory: MemoryDocument
    activation_bits: dict[_Name, Bits] = Field(default={}, max_length=MAX_ENTRIES)
    sensitivity: _Name | None = None
    objective: _Figure | None = None
    latency: LatencyDocument | None = None
    certificate: CertificateDocument | None = None
    overflow: _Name | None = None
    quality: QualityDocument | None = None
    accuracy: AccuracyDocument | None = None


class PartDocument(Document):
    """Linked bytes of one part of a network."""

    part: _Name
    layer: _Name
    linked_bytes: _Count


class BuildDocument(Document):
    """Report of a build, the file linked.json."""

    network: _Name
    device: _Name | None = None
    optimization: Optimization | None = None
    flash_bytes: _Count
    ram_bytes: _Count
    flash_budget_bytes: _Count | None = None
    ram_budget_bytes: _Count | None = None
    excess_bytes: dict[Literal["flash", "ram"], _Count] = {}
    sections: list[PartDocument] = Field(max_length=MAX_ENTRIES)
    layers: list[PartDocument] = Field(max_length=MAX_ENTRIES)
    functions: list[PartDocument] = Field(max_length=MAX_ENTRIES)
    is_good: bool
