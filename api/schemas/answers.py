"""The answer to "does it fit, and with which bits", as the command prints it and the service sends it.

`api/operations/fit.py` builds it: `bitbudget fit --json` and `POST /v1/networks/{id}/fit` give the same object.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from network.allocation import Bits

Bytes = Annotated[
    float,
    PlainSerializer(lambda size: int(size) if float(size).is_integer() else size),
    WithJsonSchema({"type": "number"}),
]
"""A number of bytes. The accounting keeps fractions: 3 elements at 2 bits take 0.75 bytes."""


def format_bytes(size: float) -> str:
    """1234567.0 -> '1,234,567'; 0.75 -> '0.75'."""
    return f"{int(size):,}" if float(size).is_integer() else f"{size:,.2f}"


class Answer(BaseModel):
    """What all answers have."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class NetworkName(Answer):
    """Which network an answer is about."""

    id: str = Field(description="SHA-256 of the network file, in hexadecimal")
    name: str = Field(description="what reports call it; no key")


class BudgetAnswer(Answer):
    """What of the device's memory the network may take."""

    flash_bytes: int = Field(description="flash for weights and parameters, in bytes")
    ram_bytes: int = Field(description="RAM for activation tensors, in bytes")


class SharedMemory(Answer):
    """Something that the network takes once, whatever its layers are."""

    region: Literal["flash", "ram"] = Field(description="which memory")
    part: str = Field(description="what it is")
    size_bytes: int = Field(description="what it takes, in bytes")
    is_estimate: bool = Field(description="it cannot be known before linking")


class ArenaAnswer(Answer):
    """Where every activation tensor and scratch buffer lies in the arena."""

    arena_bytes: int = Field(description="how large the arena is, in bytes")
    lower_bound_bytes: int = Field(description="no plan is smaller, in bytes")
    offsets: dict[str, int] = Field(description="tensor name, or scratch of a layer -> bytes from the arena's start")


class RegionAnswer(Answer):
    """One of the two memories: what is required of it, what is available, and where it is decided."""

    region: Literal["flash", "ram"] = Field(description="which memory")
    required_bytes: Bytes = Field(
        description="what the network takes, in bytes; when nothing fits, with the fewest bits"
    )
    available_bytes: int = Field(description="the budget, in bytes")
    excess_bytes: Bytes = Field(description="required less available, in bytes; 0 where it fits")
    layer: str = Field(description="flash: the layer that takes the most; ram: the one at the peak")


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


class LayerMemory(Answer):
    """What one layer takes of flash."""

    layer: str = Field(description="the layer's name")
    kind: str = Field(description="the layer's kind, e.g. convolution")
    weight_bits: Bits | None = Field(description="bits of each weight; null for a layer without weights")
    weight_bytes: Bytes = Field(description="packed weights, in bytes")
    parameter_bytes: Bytes = Field(description="biases and requantization constants, in bytes")
    flash_bytes: Bytes = Field(description="the sum of both, in bytes")


class StepMemory(Answer):
    """What one step of the schedule takes of RAM."""

    layer: str = Field(description="the layer that runs")
    output: str = Field(description="the tensor that it writes")
    input_bytes: Bytes = Field(description="the tensors that it reads, in bytes")
    output_bytes: Bytes = Field(description="the tensor that it writes, in bytes; 0 where it lies on an input")
    waiting_bytes: Bytes = Field(description="tensors that a later step reads, in bytes")
    scratch_bytes: Bytes = Field(description="what the kernel takes beside, in bytes")
    ram_bytes: Bytes = Field(description="the sum of all, in bytes")
    overwrites: str | None = Field(description="the input that the output lies on; null where it has its own place")


class Memory(Answer):
    """The memory report."""

    flash_bytes: Bytes = Field(description="of all layers and what they share, in bytes")
    ram_bytes: Bytes = Field(description="of the largest step, or of the arena, and what is shared, in bytes")
    peak_layer: str = Field(description="the first layer whose step takes the most RAM")
    layers: list[LayerMemory] = Field(description="flash by layer, in layer order")
    shared: list[SharedMemory] = Field(description="what is taken once, e.g. the kernels' code and the stack")
    arena: ArenaAnswer | None = Field(description="null where the rule book places no tensors")
    steps: list[StepMemory] = Field(description="RAM by step, in schedule order")


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
