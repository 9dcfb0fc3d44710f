"""Input and target tensors of a block of layers, computed by running the float and the fake-quantized network up to the
block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

from network.joined_samples import input_tensors
from network.layers import WeightLayer
from network.network import Network
from qat.data.batches import tensor_of
from qat.data.dataset import Samples
from qat.float_network import FloatNetwork, clamped, combined
from qat.graph import run_between
from qat.post_training.blocks import Block
from qat.post_training.effective_weights import ChannelChange, add_bias, effective_weight
from qat.quantized_network import QuantizedNetwork
from qat.weight_step import WeightStep
from qat.windows import convolved

BATCH_SAMPLES: Final = 32
"""Number of samples that are run through the networks at a time."""
MAX_TENSOR_BYTES: Final = 2**29
"""Largest size in bytes of the tensors of a block of layers; if all samples need more, the block uses fewer samples."""


@dataclass(frozen=True, eq=False)
class BlockTensors:
    """Input tensors of a block of layers and the output that the block should compute, for the same n samples.

    Attributes:
        float_inputs: Tensors that the block reads in the float network, by name, each float32 [n, c, h, w].
        quantized_inputs: The same tensors in the fake-quantized network, by name, each float32 [n, c, h, w] with values
            on the tensor's quantization grid.
        target: Output of the block in the float network, float32 [n, c, h, w].
    """

    float_inputs: Mapping[str, Tensor]
    quantized_inputs: Mapping[str, Tensor]
    target: Tensor

    def __len__(self) -> int:
        return len(self.target)

    @cached_property
    def largest_target(self) -> float:
        """Largest absolute value of the target; 1 if all are 0."""
        return float(self.target.abs().max()) or 1.0


class QuantizedLayers:
    """Execution of single layers of a fake-quantized network, with running batch norm statistics and straight-through
    gradients.

    Args:
        module: The fake-quantized network.
        weights: Weight tensors by layer index that replace the layers' own; their values are on the layer's
            quantization grid. None replaces none.
        changes: Changes of output channels by layer index; None changes none.
    """

    def __init__(
        self,
        module: QuantizedNetwork,
        weights: Mapping[int, Tensor] | None = None,
        changes: Mapping[int, ChannelChange] | None = None,
    ) -> None:
        self._module = module
        self._weights = {} if weights is None else weights
        self._changes = {} if changes is None else changes
        self._steps = {step.layer.name: step for step in module.weight_steps()}

    def weight_step(self, index: int) -> WeightStep:
        """Return the fake-quantized layer with weights at an index in schedule order.

        Args:
            index: Index of the layer in the network.
        """
        return self._steps[self._module.network.layers[index].name]

    def unquantized_output(self, index: int, inputs: Sequence[Tensor], *, before_activation: bool = False) -> Tensor:
        """Compute the output of a layer of the fake-quantized network before the output is quantized.

        Args:
            index: Index of the layer in the network.
            inputs: Tensors that the layer reads, each float32 [n, c, h, w].
            before_activation: Whether the activation function is left out.

        Returns:
            The output, float32 [n, c, h, w].
        """
        layer = self._module.network.layers[index]
        if isinstance(layer, WeightLayer):
            step = self.weight_step(index)
            weight = self._weights.get(index)
            if weight is None:
                with torch.no_grad():
                    weight = step.quantizer(effective_weight(step))
            values = add_bias(step, convolved(inputs[0], weight, None, layer))
            if index in self._changes:
                values = self._changes[index].of(values)
        else:
            values = combined(layer, inputs)
        return values if before_activation else clamped(values, layer.activation)

    def __call__(self, index: int, inputs: Sequence[Tensor]) -> Tensor:
        """Compute the quantized output of a layer of the fake-quantized network.

        Args:
            index: Index of the layer in the network.
            inputs: Tensors that the layer reads, each float32 [n, c, h, w].

        Returns:
            The output, float32 [n, c, h, w], with values on the output's quantization grid.
        """
        output = self._module.network.layers[index].output
        values = self.unquantized_output(index, inputs)
        if self._module.range_owner[output] != output:
            return values  # the output has the codes of its input, so it is quantized already
        quantized: Tensor = self._module.range_of(output)(values)
        return quantized


def samples_in_memory(network: Network, block: Block, count: int) -> int:
    """Return how many samples fit in memory: the tensors of a block of layers need at most `MAX_TENSOR_BYTES` bytes.

    Args:
        network: The network of the block.
        block: The block.
        count: Number of available samples, from 1.

    Returns:
        A number from 1 to `count`.
    """
    elements = 2 * sum(network.shapes[tensor].elements for tensor in block.sources)
    elements += network.shapes[block.output].elements
    return min(count, max(1, MAX_TENSOR_BYTES // (4 * elements)))


@torch.no_grad()
def block_tensors(
    module: QuantizedNetwork, float_network: FloatNetwork, block: Block, samples: Samples
) -> BlockTensors:
    """Compute the input tensors of a block of layers in the float and the fake-quantized network, and the block's float
    output.

    No tensor is kept from one block to the next. Each block can therefore use as many samples as fit into memory, and
    running the networks again is cheaper than learning the block's rounding.

    Args:
        module: The fake-quantized network.
        float_network: The float network.
        block: The block whose tensors are computed.
        samples: Samples as the dataset stores them, [n, *dims].
    """
    network = module.network
    device = next(module.parameters()).device
    quantized_layers = QuantizedLayers(module)
    float_inputs: dict[str, list[Tensor]] = {tensor: [] for tensor in block.sources}
    quantized_inputs: dict[str, list[Tensor]] = {tensor: [] for tensor in block.sources}
    targets: list[Tensor] = []
    for batch in batches(samples_in_memory(network, block, len(samples))):
        images = tensor_of(samples[batch], network).to(device)
        before = range(block.first)
        given = input_tensors(images, network.inputs)
        in_float = run_between(network, given, before, block.sources, float_network.step)
        quantized = {name: module.range_of(name)(values) for name, values in given.items()}
        in_quantized = run_between(network, quantized, before, block.sources, quantized_layers)
        for tensor in block.sources:
            float_inputs[tensor].append(in_float[tensor])
            quantized_inputs[tensor].append(in_quantized[tensor])
        outputs = run_between(network, in_float, block.indices, [block.output], float_network.step)
        targets.append(outputs[block.output])
    return BlockTensors(
        {tensor: torch.cat(parts) for tensor, parts in float_inputs.items()},
        {tensor: torch.cat(parts) for tensor, parts in quantized_inputs.items()},
        torch.cat(targets),
    )


def batches(count: int) -> Iterator[slice]:
    """Return an iterator over slices of at most `BATCH_SAMPLES` samples that cover the samples 0 to `count` - 1.

    Args:
        count: Number of samples, from 0.
    """
    return (slice(start, min(start + BATCH_SAMPLES, count)) for start in range(0, count, BATCH_SAMPLES))
