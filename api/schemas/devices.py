"""Devices as they are answered, and the request which of them a network fits."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from api.schemas.answer import Answer, NetworkName
from api.schemas.fit import LatencyAnswer
from api.schemas.memory import BudgetAnswer, RegionAnswer
from api.schemas.solve import DeviceField, SolveRequest
from network.devices.catalogue import MAX_DEVICES


class DevicesRequest(SolveRequest):
    """Which devices a network fits. The time limit is that of the whole call."""

    devices: list[DeviceField] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_DEVICES,
        description="Names of the catalogue, or custom devices. If it is left out, the whole catalogue.",
    )

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [device.name for device in self.devices or ()]
        if len(set(names)) < len(names):
            raise ValueError("two devices have the same name; give each device a unique name")
        return self


class SourceAnswer(Answer):
    """Where figures of a device were read."""

    figures: list[str] = Field(description="which figures")
    where: str = Field(description="a document and its section, or a repository and path")


class DeviceAnswer(Answer):
    """A microcontroller: what memory it has, and what of that one program can use."""

    name: str = Field(description="the key by which it is asked for")
    title: str = Field(description="its maker's name for it")
    core: str = Field(description="e.g. cortex-m7")
    clock_hz: int | None = Field(description="the core's highest clock; null where it is not known")
    flash_bytes: int = Field(description="flash that one program can use, in bytes")
    ram_bytes: int = Field(description="RAM that one program can use in one piece, in bytes")
    chip_flash_bytes: int = Field(description="flash that there is, in bytes")
    chip_ram_bytes: int = Field(description="RAM that there is, in bytes")
    flash_is_external: bool = Field(description="flash is a chip of its own, on the board that is named")
    note: str = Field(description="why less can be used than there is")
    sources: list[SourceAnswer] = Field(description="where each figure was read")


class DeviceFit(Answer):
    """How a network fits one device."""

    device: DeviceAnswer
    fits: bool = Field(description="whether the network fits")
    budget: BudgetAnswer
    regions: list[RegionAnswer] = Field(description="flash and RAM: required, available and excess bytes")
    objective: float | None = Field(description="the summed sensitivity; null without a measure, or when nothing fits")
    gap: float | None = Field(description="how far that may be above the least there is, as a share; null for rules")
    mean_weight_bits: float | None = Field(description="bits of a weight, on average; null when nothing fits")
    mean_activation_bits: float | None = Field(
        description="bits of an activation tensor's element, on average; null when nothing fits"
    )
    latency: LatencyAnswer | None = Field(description="null where the core's speed is not known, or nothing fits")


class DevicesAnswer(Answer):
    """Which devices a network fits, and how well."""

    network: NetworkName
    method: str = Field(description="the method that chose the bits")
    accounting: str = Field(description="the rule book that counted the bytes")
    sensitivity: str | None = Field(description="the measure of the objective; null where none was asked for")
    devices: list[DeviceFit] = Field(description="in the order in which they were named, or the catalogue's")
