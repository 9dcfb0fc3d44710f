"""Devices and speeds of cores in requests: a name in the catalogue, or a typed description.

A field is parsed once, when the request is validated: afterwards it is a `Device` or a `CoreSpeed`.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from api.schemas.sizes import Size, collected
from network.devices.catalogue import catalogue, device_named, device_of, device_to_json
from network.devices.core_speed_json import SLOWEST, core_speed_of, core_speed_to_json
from network.devices.device import Device
from network.devices.latency import CoreSpeed
from network.json_reading.fields import MAX_NUMBER
from network.kernels import IN_PLACE_KERNELS


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
    return collected(lambda: device_named(given) if isinstance(given, str) else device_of(given))


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
    return given if isinstance(given, CoreSpeed) else collected(lambda: core_speed_of(given))


CoreSpeedField = Annotated[
    CoreSpeed,
    PlainValidator(_core_speed, json_schema_input_type=CoreSpeedDescription),
    PlainSerializer(
        lambda speed: CoreSpeedDescription.model_validate(core_speed_to_json(speed)), return_type=CoreSpeedDescription
    ),
]
