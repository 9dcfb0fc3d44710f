"""The steps of a network's schedule, one for each layer, and the tensors that are in memory during each step.

A step runs one layer. A tensor is alive from the step that writes it to the last step that reads it
(`network/live_ranges.py`):

    step   layer         live tensors
    0      a             input + a
    1      b             a + b
    2      sum = a + b   a + b + sum

A device may let a layer overwrite an input that no later layer reads. If both tensors have the same bits, the output
then needs no memory of its own: above, step 2 needs a + b, because sum overwrites a.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from network.layers import Shape
from network.live_ranges import live_ranges
from network.network import Network


@dataclass(frozen=True, slots=True)
class Occupant:
    """Tensor that occupies RAM during a step of a network's schedule.

    Attributes:
        tensor: Name of the tensor whose bits decide the size.
        shape: Shape that decides the number of elements.
    """

    tensor: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class InPlace:
    """Inputs that a layer can overwrite with its output, and the scratch memory that this needs.

    Attributes:
        candidates: Names of the inputs that have the shape of the output and need not be kept, in the layer's order.
            The layer overwrites the first of them that no later layer reads.
        scratch_bytes: Number of bytes of additional scratch memory that the kernel then needs.
    """

    candidates: tuple[str, ...]
    scratch_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a network's schedule: the layer that runs, and the tensors that are in memory meanwhile.

    Attributes:
        layer: Name of the layer that runs.
        inputs: Tensors that the layer reads.
        output: Tensor that the layer writes.
        waiting: Other live tensors, which a later step reads.
        scratch_bytes: Number of bytes of scratch memory that the kernel needs during this step.
        in_place: Possibility that the layer overwrites an input; None if it cannot.
        overwrites: Name of the input that the output overwrites if both have the same bits and that saves memory; None
            if a later step reads every candidate.
    """

    layer: str
    inputs: tuple[Occupant, ...]
    output: Occupant
    waiting: tuple[Occupant, ...] = ()
    scratch_bytes: int = 0
    in_place: InPlace | None = None
    overwrites: str | None = None

    @property
    def live(self) -> tuple[Occupant, ...]:
        """All tensors that are in memory during a step of the schedule."""
        return (*self.inputs, self.output, *self.waiting)


def live_steps(
    network: Network,
    scratch_bytes: Mapping[str, int],
    in_place: Mapping[str, InPlace] | None = None,
    *,
    reuses_input: bool = True,
) -> tuple[Step, ...]:
    """Return every layer of a network as a step of the schedule, with all tensors that are in memory meanwhile.

    Args:
        network: The network, with its layers in schedule order.
        scratch_bytes: Name of a layer -> number of bytes of scratch memory of its kernel; 0 for a missing layer.
        in_place: Name of a layer -> possibility that it overwrites an input; None if no layer can.
        reuses_input: Whether the memory of each input of the network is free after the last layer that reads it.
    """
    ranges = live_ranges(network, reuses_input=reuses_input)
    steps = []
    alive = {each.name: Occupant(each.name, each.shape) for each in network.inputs}
    for index, layer in enumerate(network.layers):
        output = Occupant(layer.output, network.shapes[layer.output])
        inputs = tuple(alive[tensor] for tensor in dict.fromkeys(layer.inputs))
        waiting = tuple(each for tensor, each in alive.items() if tensor not in layer.inputs)
        possibility = None if in_place is None else in_place.get(layer.name)
        candidates = () if possibility is None else possibility.candidates
        overwrites = next((tensor for tensor in candidates if ranges[tensor].stop == index + 1), None)
        scratch = scratch_bytes.get(layer.name, 0)
        steps.append(Step(layer.name, inputs, output, waiting, scratch, possibility, overwrites))
        alive[layer.output] = output
        for tensor in layer.inputs:
            if ranges[tensor].stop == index + 1:
                alive.pop(tensor, None)
    return tuple(steps)
