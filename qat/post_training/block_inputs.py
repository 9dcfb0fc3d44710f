"""The float and the fake-quantized network up to a layer, and what stands there: the tensors that a unit works on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from network.layers import WeightLayer
from network.network import Network
from qat.data.batches import tensor_of
from qat.data.dataset import Samples
from qat.float_network import FloatNetwork, clamped, combined
from qat.graph import run_between
from qat.post_training.blocks import Unit
from qat.post_training.effective_weights import effective_weight, output_of
from qat.quantized_network import QuantizedNetwork
from qat.weight_step import WeightStep
from qat.windows import convolved

SAMPLES_AT_ONCE: Final = 32
MOST_HELD_BYTES: Final = 2**29
"""Of a unit's tensors. Where its samples take more, it works on fewer samples: large images have many pixels each."""


@dataclass(frozen=True, slots=True, eq=False)
class UnitTensors:
    """What a unit reads and what it should write, for the same samples, [n, c, h, w].

    Attributes:
        of_float: the tensors that it reads, in the float network.
        of_quantized: the same in the quantized network, on their grids.
        target: what the float network writes.
    """

    of_float: Mapping[str, Tensor]
    of_quantized: Mapping[str, Tensor]
    target: Tensor

    def __len__(self) -> int:
        return len(self.target)


class QuantizedSteps:
    """The layers of a fake-quantized network one by one, on running statistics, with gradients straight through.

    Args:
        module: whose layers they are.
        weights: layer index -> a weight tensor that stands in for its own, and is on its grid already.
    """

    def __init__(self, module: QuantizedNetwork, weights: Mapping[int, Tensor] | None = None) -> None:
        self._module = module
        self._weights = {} if weights is None else weights
        self._steps = {step.layer.name: step for step in module.weight_steps()}

    def weight_step(self, index: int) -> WeightStep:
        """The layer of that index, one with weights."""
        return self._steps[self._module.network.layers[index].name]

    def real(self, index: int, inputs: Sequence[Tensor], *, before_function: bool = False) -> Tensor:
        """What a layer computes, not yet on its output's grid.

        Args:
            index: of the layer.
            inputs: the tensors that it reads, [n, c, h, w].
            before_function: leave the activation function out.
        """
        layer = self._module.network.layers[index]
        if isinstance(layer, WeightLayer):
            step = self.weight_step(index)
            weight = self._weights.get(index)
            if weight is None:
                with torch.no_grad():
                    weight = step.quantizer(effective_weight(step))
            values = output_of(step, convolved(inputs[0], weight, None, layer))
        else:
            values = combined(layer, inputs)
        return values if before_function else clamped(values, layer.activation)

    def __call__(self, index: int, inputs: Sequence[Tensor]) -> Tensor:
        """What a layer writes, on its grid."""
        output = self._module.network.layers[index].output
        values = self.real(index, inputs)
        if self._module.range_owner[output] != output:
            return values  # its codes are its input's
        quantized: Tensor = self._module.range_of(output)(values)
        return quantized


def held_samples(network: Network, unit: Unit, count: int) -> int:
    """How many of so many samples a unit works on."""
    elements = 2 * sum(network.shapes[tensor].elements for tensor in unit.sources)
    elements += network.shapes[unit.output].elements
    return min(count, max(1, MOST_HELD_BYTES // (4 * elements)))


@torch.no_grad()
def unit_tensors(module: QuantizedNetwork, float_network: FloatNetwork, unit: Unit, samples: Samples) -> UnitTensors:
    """Run both networks up to a unit, and the float one through it.

    Nothing is kept from one unit to the next: samples whose largest tensors would not fit into memory together do so
    where tensors are small, and running again costs less than the learning that follows.
    """
    network = module.network
    device = next(module.parameters()).device
    quantized_steps = QuantizedSteps(module)
    of_float: dict[str, list[Tensor]] = {tensor: [] for tensor in unit.sources}
    of_quantized: dict[str, list[Tensor]] = {tensor: [] for tensor in unit.sources}
    targets: list[Tensor] = []
    for batch in batches(held_samples(network, unit, len(samples))):
        images = tensor_of(samples[batch], network).to(device)
        before = range(unit.first)
        found = run_between(network, {network.input: images}, before, unit.sources, float_network.step)
        given = module.range_of(network.input)(images)
        of_codes = run_between(network, {network.input: given}, before, unit.sources, quantized_steps)
        for tensor in unit.sources:
            of_float[tensor].append(found[tensor])
            of_quantized[tensor].append(of_codes[tensor])
        targets.append(run_between(network, found, unit.indices, [unit.output], float_network.step)[unit.output])
    return UnitTensors(
        {tensor: torch.cat(parts) for tensor, parts in of_float.items()},
        {tensor: torch.cat(parts) for tensor, parts in of_quantized.items()},
        torch.cat(targets),
    )


def batches(count: int) -> Iterator[slice]:
    """So many samples, a few at a time."""
    return (slice(start, min(start + SAMPLES_AT_ONCE, count)) for start in range(0, count, SAMPLES_AT_ONCE))
