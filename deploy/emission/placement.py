"""Place of every tensor and scratch buffer in the arena, as the byte accounting plans it, and its description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deploy.emission.text import comment_text
from network.allocation import Allocation
from network.arena.plan import scratch_name
from network.live_ranges import live_ranges
from network.memory.deployed import DeployedAccounting
from network.memory.measure import overwritten_input, step_scratch_bytes
from network.memory.packing import packed_row_bytes
from network.network import Network

ALIGNMENT_BYTES: Final = 4
"""Alignment of the arena, and of each tensor and scratch buffer in it."""


@dataclass(frozen=True, slots=True)
class Region:
    """Part of the arena that a tensor or a scratch buffer occupies.

    Attributes:
        name: Name of the tensor; of a scratch buffer, the name of its layer.
        is_scratch: Whether the region is a scratch buffer.
        offset_bytes: Offset from the start of the arena, a multiple of 4.
        size_bytes: Number of bytes that are written.
        first_step: Number of the first step during which the region is in use; the steps of a network have the numbers
            1, 2, ...
        last_step: Number of the last step during which the region is in use.
        overwrites: Name of the tensor that the tensor overwrites; None if the region has its own memory.
    """

    name: str
    is_scratch: bool
    offset_bytes: int
    size_bytes: int
    first_step: int
    last_step: int
    overwrites: str | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Plan of the arena of a network.

    Attributes:
        arena_bytes: Size of the arena, a multiple of 4.
        tensors: Name of each tensor -> its region, in the order in which they are written, the inputs first.
        scratch: Name of each layer that has a scratch buffer -> its region.
    """

    arena_bytes: int
    tensors: Mapping[str, Region]
    scratch: Mapping[str, Region]

    def scratch_offset(self, layer: str) -> int:
        """Return the offset in bytes of a layer's scratch buffer; 0 if it has none."""
        return self.scratch[layer].offset_bytes if layer in self.scratch else 0

    def is_intact(self, tensor: str) -> bool:
        """Return whether a tensor still has its codes after the last step."""
        region = self.tensors[tensor]
        last = max(each.last_step for each in self.tensors.values())
        return region.last_step == last and not any(each.overwrites == tensor for each in self.tensors.values())


def placement_of(network: Network, allocation: Allocation, accounting: DeployedAccounting) -> Placement:
    """Plan the arena of a network.

    Args:
        network: The structure of the network.
        allocation: The bits of its tensors.
        accounting: The rules by which bytes are counted, and by which layers overwrite their inputs.

    Raises:
        InvalidNetwork: if the network has no layer with weights.
        ValueError: if the plan is not aligned, which would be an error of the accounting.
    """
    bits = allocation.activation_bits
    plan = accounting.arena(network, bits)
    ranges = live_ranges(network, reuses_input=accounting.reuses_input)
    steps = accounting.steps(network)
    overwritten = {step.output.tensor: overwritten_input(step, accounting, bits) for step in steps}
    tensors = {}
    for name, shape in network.shapes.items():
        size_bytes = shape.height * shape.width * packed_row_bytes(shape.channels, bits[name])
        last = max(ranges[name].stop, ranges[name].start + 1)
        tensors[name] = Region(
            name, False, plan.offsets[name], size_bytes, ranges[name].start + 1, last, overwritten.get(name)
        )
    scratch = {}
    for number, step in enumerate(steps, start=1):
        size_bytes = step_scratch_bytes(step, overwritten[step.output.tensor])
        if size_bytes:
            offset_bytes = plan.offsets[scratch_name(step.layer)]
            scratch[step.layer] = Region(step.layer, True, offset_bytes, size_bytes, number, number)
    arena_bytes = -(-plan.arena_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    for region in (*tensors.values(), *scratch.values()):
        if region.offset_bytes % ALIGNMENT_BYTES or region.offset_bytes + region.size_bytes > arena_bytes:
            raise ValueError(f"the plan of the arena of '{network.name}' has the invalid region {region}")
    return Placement(arena_bytes, tensors, scratch)


def memory_map(placement: Placement) -> str:
    """Return the lines of a C comment that show which bytes of the arena each tensor and scratch buffer occupies."""
    lines = [f"   {'offset':>8} {'bytes':>8}  steps        content"]
    for region in sorted(
        (*placement.tensors.values(), *placement.scratch.values()),
        key=lambda each: (each.first_step, each.is_scratch, each.offset_bytes),
    ):
        what = f"scratch of {comment_text(region.name)}" if region.is_scratch else comment_text(region.name)
        if region.overwrites is not None:
            what += f", over {comment_text(region.overwrites)}"
        steps = f"{region.first_step}" + (f" to {region.last_step}" if region.last_step > region.first_step else "")
        lines.append(f"   {region.offset_bytes:>8} {region.size_bytes:>8}  {steps:<12} {what}")
    return "\n".join(lines)
