"""Fields that all requests for the bits of a network have in common, and the pydantic types of these fields.

A field is parsed once, when the request is validated: afterwards a size is a number of bytes, a device is a `Device`,
and a table is a `SensitivityTable`. The OpenAPI document shows what a client sends: a text, a name, or a typed object.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from network.allocation import BITS, WeightScheme
from network.budget import parse_size_bytes
from network.devices.catalogue import catalogue, device_named, device_of, device_to_json
from network.devices.core_speed_json import SLOWEST, core_speed_of, core_speed_to_json
from network.devices.device import Device
from network.devices.latency import CoreSpeed
from network.errors import RequestError
from network.json_reading.fields import MAX_NUMBER
from network.kernel_sizes.tables import Optimization
from network.kernels import IN_PLACE_KERNELS
from network.memory.books import BookName
from network.option_fields import SIZE_FORMAT
from network.options import NAMED_FAULT
from network.sensitivity.table import SensitivityTable, sensitivity_of, sensitivity_to_document
from qat.options.sensitivity import Measure
from solver.options import SolveOptions

WEIGHTS_MEASURE: Final = "weights"
"""Name of the sensitivity measure that needs no samples."""

MEASURES: Final = (WEIGHTS_MEASURE, *Measure)

_Parsed = TypeVar("_Parsed")


def _collected(parse: Callable[[], _Parsed]) -> _Parsed:
    """Call a parser of a request's field; convert its `RequestError` to the type of error that pydantic collects."""
    try:
        return parse()
    except RequestError as error:
        raise PydanticCustomError(NAMED_FAULT, "{text}", {"text": str(error)}) from None


def _size_bytes(given: object, info: ValidationInfo) -> int:
    return _collected(lambda: parse_size_bytes(given, info.field_name or "the size"))  # type: ignore[arg-type]  # it rejects other types


def _reserve_bytes(given: object, info: ValidationInfo) -> int:
    return 0 if not isinstance(given, bool) and given in (0, "0") else _size_bytes(given, info)


_SIZE_TEXT: Final = {
    "pattern": r"^ *[0-9]{1,20}(\.[0-9]{1,20})? *(B|[kKM]i?B)? *$",
    "examples": ["60000", "60kB", "512 KiB"],
}

MAY_BE_ZERO: Final = "x-may-be-zero"
"""Keyword of the schema of a size that may be 0. The OpenAPI document has components instead (`Size`, `ReservedSize`),
by which a client may also send a size as a whole number.
"""

_SizeText = Annotated[str, Field(**_SIZE_TEXT, json_schema_extra={"format": SIZE_FORMAT})]
_ReservedSizeText = Annotated[str, Field(**_SIZE_TEXT, json_schema_extra={"format": SIZE_FORMAT, MAY_BE_ZERO: True})]

Size = Annotated[int, Field(ge=1), BeforeValidator(_size_bytes, json_schema_input_type=_SizeText)]
"""Number of bytes, which a client sends as text: bytes alone, or a number with kB (1000), KiB (1024), MB or MiB."""

ReservedSize = Annotated[int, Field(ge=0), BeforeValidator(_reserve_bytes, json_schema_input_type=_ReservedSizeText)]
"""Size that may be 0."""


class SourceDescription(BaseModel):
    """Document from which figures of a microcontroller were taken."""

    model_config = ConfigDict(extra="forbid")

    figures: list[str] = Field(min_length=1, description="names of the figures, such as flash, ram or clock_hz")
    where: str = Field(description="title and section of the document, or repository and path")


class DeviceDescription(BaseModel):
    """Description of a custom microcontroller; docs/devices.md describes each key."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)

    name: str = Field(description="name of the device, in lower case")
    core: str = Field(description="core that runs the network, such as cortex-m4")
    flash: Size = Field(description="flash that one program can use")
    ram: Size = Field(description="largest contiguous region of RAM that one program can use")
    title: str = Field(default="", description="name that the manufacturer uses; empty: the name")
    clock_hz: int | None = Field(
        default=None, ge=1, le=MAX_NUMBER, description="highest clock frequency of the core, in hertz"
    )
    chip_flash: Size | None = Field(default=None, description="flash of the chip; null: the same as `flash`")
    chip_ram: Size | None = Field(default=None, description="RAM of the chip, all regions together; null: as `ram`")
    flash_is_external: bool = Field(default=False, description="whether flash is a separate chip")
    in_place: list[str] = Field(
        default=list(IN_PLACE_KERNELS),
        description="kernels that overwrite their input where its codes are not read again; an empty list: none",
    )
    reuses_input: bool = Field(
        default=True, description="whether other tensors may use the memory of the network's input after its last use"
    )
    note: str = Field(default="", description="reason why a program can use less memory than the chip has")
    sources: list[SourceDescription] = Field(default=[], description="documents from which the figures were taken")


_NULLABLE: Final = frozenset(
    name for name, field in DeviceDescription.model_fields.items() if not field.is_required() and field.default is None
)


def _device(given: object) -> Device:
    if isinstance(given, Device):
        return given
    if isinstance(given, dict):  # in a request, these keys may be null; a file of devices leaves them out
        given = {key: value for key, value in given.items() if value is not None or key not in _NULLABLE}
    return _collected(lambda: device_named(given) if isinstance(given, str) else device_of(given))


def _device_document(device: Device) -> str | DeviceDescription:
    """Return a microcontroller as JSON: its name if it is in the catalogue, otherwise its description."""
    if catalogue().get(device.name) == device:
        return device.name
    return DeviceDescription.model_validate(device_to_json(device))


DeviceField = Annotated[
    Device,
    PlainValidator(_device, json_schema_input_type=str | DeviceDescription),
    PlainSerializer(_device_document, return_type=str | DeviceDescription),
    Field(examples=["stm32f746ng", {"name": "my-board", "core": "cortex-m4", "flash": "480 KiB", "ram": "96 KiB"}]),
]
"""Device, which a client sends as a name in the catalogue, or as the description of a custom device."""


_Rate = Annotated[float, Field(ge=SLOWEST, le=1 / SLOWEST)]


class RatesDescription(BaseModel):
    """Rates of each kernel on a processor core."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)

    multiply_accumulates_per_cycle: dict[str, dict[str, _Rate]] = Field(
        description="kernel -> activation bits and weight bits, such as 8/4 -> multiply-accumulates per cycle"
    )
    elements_per_cycle: dict[str, _Rate] = Field(
        description="kind of layer without weights -> elements that are read per cycle"
    )


class CoreSpeedDescription(RatesDescription):
    """Speed of each kernel on a processor core; docs/exact.md describes each key."""

    core: str = Field(description="name of the core")
    source: str = Field(description="origin of the rates, such as a measurement or a document")
    optimizations: dict[str, RatesDescription] = Field(
        default={},
        description="optimization flag of the compiler, such as Os -> the rates that differ with it",
    )


def _core_speed(given: object) -> CoreSpeed:
    return given if isinstance(given, CoreSpeed) else _collected(lambda: core_speed_of(given))


CoreSpeedField = Annotated[
    CoreSpeed,
    PlainValidator(_core_speed, json_schema_input_type=CoreSpeedDescription),
    PlainSerializer(
        lambda speed: CoreSpeedDescription.model_validate(core_speed_to_json(speed)), return_type=CoreSpeedDescription
    ),
]


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
    return _collected(lambda: _table_of(given))


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


MAX_WIDE_LAYERS: Final = 100_000
"""Largest number of layers that a request names."""


class SolveRequest(SolveOptions):
    """Request fields that say how the bits of a network are chosen, for any memory budget."""

    accounting: BookName = Field(default=BookName.DEPLOYED, description="rule set that counts bytes")
    optimization: Optimization | None = Field(
        default=None,
        description="optimization flag with which the C code is compiled, whose size the accounting deployed counts: "
        "O2 for speed, Os for size, O3 for unrolled loops; null: O2, or Os where the bytes that it saves buy bits or "
        "are needed to fit",
    )
    sensitivity: SensitivityField | None = Field(
        default=None,
        description="sensitivities whose sum the method exact minimizes; for other methods, the sum is only "
        "reported. weights: from the weights alone; fisher, hessian, measured: from samples; a table; or a finished "
        "sensitivity job; null: exact uses fisher if there are samples, otherwise weights",
    )
    reserved_flash: ReservedSize = Field(
        default="0",
        validate_default=True,
        description="flash that the rest of the program needs; it is subtracted from the budget",
    )
    reserved_ram: ReservedSize = Field(
        default="0",
        validate_default=True,
        description="RAM that the rest of the program needs; it is subtracted from the budget",
    )

    wide_layers: list[str] = Field(
        default=[],
        max_length=MAX_WIDE_LAYERS,
        description="names of layers that the accounting deployed counts with constants of 32 bits instead of 16; the "
        "report of a training whose result exceeds its budget names them",
    )

    @property
    def options(self) -> SolveOptions:
        """Options of the solver that a request contains."""
        return SolveOptions.model_construct(**{name: getattr(self, name) for name in SolveOptions.model_fields})
