"""The memory report of a network: bytes of flash by layer, bytes of RAM by step, shared bytes, and the totals.

    flash = for each layer: packed weights + parameters;   + shared parts (code of kernels, start-up data)
    RAM   = the arena, which holds the largest step;       + shared parts (state, stack)

`measure.py` computes a report by the rules of an accounting (`accounting.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from network.arena.plan import ArenaPlan


class Region(StrEnum):
    """Kind of memory of a microcontroller: flash or RAM."""

    FLASH = "flash"
    RAM = "ram"


@dataclass(frozen=True, slots=True)
class Shared:
    """Memory that a whole network needs once, however many of its layers use it.

    Attributes:
        region: Kind of memory: flash or RAM.
        part: Description of the contents, e.g. "kernel code: convolution, 4-bit weights" or "stack".
        size_bytes: Number of bytes of the memory.
        is_estimate: Whether the exact number of bytes is known only after linking.
    """

    region: Region
    part: str
    size_bytes: int
    is_estimate: bool


@dataclass(frozen=True, slots=True)
class LayerFlash:
    """Number of bytes of flash that one layer of a network needs.

    Attributes:
        layer: Name of the layer.
        weight_bytes: Number of bytes of its packed weights; a multiple of 1/8.
        parameter_bytes: Number of bytes of its other constants.
        reuses_weights_of: Name of the earlier layer whose stored weights the layer reads, so that its own number of
            bytes is 0; None if its weights are counted with the layer itself.
    """

    layer: str
    weight_bytes: float
    parameter_bytes: int
    reuses_weights_of: str | None = None

    @property
    def flash_bytes(self) -> float:
        """Number of bytes of flash that one layer needs: packed weights and other constants."""
        return self.weight_bytes + self.parameter_bytes


@dataclass(frozen=True, slots=True)
class StepRam:
    """Number of bytes of RAM that are in use while one layer runs.

    Attributes:
        layer: Name of the layer that runs in the step.
        input_bytes: Number of bytes of the tensors that the layer reads.
        output_bytes: Number of bytes of the tensor that it writes; 0 if the output overwrites an input.
        waiting_bytes: Number of bytes of the other live tensors, which a later step reads.
        scratch_bytes: Number of bytes of scratch memory of the kernel.
        overwrites: Name of the input that the output overwrites; None if the output has its own memory.
    """

    layer: str
    input_bytes: float
    output_bytes: float
    waiting_bytes: float
    scratch_bytes: int = 0
    overwrites: str | None = None

    @property
    def ram_bytes(self) -> float:
        """Number of bytes of RAM that are in use while one layer runs: live tensors plus scratch memory."""
        return self.input_bytes + self.output_bytes + self.waiting_bytes + self.scratch_bytes


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """Memory report of a network whose bits are chosen: flash by layer, and RAM by step of the schedule.

    Attributes:
        accounting: Name of the accounting that counted the bytes.
        layers: Flash of each layer that needs flash, in schedule order.
        steps: RAM of each step that needs RAM, in schedule order.
        shared: Memory that the network needs once.
        arena: Memory plan of the tensors; None if the accounting makes no plan, and counts the largest step instead.
    """

    accounting: str
    layers: tuple[LayerFlash, ...]
    steps: tuple[StepRam, ...]
    shared: tuple[Shared, ...] = ()
    arena: ArenaPlan | None = None

    @property
    def flash_bytes(self) -> float:
        """Number of bytes of flash that the whole network needs."""
        return sum(layer.flash_bytes for layer in self.layers) + self._shared_bytes(Region.FLASH)

    @property
    def ram_bytes(self) -> float:
        """Number of bytes of RAM that the whole network needs: the arena, or the largest step, plus shared memory."""
        activations = self.peak_bytes if self.arena is None else self.arena.arena_bytes
        return activations + self._shared_bytes(Region.RAM)

    @property
    def peak_bytes(self) -> float:
        """Number of bytes of live tensors and scratch memory in the step that needs the most RAM."""
        return max(step.ram_bytes for step in self.steps)

    @property
    def peak_layer(self) -> str:
        """Name of the layer that needs the most RAM while it runs; if several need the same, the first."""
        return max(self.steps, key=lambda step: step.ram_bytes).layer

    def _shared_bytes(self, region: Region) -> int:
        return sum(each.size_bytes for each in self.shared if each.region is region)
