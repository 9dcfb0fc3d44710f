"""Sensitivities in requests: the name of a measure, a table, or the job that has measured one.

A field is parsed once, when the request is validated: afterwards a table is a `SensitivityTable`.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from api.schemas.sizes import collected
from network.allocation import BITS, WeightScheme
from network.errors import RequestError
from network.sensitivity.table import SensitivityTable, sensitivity_of, sensitivity_to_document
from qat.options.sensitivity import Measure

WEIGHTS_MEASURE: Final = "weights"
"""Name of the sensitivity measure that needs no samples."""

MEASURES: Final = (WEIGHTS_MEASURE, *Measure)


class BitsRow(BaseModel):
    """Sensitivity (estimated increase of the loss) of one tensor at 8, 4 and 2 bits."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    bits_8: float = Field(alias="8", ge=0, description="sensitivity at 8 bits")
    bits_4: float = Field(alias="4", ge=0, description="sensitivity at 4 bits")
    bits_2: float = Field(alias="2", ge=0, description="sensitivity at 2 bits")


class TableDescription(BaseModel):
    """Sensitivity table: the estimated increase of the loss if one tensor alone gets fewer bits."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)

    method: str = Field(default="table", description="name of the method by which the sensitivities were found")
    weights: dict[str, BitsRow] = Field(
        description="name of each layer -> sensitivities of its weights, by every scheme that weights_by_scheme does "
        "not have"
    )
    weights_by_scheme: dict[WeightScheme, dict[str, BitsRow]] = Field(
        default={}, description="scheme of weights -> name of each layer -> sensitivities of its weights"
    )
    activations: dict[str, BitsRow] = Field(description="name of each tensor -> its sensitivities")


class JobTable(BaseModel):
    """Reference to the sensitivity table that a finished job has measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: str = Field(description="identifier of the sensitivity job")


def _sensitivity(given: object) -> str | SensitivityTable | JobTable:
    if isinstance(given, SensitivityTable | JobTable):
        return given
    if isinstance(given, str):
        if given not in MEASURES:
            raise ValueError(f"expected a sensitivity table, or one of the measures {', '.join(MEASURES)}")
        return given
    if isinstance(given, dict) and "job_id" in given:
        if given.keys() != {"job_id"} or not isinstance(given["job_id"], str):
            raise ValueError(
                "expected an object with the single key 'job_id', whose value is the text of a job's identifier"
            )
        return JobTable(job_id=given["job_id"])
    return collected(lambda: _table_of(given))


def _table_of(given: object) -> SensitivityTable:
    """Read a sensitivity table, whose figures a request can repeat: the schema allows none below 0.

    Raises:
        RequestError: If the value is not a sensitivity table, or has a figure that is negative or not a number.
    """
    table = sensitivity_of(given)
    for rows in (table.weights, table.activations, *table.weights_by_scheme.values()):
        for name, row in rows.items():
            for figure in row.values():
                if not 0 <= figure < math.inf:
                    raise RequestError(f"the sensitivity of '{name[:60]}' is {figure}; expected a number from 0")
    return table


def _sensitivity_document(sensitivity: str | SensitivityTable | JobTable) -> str | TableDescription | JobTable:
    if isinstance(sensitivity, SensitivityTable):
        return TableDescription.model_validate(sensitivity_to_document(sensitivity))
    return sensitivity


_MeasureName = Annotated[str, Field(json_schema_extra={"enum": list(MEASURES)})]

SensitivityField = Annotated[
    str | SensitivityTable | JobTable,
    PlainValidator(_sensitivity, json_schema_input_type=_MeasureName | TableDescription | JobTable),
    PlainSerializer(_sensitivity_document, return_type=_MeasureName | TableDescription | JobTable),
    Field(examples=["weights", "fisher", {"job_id": "64c30fc6784c4ee7b09e25090bba1b9c"}]),
]
"""Objective: the name of a sensitivity measure, a sensitivity table, or the job that has measured one."""

assert {f"{bits}" for bits in BITS} == {"8", "4", "2"}  # noqa: S101  # `BitsRow` spells them out
