"""The request for bits under a budget, and its answer: bits for every tensor, or the certificate that none fit.

`bitbudget fit --json` and `POST /v1/networks/{id}/fit` answer with the same object.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, StrictBool, StrictInt

from api.schemas.answer import Answer, Bytes, NetworkName, format_bytes
from api.schemas.memory import BudgetAnswer, Memory, RegionAnswer
from api.schemas.solve import CoreSpeedField, DeviceField, Size, SolveRequest
from network.allocation import Bits
from network.devices.latency import MAX_CYCLES

MAX_MILLISECONDS: Final = 86_400_000


class FitRequest(SolveRequest):
    """A budget, and how bits are chosen under it."""

    device: DeviceField | None = Field(
        default=None, description="The device: a name of the catalogue (GET /v1/devices), or a custom one."
    )
    flash: Size | None = Field(
        default=None,
        description="Flash that the network may take: bytes, or a number with kB, KiB, MB or MiB. If it is left out, "
        "the flash of the device that one program can use.",
    )
    ram: Size | None = Field(default=None, description="RAM that the network may take, in the same form.")
    max_cycles: StrictInt | None = Field(
        default=None,
        ge=1,
        le=MAX_CYCLES,
        description="Largest number of cycles that one inference may take, as estimated; for exact alone.",
    )
    max_milliseconds: float | None = Field(
        default=None,
        gt=0,
        le=MAX_MILLISECONDS,
        strict=True,
        description="The same ceiling as a time in milliseconds at the device's clock; for exact alone.",
    )
    core_speed: CoreSpeedField | None = Field(
        default=None, description="Cycles by kernel and bits, in place of the known table of the device's core."
    )
    shadow_prices: StrictBool = Field(
        default=False,
        description="Whether to compute by how much the objective would fall with one more kB of each budget.",
    )


class LatencyAnswer(Answer):
    """How long one inference takes: an estimate, from cycles by kernel and bits."""

    core: str = Field(description="whose cycles they are")
    cycles: int = Field(description="of one inference")
    milliseconds: float | None = Field(description="at the device's clock; null where none is known")
    is_estimate: bool = Field(description="nothing was measured on the device")


class ShadowPricesAnswer(Answer):
    """What one more kB (1000 bytes) of each budget alone would buy: by how much the objective would fall."""

    flash: float = Field(description="with 1000 bytes of flash more")
    ram: float = Field(description="with 1000 bytes of RAM more")


class CertificateAnswer(Answer):
    """Why nothing fits: what is short even with the fewest bits (the network's input and outputs keep 8)."""

    budget: Literal["flash", "ram", "latency"] = Field(description="the budget that is exceeded")
    layer: str = Field(
        description="ram: the layer at the peak; flash, latency: the layer that takes the most bytes, or cycles"
    )
    least_bytes: Bytes | None = Field(
        description="the least that would do, in bytes; null for latency, and where it was not found in time"
    )
    available_bytes: int | None = Field(description="the budget, in bytes; null for latency")
    missing_bytes: Bytes | None = Field(description="the difference, in bytes")
    conflicting: list[Literal["flash", "ram", "latency"]] = Field(
        description="the budget alone, where it is short by itself; several where each alone could be kept, but not all"
    )
    least_flash_bytes: Bytes | None = Field(
        description="the least flash that would do if all else were plenty, in bytes; null where it was not sought"
    )
    least_ram_bytes: Bytes | None = Field(
        description="the least RAM that would do if all else were plenty, in bytes; null where it was not sought"
    )
    least_cycles: int | None = Field(description="the fewest cycles of any bits, estimated; null without a ceiling")
    available_cycles: int | None = Field(description="the ceiling, in cycles; null without one")
    is_proven: bool = Field(description="false: a large graph was not tried in every order of its layers")

    @property
    def sentence(self) -> str:
        """The certificate in words."""
        parts = [self._shortage]
        if len(self.conflicting) > 1:
            names = {"flash": "flash", "ram": "RAM", "latency": "the latency ceiling"}
            *others, last = (names[each] for each in self.conflicting)
            parts.append(f"each of {', '.join(others)} and {last} could be kept alone, not together")
        if not self.is_proven:
            parts.append("not every order of the layers was tried")
        return "; ".join(parts)

    @property
    def _shortage(self) -> str:
        if self.budget == "latency" and self.least_cycles is not None and self.available_cycles is not None:
            missing = self.least_cycles - self.available_cycles
            return (
                f"with the fastest bits the layers (the slowest: '{self.layer}') need {self.least_cycles:,} cycles, "
                f"{self.available_cycles:,} are allowed: {missing:,} too many"
            )
        memory, where = {
            "ram": ("RAM", f"layer '{self.layer}' needs"),
            "flash": ("flash", f"the layers (the largest: '{self.layer}') need"),
        }[self.budget]
        if self.least_bytes is None or self.missing_bytes is None:
            return f"{memory} is short, the least that would do was not found in time"
        return (
            f"with the fewest bits {where} {format_bytes(self.least_bytes)} bytes of {memory}, "
            f"{format_bytes(self.available_bytes or 0)} are available: {format_bytes(self.missing_bytes)} are missing"
        )


class FitAnswer(Answer):
    """Bits for every tensor, or the certificate that none fit."""

    fits: bool = Field(description="whether the network fits the budget")
    method: str = Field(description="the method that chose the bits")
    accounting: str = Field(description="the rule book that counted the bytes")
    network: NetworkName
    device: str | None = Field(description="the device that was named; null where none was")
    budget: BudgetAnswer
    regions: list[RegionAnswer] = Field(description="flash and RAM: required, available and excess bytes")
    weight_bits: dict[str, Bits] = Field(
        description="layer name -> bits of its weights, in layer order; empty when nothing fits"
    )
    activation_bits: dict[str, Bits] = Field(
        description="tensor name -> bits, in the order in which they are written, the network's input first; "
        "empty when nothing fits"
    )
    schemes: dict[str, str] = Field(description="layer name -> how its weights are quantized; empty when nothing fits")
    foldings: dict[str, str] = Field(
        description="layer name -> where its batch norm goes: folding_weights or ICN; empty when nothing fits"
    )
    memory: Memory = Field(description="the memory report; when nothing fits, that of the fewest bits")
    schedule: list[str] = Field(description="the layers in the order in which they run; empty when nothing fits")
    given_order_ram_bytes: Bytes | None = Field(
        description="RAM of the same bits in the file's own order, in bytes; null when nothing fits"
    )
    sensitivity: str | None = Field(description="the measure of the objective; null where none was asked for")
    objective: float | None = Field(description="the summed sensitivity of the bits; null without one or without bits")
    bound: float | None = Field(description="no bits in any order have a smaller sum; null where nothing is proven")
    gap: float | None = Field(
        description="how far the objective may be above the least there is, as a share of it; 0 is proven best"
    )
    latency: LatencyAnswer | None = Field(description="null where the core's speed is not known, or nothing fits")
    shadow_prices: ShadowPricesAnswer | None = Field(description="null where they were not asked for, or nothing fits")
    certificate: CertificateAnswer | None = Field(description="null when the network fits")
