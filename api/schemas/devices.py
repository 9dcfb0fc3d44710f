"""JSON schemas of microcontrollers, and of the request and the answer that fit a network into several of them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from api.schemas.answer import Amount, Answer, Count, NetworkName
from api.schemas.device_fields import DeviceField
from api.schemas.fit import LatencyAnswer
from api.schemas.memory import BudgetAnswer, RegionAnswer
from api.schemas.solve import SolveRequest
from network.devices.catalogue import MAX_DEVICES
from network.kernel_sizes.tables import Optimization
from network.memory.books import BookName
from solver.options import Method


class DevicesRequest(SolveRequest):
    """Request to fit a network into several microcontrollers, with one time limit for all of them."""

    devices: list[DeviceField] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_DEVICES,
        description="names in the catalogue, or descriptions of custom devices; null: the whole catalogue",
    )

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [device.name for device in self.devices or ()]
        if len(set(names)) < len(names):
            raise ValueError("two devices have the same name; give each device a unique name")
        return self


class SourceAnswer(Answer):
    """Document from which figures of a microcontroller were taken."""

    figures: list[str] = Field(description="names of the fields whose values were taken from the document")
    where: str = Field(description="title and section of the document, or repository and path")


class DeviceAnswer(Answer):
    """Microcontroller: the memory of the chip, and the part of it that one program can use."""

    name: str = Field(description="name by which requests choose the device")
    title: str = Field(description="name that the manufacturer uses")
    core: str = Field(description="core that runs the network, such as cortex-m7")
    clock_hz: Annotated[int, Field(ge=1)] | None = Field(
        description="highest clock frequency of the core, in hertz; null if it is not known"
    )
    flash_bytes: Count = Field(description="flash that one program can use, in bytes")
    ram_bytes: Count = Field(description="largest contiguous region of RAM that one program can use, in bytes")
    chip_flash_bytes: Count = Field(description="flash of the chip, in bytes")
    chip_ram_bytes: Count = Field(description="RAM of the chip, all regions together, in bytes")
    flash_is_external: bool = Field(description="whether flash is a separate chip on the board")
    note: str = Field(description="reason why a program can use less memory than the chip has; empty if there is none")
    sources: list[SourceAnswer] = Field(description="documents from which the figures were taken")


class DeviceFit(Answer):
    """Result of fitting a network into one microcontroller."""

    device: DeviceAnswer = Field(description="the device")
    fits: bool = Field(description="whether the network fits the device")
    budget: BudgetAnswer = Field(description="memory of the device that the reserves leave")
    regions: list[RegionAnswer] = Field(description="required, available and excess bytes of flash and of RAM")
    optimization: Optimization | None = Field(
        description="optimization flag of the C code whose bytes were counted; null for the accounting paper"
    )
    objective: Amount | None = Field(
        description="summed sensitivity; null if nothing fits or no sensitivity measure was chosen"
    )
    gap: Amount | None = Field(
        description="largest possible excess over the optimum, as a share of the objective; 0: optimal; null for rules"
    )
    mean_weight_bits: Amount | None = Field(description="mean bits of a weight; null if nothing fits")
    mean_activation_bits: Amount | None = Field(
        description="mean bits of an element of an activation tensor; null if nothing fits"
    )
    latency: LatencyAnswer | None = Field(
        description="estimated latency; null if the core's speed is unknown or nothing fits"
    )


class DevicesAnswer(Answer):
    """Results of fitting a network into each of several microcontrollers."""

    network: NetworkName = Field(description="network of the request")
    method: Method = Field(description="method that chose the bits")
    accounting: BookName = Field(description="accounting: rule set that counted the bytes")
    sensitivity: str | None = Field(description="name of the sensitivity measure of the objective; null without one")
    devices: list[DeviceFit] = Field(description="devices, in the order of the request or of the catalogue")
