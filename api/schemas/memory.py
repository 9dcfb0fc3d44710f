"""The memory report as it is answered: flash by layer, RAM by step, and what all layers share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.answer import Answer, Bytes
from network.allocation import Bits


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
