"""The steps of a schedule, and what is alive during each.

A step is a layer that runs, with the tensors that are alive meanwhile:

    step   add        live                    A tensor is alive from the step that writes it to the last that reads it;
    a      |          input + a               the caller's input from the start, the network's outputs until the end.
    b      |  a       a + b        a waits
    add    |  a, b    a + b + sum

A device may let a layer write onto an input that nothing reads any more. Where both have the same bits the output then
takes no place of its own: above, the add's step holds a + b alone, its sum lying where a was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from network.layers import Shape
from network.network import Network


@dataclass(frozen=True, slots=True)
class Occupant:
    """A tensor that takes RAM during a step.

    Attributes:
        tensor: whose bits it has.
        shape: how large it is.
    """

    tensor: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class InPlace:
    """How a layer can write onto one of its inputs.

    Attributes:
        candidates: its inputs of the output's shape that need not be kept, in its own order. It overwrites the first
            of them whose last reader it is.
        scratch_bytes: what its kernel takes beside where it does.
    """

    candidates: tuple[str, ...]
    scratch_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the schedule, and what is alive during it.

    Attributes:
        layer: the layer that runs.
        inputs: what it reads.
        output: what it writes.
        waiting: what is alive beside, read by a later step.
        scratch_bytes: what its kernel takes beside, for this step only.
        in_place: how it can write onto an input; None where it never does.
        overwrites: the input that its output lies on where both have the same bits and that takes less; None where
            there is none in this order.
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
        return (*self.inputs, self.output, *self.waiting)


def live_steps(
    network: Network,
    scratch_bytes: Mapping[str, int],
    in_place: Mapping[str, InPlace] | None = None,
    *,
    reuses_input: bool = True,
) -> tuple[Step, ...]:
    """Every layer as a step, with all tensors that are alive during it.

    Args:
        network: in schedule order.
        scratch_bytes: what each layer's kernel takes beside; 0 where it is missing.
        in_place: the layers that can write onto an input.
        reuses_input: the network's input dies with its last reader; else it lives to the end.
    """
    last_read = {tensor: step for step, layer in enumerate(network.layers) for tensor in layer.inputs}
    kept = network.outputs if reuses_input else (network.input, *network.outputs)
    last_read |= dict.fromkeys(kept, len(network.layers))
    steps = []
    alive = {network.input: Occupant(network.input, network.input_shape)}
    for step, layer in enumerate(network.layers):
        output = Occupant(layer.output, network.shapes[layer.output])
        inputs = tuple(alive[tensor] for tensor in dict.fromkeys(layer.inputs))
        waiting = tuple(each for tensor, each in alive.items() if tensor not in layer.inputs)
        onto = None if in_place is None else in_place.get(layer.name)
        overwrites = None if onto is None else next((each for each in onto.candidates if last_read[each] <= step), None)
        scratch = scratch_bytes.get(layer.name, 0)
        steps.append(Step(layer.name, inputs, output, waiting, scratch, onto, overwrites))
        alive[layer.output] = output
        for tensor in layer.inputs:
            if last_read[tensor] <= step:
                alive.pop(tensor, None)
    return tuple(steps)
