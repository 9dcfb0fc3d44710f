"""What every request for bits has in common, and the types of its fields.

A field is parsed once, when the request is validated: afterwards a size is a number of bytes, a device a `Device`, a
table a `SensitivityTable`. The OpenAPI document shows what a client sends: a text, a name, or a typed object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from network.allocation import BITS
from network.budget import parse_size_bytes
from network.devices.catalogue import catalogue, device_named, device_of, device_to_json
from network.devices.device import Device
from network.devices.latency import CoreSpeed, core_speed_of, core_speed_to_json
from network.errors import RequestError
from network.memory.books import BookName
from network.options import NAMED_FAULT
from network.sensitivity.table import SensitivityTable, sensitivity_of, sensitivity_to_document
from qat.options.sensitivity import Measure
from solver.options import SolveOptions

WEIGHTS_MEASURE: Final = "weights"
"""The measure of sensitivity that needs no samples."""

MEASURES: Final = (WEIGHTS_MEASURE, *Measure)

_Parsed = TypeVar("_Parsed")


def _collected(parse: Callable[[], _Parsed]) -> _Parsed:
    """Let pydantic collect an error that a parser of the rooms below raises."""
    try:
        return parse()
    except RequestError as error:
        raise PydanticCustomError(NAMED_FAULT, "{text}", {"text": str(error)}) from None


def _size_bytes(given: object, info: ValidationInfo) -> int:
    return _collected(lambda: parse_size_bytes(given, info.field_name or "the size"))  # type: ignore[arg-type]  # it rejects other types


def _reserve_bytes(given: object, info: ValidationInfo) -> int:
    return 0 if not isinstance(given, bool) and given in (0, "0") else _size_bytes(given, info)


_SizeText = Annotated[
    str,
    Field(pattern=r"^\s*\d+(\.\d+)?\s*(B|[kKM]i?B)?\s*$", examples=["60000", "60kB", "512 KiB"]),
]

Size = Annotated[int, BeforeValidator(_size_bytes, json_schema_input_type=_SizeText)]
"""A number of bytes, sent as a text: plain bytes, or a number with kB (1000), KiB (1024), MB or MiB. Mb is refused."""

ReservedSize = Annotated[int, BeforeValidator(_reserve_bytes, json_schema_input_type=_SizeText)]
"""A size that may be 0."""


class SourceDescription(BaseModel):
    """Where figures of a device were read."""

    model_config = ConfigDict(extra="forbid")

    figures: list[str] = Field(description="names of the figures, e.g. flash, ram, clock_hz")
    where: str = Field(description="title and section of a document, or repository and path")


class DeviceDescription(BaseModel):
    """A custom device, as docs/devices.md describes it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="key of the device, in lower case")
    core: str = Field(description="core that runs the network, e.g. cortex-m4")
    flash: int | str = Field(description="flash that one program can use: bytes, or a text with a unit")
    ram: int | str = Field(description="RAM that one program can use in one piece: bytes, or a text with a unit")
    title: str = Field(default="", description="the manufacturer's name; the key if it is left out")
    clock_hz: int | None = Field(default=None, ge=1, description="highest clock of the core, in hertz")
    chip_flash: int | str | None = Field(default=None, description="flash on the chip; that of `flash` if left out")
    chip_ram: int | str | None = Field(default=None, description="RAM on the chip; that of `ram` if left out")
    flash_is_external: bool = Field(default=False, description="whether flash is a separate chip")
    in_place: list[str] = Field(default=[], description="kinds of layers that may overwrite their input")
    reuses_input: bool = Field(default=True, description="whether the arena may reuse the input buffer once it is read")
    note: str = Field(default="", description="why less memory can be used than there is")
    sources: list[SourceDescription] = Field(default=[], description="where each figure was read")


def _device(given: object) -> Device:
    if isinstance(given, Device):
        return given
    return _collected(lambda: device_named(given) if isinstance(given, str) else device_of(given))


def _device_document(device: Device) -> str | DeviceDescription:
    """Write a device by its name if the catalogue has it, else in full."""
    if catalogue().get(device.name) == device:
        return device.name
    return DeviceDescription.model_validate(device_to_json(device))


DeviceField = Annotated[
    Device,
    PlainValidator(_device, json_schema_input_type=str | DeviceDescription),
    PlainSerializer(_device_document, return_type=str | DeviceDescription),
    Field(examples=["stm32f746ng", {"name": "my-board", "core": "cortex-m4", "flash": "480 KiB", "ram": "96 KiB"}]),
]
"""A device: its name in the catalogue, or a description of a custom one."""


class CoreSpeedDescription(BaseModel):
    """How fast a core runs each kernel, as docs/exact.md describes it."""

    core: str = Field(description="name of the core")
    source: str = Field(description="where the rates come from")
    multiply_accumulates_per_cycle: dict[str, dict[str, float]] = Field(
        description="kernel -> 'activation bits/weight bits' -> multiply-accumulates in a cycle"
    )
    elements_per_cycle: dict[str, float] = Field(description="kind of layer -> elements read in a cycle")


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
    """A figure for each number of bits."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    bits_8: float = Field(alias="8", ge=0, description="with 8 bits")
    bits_4: float = Field(alias="4", ge=0, description="with 4 bits")
    bits_2: float = Field(alias="2", ge=0, description="with 2 bits")


class TableDescription(BaseModel):
    """A sensitivity table: the estimated rise of the loss when one tensor alone gets fewer bits."""

    model_config = ConfigDict(extra="forbid")

    method: str = Field(default="table", description="how the figures were found")
    weights: dict[str, BitsRow] = Field(description="layer name -> figures of its weights")
    activations: dict[str, BitsRow] = Field(description="tensor name -> its figures")


class JobTable(BaseModel):
    """The table that a finished sensitivity job has measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: str = Field(description="id of the job")


def _sensitivity(given: object) -> str | SensitivityTable | JobTable:
    if isinstance(given, SensitivityTable | JobTable):
        return given
    if isinstance(given, str):
        if given not in MEASURES:
            raise ValueError(f"expected a table, or one of: {', '.join(MEASURES)}")
        return given
    if isinstance(given, dict) and "job_id" in given:
        if given.keys() != {"job_id"} or not isinstance(given["job_id"], str):
            raise ValueError("'job_id' stands beside other keys, or is not a text; expected the id of a job alone")
        return JobTable(job_id=given["job_id"])
    return _collected(lambda: sensitivity_of(given))


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
"""What is minimized: a measure by its name, a table, or the job that has measured one."""

assert {f"{bits}" for bits in BITS} == {"8", "4", "2"}  # noqa: S101  # `BitsRow` spells them out


class SolveRequest(SolveOptions):
    """How bits are chosen, whatever the budget."""

    accounting: BookName = Field(default=BookName.DEPLOYED, description="The rule book that counts bytes.")
    sensitivity: SensitivityField | None = Field(
        default=None,
        description="What the exact program minimizes, and what the rules are compared by: weights (from the weights "
        "alone); with samples fisher, hessian or measured; a table; or a finished sensitivity job. If it is left out, "
        "exact takes fisher if there are samples, else weights.",
    )
    reserved_flash: ReservedSize = Field(
        default=0, description="Flash that the rest of the program needs; it is subtracted from the budget."
    )
    reserved_ram: ReservedSize = Field(
        default=0, description="RAM that the rest of the program needs; it is subtracted from the budget."
    )

    @property
    def options(self) -> SolveOptions:
        """The options of the solve alone."""
        return SolveOptions.model_construct(**{name: getattr(self, name) for name in SolveOptions.model_fields})
