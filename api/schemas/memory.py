"""JSON schemas of a memory report: flash of each layer, RAM while each layer runs, and memory that all layers share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.answer import Answer, Bytes, Count
from network.allocation import Bits


class BudgetAnswer(Answer):
    """Flash and RAM in bytes that a network may use."""

    flash_bytes: Count = Field(description="flash for weights, other constants and code, in bytes")
    ram_bytes: Count = Field(description="RAM for activation tensors, scratch memory and stack, in bytes")


class SharedMemory(Answer):
    """Memory that all layers of a network share, such as the code of a kernel or the stack."""

    region: Literal["flash", "ram"] = Field(description="kind of memory that the part occupies")
    part: str = Field(description="name of the part")
    size_bytes: Count = Field(description="size of the part, in bytes")
    is_estimate: bool = Field(
        description="whether the size is an estimate, because the core of the device was not measured, or is not known"
    )


class ArenaAnswer(Answer):
    """Memory plan of the RAM arena: the offset in bytes of every activation tensor and scratch buffer."""

    arena_bytes: Count = Field(description="size of the arena, in bytes")
    lower_bound_bytes: Count = Field(description="lower bound of the size of any memory plan, in bytes")
    offsets: dict[str, Count] = Field(
        description="name of each tensor or scratch buffer -> offset from the start of the arena, in bytes"
    )


class RegionAnswer(Answer):
    """Required and available bytes of flash or RAM, and the layer that determines the requirement."""

    region: Literal["flash", "ram"] = Field(description="kind of memory")
    required_bytes: Bytes = Field(
        description="bytes that the network requires; if nothing fits, the requirement with the fewest bits"
    )
    available_bytes: Count = Field(description="budget of this memory, in bytes")
    excess_bytes: Bytes = Field(description="required bytes minus available bytes; 0 if the network fits")
    layer: str = Field(description="flash: the layer with the most bytes; ram: the layer at the peak")


class LayerMemory(Answer):
    """Flash in bytes of the weights and parameters of one layer."""

    layer: str = Field(description="name of the layer")
    kind: str = Field(description="kind of the layer, such as convolution")
    weight_bits: Bits | None = Field(description="bits of each weight; null for a layer without weights")
    weight_bytes: Bytes = Field(description="size of the packed weights, in bytes; 0 if another layer stores them")
    parameter_bytes: Bytes = Field(
        description="size of all other constants, in bytes: requantization, zero points, structs of the layer"
    )
    flash_bytes: Bytes = Field(description="sum of weights and other constants, in bytes")
    reuses_weights_of: str | None = Field(
        default=None,
        description="name of the earlier layer that stores the weights of this layer; null if it stores its own",
    )


class StepMemory(Answer):
    """RAM in bytes that is in use while one layer runs."""

    layer: str = Field(description="name of the layer that runs")
    output: str = Field(description="name of the tensor that the layer writes")
    input_bytes: Bytes = Field(description="size of the tensors that the layer reads, in bytes")
    output_bytes: Bytes = Field(
        description="size of the tensor that the layer writes, in bytes; 0 if it overwrites an input"
    )
    waiting_bytes: Bytes = Field(description="size of the other tensors that a later step reads, in bytes")
    scratch_bytes: Bytes = Field(description="size of the scratch buffer of the kernel, in bytes")
    ram_bytes: Bytes = Field(description="sum of the RAM that is in use during this step, in bytes")
    overwrites: str | None = Field(
        description="name of the input that the output overwrites; null if the output has its own memory"
    )


class Memory(Answer):
    """Memory report of a network: flash of each layer, RAM while each layer runs, and the totals, in bytes."""

    flash_bytes: Bytes = Field(description="flash of all layers and of the parts that they share, in bytes")
    ram_bytes: Bytes = Field(description="RAM of the largest step, or of the arena, and of the shared parts, in bytes")
    peak_layer: str = Field(description="first layer whose step requires the most RAM")
    layers: list[LayerMemory] = Field(description="flash of each layer, in the order of the layers")
    shared: list[SharedMemory] = Field(description="memory that all layers share, such as kernel code and the stack")
    arena: ArenaAnswer | None = Field(description="memory plan; null if the accounting does not place tensors")
    steps: list[StepMemory] = Field(description="RAM of each step, in the order of the schedule")
